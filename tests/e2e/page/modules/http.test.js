// A credential is sent to its own server only.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Http } from "../../../../src/livereactor/playground/js/client/http.js";

test("a token goes to the page's own server and to nobody else", async () => {
  const asked = [];
  globalThis.fetch = async (url, { headers }) => (asked.push([url.href, headers.Authorization]), new Response(""));
  const http = new Http(new URL("http://here:8080/page/"), { headers: { Authorization: "Bearer t" } });
  await http.request("reading", "GET", "schema");
  await http.request("reading", "GET", "/clips/chunks/c/init.mp4");
  await http.request("reading", "GET", "http://store:9000/init.mp4?sig=s");
  assert.deepEqual(asked, [
    ["http://here:8080/page/schema", "Bearer t"],
    ["http://here:8080/clips/chunks/c/init.mp4", "Bearer t"],
    ["http://store:9000/init.mp4?sig=s", undefined],
  ]);
});
