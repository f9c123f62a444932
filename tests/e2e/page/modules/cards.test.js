import assert from "node:assert/strict";
import test from "node:test";

import { cardOf } from "../../../../src/livereactor/playground/js/views/cards.js";

const STANDING = {
  state: "ready",
  problem: null,
  page: { address: "here:8080", kind: "coordinator", watching: false },
  isAway: false,
  owner: true,
  isJoining: false,
  waiting: null,
  hadWorker: false,
  loading: { text: "", progress: null },
  hasVideo: true,
  hasFrame: false,
  isLate: false,
  wanting: false,
};
const OTHERS = { label: "All models", run: () => {} };
const DOINGS = { start: () => {}, stop: () => {}, others: OTHERS };
const card = (more) => cardOf({ ...STANDING, ...more }, DOINGS);
const ended = (detail) => ({ state: "ended", problem: { kind: "ended", detail } });

test("nothing stands before a picture that is there, and something before one that is not", () => {
  assert.equal(card({ hasFrame: true }), null);
  assert.equal(card({}).title, "Waiting for the first frame");
  assert.equal(card({ isLate: true }).title, "Connected, but no video yet");
  assert.equal(card({ isLate: true, wanting: true }).title, "The model is waiting for your input");
  assert.equal(card({ hasVideo: false }).text, "This model has no video output.");
});

test("what failed can be tried again, but for what is forbidden, and leads back to the others", () => {
  const failed = card({ state: "failed", problem: { kind: "timeout", detail: "30 s" } });
  assert.deepEqual([failed.bad, failed.action.label, failed.second], [true, "Try again", OTHERS]);
  assert.equal(card({ state: "failed", problem: { kind: "forbidden", detail: "no" } }).action, undefined);
});

test("an end is bad only where something went wrong, and who joined cannot begin a new session", () => {
  assert.equal(card(ended("stopped")).bad, false);
  assert.equal(card(ended("worker_lost")).bad, true);
  assert.equal(card(ended("stopped")).action.label, "Start");
  assert.equal(card({ ...ended("stopped"), isJoining: true }).action, undefined);
});

test("who waits may leave, the queue or somebody else's session", () => {
  assert.equal(card({ state: "queued" }).second.label, "Leave the queue");
  assert.equal(card({ state: "queued", owner: false }).second.label, "Leave");
});

test("a start says what the model is at, or that nobody answers", () => {
  const loading = { text: "Loading the model, 40%", progress: 0.4 };
  assert.deepEqual(
    [card({ state: "starting", loading }).text, card({ state: "starting", loading }).progress],
    [loading.text, 0.4],
  );
  assert.equal(card({ state: "starting", isAway: true }).title, "Cannot reach the server");
});

test("a lost connection says why and that it is tried again", () => {
  const lost = card({ state: "lost", problem: { kind: "silent", detail: "12 s" } });
  assert.match(lost.text, /No response for 12 s.*Reconnecting/);
});
