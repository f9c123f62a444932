// Texts for a place in the queue and for the time left in a session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { amount, countdown, explainWaiting } from "../../../../src/livereactor/playground/js/words/waiting.js";

const HERE = { isAway: false, hadWorker: false };
const queued = (queue) => ({ session_id: "ses_1", state: "SUSPENDED", queue });
const said = (queue, server = HERE) => explainWaiting(queued(queue), server);

test("a place is told with how many there are, and the first as the next", () => {
  assert.equal(said({ position: 3, length: 7 }).title, "You are number 3 of 7");
  assert.equal(said({ position: 1, length: 7 }).title, "You are next in a queue of 7");
  assert.equal(said({ position: 1, length: 1 }).title, "You are next");
});

test("an estimate comes with its error, and none is owned up to", () => {
  const text = (wait, error) => said({ position: 1, length: 1, estimated_wait: wait, estimate_error: error }).text;
  assert.match(text(undefined, undefined), /^No estimate yet\./);
  assert.match(text(130, undefined), /^About 2 minutes\.\n/);
  assert.match(text(130, 20), /^About 2 minutes, give or take 20 seconds\.\n/);
  assert.match(text(130, 240), /^About 2 minutes, but recent estimates were off by 4 minutes\.\n/);
  assert.match(text(0, undefined), /^This should take only a moment\.\n/);
});

test("a worker on its way says how far it is", () => {
  const { text, progress } = said({ position: 1, length: 1, loading: 0.4, loading_text: "text encoder" });
  assert.match(text, /^A worker is loading the model, 40%: text encoder\./);
  assert.equal(progress, 0.4);
});

test("whoever waits is told that the place is kept, the more so while nobody answers", () => {
  assert.match(said({ position: 2, length: 2 }).text, /You keep your place/);
  const away = said({ position: 2, length: 2 }, { ...HERE, isAway: true });
  assert.equal(away.title, "You are number 2 of 2");
  assert.match(away.text, /is not responding.*You keep your place/);
});

test("without a ticket it is one's turn", () => {
  assert.equal(explainWaiting({ session_id: "ses_1", state: "PENDING" }, HERE).title, "It is your turn");
});

test("who had a picture is told why there is none", () => {
  const moved = { ...HERE, hadWorker: true };
  assert.match(said({ position: 1, length: 1 }, moved).text, /^The worker that ran your session was lost/);
  assert.match(explainWaiting({ session_id: "ses_1", state: "PENDING" }, moved).title, /moving to another worker/);
});

test("amounts are as exact as an estimate deserves", () => {
  const expected = [
    [1, "5 seconds"],
    [12, "10 seconds"],
    [27, "30 seconds"],
    [54, "50 seconds"],
    [55, "a minute"],
    [100, "2 minutes"],
    [3500, "58 minutes"],
    [3599, "an hour"],
    [7300, "2 hours"],
  ];
  for (const [seconds, words] of expected) assert.equal(amount(seconds), words);
});

test("a clock counts down to nothing and no further", () => {
  const shown = [1200, 61, 60.4, 9, 0.2, -5, 3661].map(countdown);
  assert.deepEqual(shown, ["20:00", "1:01", "1:00", "0:09", "0:00", "0:00", "1:01:01"]);
});
