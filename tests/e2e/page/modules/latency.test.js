// The latency of a command: which frame shows its effect, and the parts of the time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Latency, PARTS } from "../../../../src/livereactor/playground/js/media/latency.js";

const START_TICKS = 2 ** 32 - 9000; // goes round within the first pictures
/** A picture made at `madeAt` of the page's clock that arrives `onItsWay` later and is shown 8 ms after that. */
const picture = (madeAt, onItsWay = 7) => ({
  rtpTimestamp: (START_TICKS + Math.round(madeAt * 90)) % 2 ** 32,
  receiveTime: madeAt + onItsWay,
  presentationTime: madeAt + onItsWay + 2,
  expectedDisplayTime: madeAt + onItsWay + 8,
});
function watched() {
  const latency = new Latency();
  for (let madeAt = 0; madeAt < 1000; madeAt += 100 / 3) latency.shown(picture(madeAt));
  return latency;
}

test("the parts are in order of time and add up to the whole", () => {
  const latency = watched();
  latency.answered({ sentAt: 1000, repliedAt: 1014, roundTripMs: 4 });
  latency.shown(picture(1020));
  assert.ok(latency.isStamped);
  assert.deepEqual(Object.keys(latency.parts), [...PARTS]);
  const rounded = Object.values(latency.parts).map((ms) => Math.round(ms * 10) / 10);
  assert.deepEqual(rounded, [2, 10, 13, 2, 2, 6]);
  assert.ok(Math.abs(latency.ms - 35) < 1e-6);
});

test("a picture that was on its way already does not count, even where it arrives after the answer", () => {
  const latency = watched();
  latency.answered({ sentAt: 1000, repliedAt: 1014, roundTripMs: 4 });
  latency.shown(picture(1000, 30));
  assert.equal(latency.parts, null);
  latency.shown(picture(1033, 7));
  assert.ok(Math.abs(latency.ms - 48) < 1e-6);
});

test("a picture out of step, made because of the command, counts though its answer is heard later", () => {
  const latency = watched();
  latency.shown(picture(1013, 7)); // 20 ms early
  latency.answered({ sentAt: 1008, repliedAt: 1040, roundTripMs: 2 });
  assert.ok(Math.abs(latency.ms - 20) < 1e-6);
  assert.equal(latency.parts.there, 1);
  const next = watched();
  next.shown(picture(1013, 7));
  next.answered({ sentAt: 1019, repliedAt: 1040, roundTripMs: 2 });
  assert.equal(next.parts, null, "it was made before the command could come");
});

test("where pictures are never in step none of them tells of a command", () => {
  const latency = new Latency();
  let madeAt = 0;
  for (let index = 0; index < 60; index++) latency.shown(picture((madeAt += [20, 37, 61, 29, 48][index % 5])));
  latency.shown(picture(madeAt + 12));
  latency.answered({ sentAt: madeAt + 2, repliedAt: madeAt + 40, roundTripMs: 2 });
  assert.equal(latency.parts, null);
});

test("without time stamps the first picture after the answer counts", () => {
  const latency = new Latency();
  const unstamped = (at) => ({ presentationTime: at, expectedDisplayTime: at + 5 });
  latency.answered({ sentAt: 100, repliedAt: 110, roundTripMs: NaN });
  latency.shown(unstamped(109));
  latency.shown(unstamped(120));
  assert.ok(!latency.isStamped);
  assert.equal(latency.ms, 25);
});

test("a round trip measured in a bad moment is no longer than the answer took", () => {
  const latency = watched();
  latency.answered({ sentAt: 1000, repliedAt: 1010, roundTripMs: 80 });
  latency.shown(picture(1020));
  assert.equal(latency.parts.there, 5);
  assert.equal(latency.parts.taken, 0);
});

test("the figure is the middle one of the last nine, and a command that draws nothing is none", () => {
  const latency = watched();
  let now = 2000;
  for (const took of [500, ...Array(9).fill(20), 900, 900]) {
    latency.answered({ sentAt: now, repliedAt: now + 1, roundTripMs: 1 });
    latency.shown(picture(now + took - 15));
    now += 3000;
  }
  assert.equal(latency.count, 9);
  assert.ok(Math.abs(latency.ms - 20) < 1e-6);
  latency.answered({ sentAt: now, repliedAt: now + 1, roundTripMs: 1 });
  latency.shown(picture(now + 2500));
  assert.ok(Math.abs(latency.ms - 20) < 1e-6);
});

test("the stamps of another connection begin anew", () => {
  const latency = watched();
  const other = (madeAt) => ({ ...picture(madeAt), rtpTimestamp: (77 + Math.round(madeAt * 90)) % 2 ** 32 });
  latency.shown(other(5000));
  latency.answered({ sentAt: 5010, repliedAt: 5014, roundTripMs: 4 });
  latency.shown(other(5033));
  assert.ok(Math.abs(latency.ms - 38) < 1e-6);
});
