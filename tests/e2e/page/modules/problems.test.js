// Texts for every way in which a session can end or fail to start.
import assert from "node:assert/strict";
import { test } from "node:test";
import { explain } from "../../../../src/livereactor/playground/js/words/problems.js";

const SERVED = { address: "studio.example", kind: "coordinator", watching: false };
// The end reasons of docs/protocol.md.
const REASONS = [
  "stopped",
  "timed_out",
  "max_duration",
  "idle",
  "evicted",
  "moderated",
  "error",
  "worker_lost",
  "start_refused",
];

test("every reason of an end has words of its own, and says what is next", () => {
  const texts = REASONS.map((detail) => explain({ kind: "ended", detail }, SERVED));
  assert.equal(new Set(texts.map(({ title, text }) => title + text)).size, REASONS.length);
  for (const { text } of texts) assert.match(text, /Press Start to begin a new session\.$/);
});

test("a reason nobody knows is shown as it is", () => {
  assert.match(explain({ kind: "ended", detail: "the moon set" }, SERVED).text, /^The moon set\. Press Start/);
});

test("who only watches is not told to start anything", () => {
  for (const detail of REASONS) {
    assert.doesNotMatch(explain({ kind: "ended", detail }, { ...SERVED, watching: true }).text, /Start/);
  }
  assert.doesNotMatch(explain({ kind: "over", detail: "" }, { ...SERVED, watching: true }).text, /Start/);
});

test("who watches is told who may have stopped it", () => {
  const text = "The person who shared the session stopped it, or the model finished.";
  assert.equal(explain({ kind: "ended", detail: "stopped" }, { ...SERVED, watching: true }).text, text);
});

test("an allowance that is used up is told with its numbers and when to try again", () => {
  const quota = (type, limit, current) => ({ kind: "quota", detail: "no", quota: { type, limit, current } });
  const minute = { ...quota("sessions_per_minute", 10, 10), retryAfter: 5.2 };
  assert.match(explain(minute, SERVED).text, /10 of the 10 .* Try again in 6 s\.$/);
  assert.match(explain(quota("concurrent_sessions", 5, 5), SERVED).text, /^Your account has 5 of 5 sessions/);
  assert.match(explain(quota("connections", 4, 4), SERVED).text, /^The session uses 4 of its 4 connections/);
  assert.equal(explain(quota("moons", 1, 1), SERVED).text, "No.");
});

test("only who runs the model at a terminal is sent there", () => {
  const error = { kind: "ended", detail: "error" };
  assert.match(explain(error, { ...SERVED, kind: "runtime" }).text, /terminal/);
  assert.doesNotMatch(explain(error, SERVED).text, /terminal/);
  const gone = { kind: "unreachable", detail: "starting a session" };
  assert.match(explain(gone, { ...SERVED, kind: "runtime" }).text, /livereactor run/);
  assert.doesNotMatch(explain(gone, SERVED).text, /livereactor run/);
});
