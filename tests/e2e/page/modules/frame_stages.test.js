// Time per frame at each stage, from two readings of growing counters.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameStages, STAGES } from "../../../../src/livereactor/playground/js/media/frame-stages.js";

const row = (stage, count, total_ms, track) => ({ stage, count, total_ms, p50_ms: total_ms / count, ...(track && { track }) });
const inbound = (frames, buffer, decode) => ({
  jitterBufferDelay: buffer,
  jitterBufferEmittedCount: frames,
  totalDecodeTime: decode,
  framesDecoded: frames,
});
const names = (way) => way.parts.map(({ stage }) => stage);

test("the stages of both sides stand in the order of the way", () => {
  const way = new FrameStages();
  way.received(inbound(10, 0.1, 0.02), 8);
  assert.ok(!way.isServed);
  assert.deepEqual(names(way), ["network", "jitter_buffer", "decode"]);
  for (const stage of ["send", "encode", "convert", "queue"]) way.served([row(stage, 1, 1, "main")], "main");
  way.served([row("step", 1, 5)], "main");
  assert.ok(way.isServed);
  assert.deepEqual(names(way), [...STAGES]);
  assert.deepEqual(way.parts.map(({ ms }) => Math.round(ms)), [5, 1, 1, 1, 1, 4, 10, 2]);
});

test("a figure is the mean since the last look, and stays where nothing came", () => {
  const way = new FrameStages();
  way.served([row("encode", 10, 100, "main")], "main");
  assert.deepEqual(way.parts, [{ stage: "encode", ms: 10 }]);
  way.served([row("encode", 20, 130, "main")], "main");
  assert.deepEqual(way.parts, [{ stage: "encode", ms: 3 }]);
  way.served([row("encode", 20, 130, "main")], "main");
  assert.deepEqual(way.parts, [{ stage: "encode", ms: 3 }]);
});

test("counters of another connection begin anew", () => {
  const way = new FrameStages();
  way.received(inbound(1000, 10, 5), NaN);
  way.received(inbound(10, 0.2, 0.1), NaN);
  assert.deepEqual(way.parts.map(({ ms }) => Math.round(ms)), [20, 10]);
});

test("other tracks, stages of commands, and what others report of their own decoders are not this picture's", () => {
  const way = new FrameStages();
  way.served([row("encode", 1, 9, "side"), row("commands", 1, 9), row("decode", 1, 9, "main"), row("network", 1, 9)], "main");
  assert.deepEqual(way.parts, []);
  way.received(undefined, NaN);
  assert.deepEqual(way.parts, []);
});
