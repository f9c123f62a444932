// Uploads over a network that fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Refused, Unreachable } from "../../../../src/livereactor/playground/js/client/http.js";
import { sendFile } from "../../../../src/livereactor/playground/js/client/uploads.js";

/** A server that keeps what came; each of `cuts` says after how many bytes of a PATCH the network breaks. */
class Server {
  constructor(...cuts) {
    this.cuts = cuts;
    this.bytes = "";
    this.asked = [];
    this.refusal = null;
  }

  async send(_address, method, content, headers) {
    this.asked.push(method);
    if (this.refusal) throw this.refusal;
    if (method === "HEAD") return new Response(null, { headers: { "Upload-Offset": String(this.bytes.length) } });
    const text = await content.text();
    if (method === "PUT") this.bytes = text;
    else {
      assert.equal(headers["Upload-Offset"], String(this.bytes.length));
      const cut = this.cuts.shift();
      this.bytes += text.slice(0, cut);
      if (cut !== undefined) throw new Unreachable("sending the file");
    }
    return new Response(null, { status: 204 });
  }
}

const FILE = new Blob(["0123456789"]);
const send = (server, takesPieces = true) => {
  const waits = [];
  return sendFile(server, "/uploads/a?sig=1", FILE, "text/plain", takesPieces, async (ms) => void waits.push(ms)).then(
    () => waits,
  );
};

test("a server that tells no offset gets the file in one PUT", async () => {
  const server = new Server();
  await send(server, false);
  assert.deepEqual([server.asked, server.bytes], [["PUT"], "0123456789"]);
});

test("a file goes on from what landed, as often as more of it lands", async () => {
  const server = new Server(1, 2, 0, 1, 2, 1, 1, 1);
  const waits = await send(server);
  assert.equal(server.bytes, "0123456789");
  assert.equal(server.asked.filter((each) => each === "PATCH").length, 9);
  assert.ok(waits.every((ms) => ms <= 1000));
});

test("a network that stays away ends it after some tries", async () => {
  const server = new Server(3);
  const sending = send(server);
  server.refusal = new Unreachable("sending the file");
  await assert.rejects(sending, Unreachable);
  assert.ok(server.asked.length < 10);
});

test("what the server refuses is not tried again", async () => {
  const server = new Server();
  server.refusal = new Refused("sending the file", 410, "this URL has expired");
  await assert.rejects(send(server), /expired/);
  assert.deepEqual(server.asked, ["PATCH"]);
});
