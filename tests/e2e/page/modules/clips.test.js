// Clips from a fake server: waiting, fetching in order, retries, failures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Clips } from "../../../../src/livereactor/playground/js/media/clips.js";
import { Refused, Unreachable } from "../../../../src/livereactor/playground/js/client/http.js";
import { CommandRefused } from "../../../../src/livereactor/playground/js/client/pending-requests.js";

const READY = { kind: "snap", start: 0, end: 1, now: 1, playlist: "/clips" };
const PLAYLIST = '#EXTM3U\n#EXT-X-MAP:URI="/init"\n#EXTINF:1.0,\n/a\n#EXTINF:1.0,\n/b\n#EXT-X-ENDLIST\n';
const never = () => new AbortController().signal;

/** @param {(path: string, count: number) => Response} answer `count`: how often that path was asked for */
function clips(answer, { clip = async () => READY } = {}) {
  const asked = [];
  const request = async (step, method, url) => {
    const { pathname } = new URL(url, "http://here/");
    asked.push(pathname);
    const response = answer(pathname, asked.filter((path) => path === pathname).length);
    return Object.defineProperty(response, "url", { value: "http://here/clips" });
  };
  return { asked, clips: new Clips({ request }, { clip }) };
}

test("a clip is waited for while it is not ready", async () => {
  const { asked, clips: of } = clips((_, count) =>
    count < 3 ? new Response(null, { status: 202, headers: { "Retry-After": "0.001" } }) : new Response(PLAYLIST),
  );
  assert.equal((await of.playlist(READY, never())).parts.length, 2);
  assert.equal(asked.length, 3);
});

test("a part that did not come is asked for once more, one that is gone is not", async () => {
  const flaky = clips((_, count) => {
    if (count === 1) throw new Unreachable("fetching");
    return new Response("abc");
  });
  assert.equal((await flaky.clips.part("/a", never())).length, 3);
  const gone = clips(() => {
    throw new Refused("fetching", 410, "gone");
  });
  await assert.rejects(gone.clips.part("/a", never()), { code: "CLIP_GONE" });
  assert.deepEqual([flaky.asked.length, gone.asked.length], [2, 1]);
});

test("why there is none is told by its code", async () => {
  const failing = (error) => clips(() => assert.fail("asked"), { clip: async () => Promise.reject(error) }).clips;
  await assert.rejects(failing(new CommandRefused("RECORDER_DISABLED", "off")).ask(5), { code: "RECORDER_DISABLED" });
  for (const seconds of [0, -1, NaN, Infinity]) {
    await assert.rejects(failing(new Error("asked")).ask(seconds), { code: "INVALID_DURATION" });
  }
  const broken = clips((path) => new Response(path === "/clips" ? PLAYLIST : "no film"));
  await assert.rejects(broken.clips.keep(5, never(), () => {}), { code: "DOWNLOAD_UNSUPPORTED" });
});

test("one that is called off asks for nothing more", async () => {
  const calling = new AbortController();
  const { asked, clips: of } = clips(() => (calling.abort(), new Response(null, { status: 202 })));
  await assert.rejects(of.playlist(READY, calling.signal), { name: "AbortError" });
  assert.equal(asked.length, 1);
});
