import assert from "node:assert/strict";
import test from "node:test";

import { ViewStore } from "../../../../src/livereactor/playground/js/views/view-store.js";

const DOINGS = { connect() {}, disconnect() {}, reconnect() {} };
const track = (more) => ({ name: "main_video", kind: "video", direction: "recvonly", media: null, ...more });
const now = (more) => ({ status: "ready", tracks: [track()], lastError: null, sessionId: "s", expiresAt: 9, ...more });

test("a snapshot is the same object, its parts too, until something differs", () => {
  const store = new ViewStore(DOINGS);
  store.update(now());
  const first = store.getSnapshot();
  store.update(now());
  assert.equal(store.getSnapshot(), first);
  store.update(now({ expiresAt: 10 }));
  assert.notEqual(store.getSnapshot(), first);
  assert.equal(store.getSnapshot().tracks, first.tracks);
  store.update(now({ tracks: [track({ media: {} })] }));
  assert.notEqual(store.getSnapshot().tracks, first.tracks);
});

test("whoever listens hears of changes only, and no more once it has left, in the middle of one too", () => {
  const store = new ViewStore(DOINGS);
  const heard = [];
  const leave = store.subscribe(() => (heard.push("one"), leave()));
  store.subscribe(() => heard.push("two"));
  store.update(now());
  store.update(now());
  store.update(now({ status: "disconnected" }));
  assert.deepEqual(heard, ["one", "two", "two"]);
});

test("an error that is told again is the same", () => {
  const store = new ViewStore(DOINGS);
  const error = () => ({ code: "timeout", title: "Connecting took too long", text: "Try again." });
  store.update(now({ lastError: error() }));
  const { lastError } = store.getSnapshot();
  store.update(now({ lastError: error(), status: "disconnected" }));
  assert.equal(store.getSnapshot().lastError, lastError);
  store.update(now());
  assert.equal(store.getSnapshot().lastError, null);
});

test("what is sent without a page to send it from is refused, not lost", async () => {
  const store = new ViewStore(DOINGS);
  const asked = [store.send("go"), store.publish("cam", {}), store.unpublish("cam"), store.upload({}), store.clip(5)];
  for (const each of asked) await assert.rejects(each, { code: "NOT_READY" });
});
