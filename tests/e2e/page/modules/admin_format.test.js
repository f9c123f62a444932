// The format of numbers and times on the operator page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { limit, moment, span, used } from "../../../../src/livereactor/playground/admin/js/format.js";

test("spans of time have the unit that fits", () => {
  const cases = [
    [-3, "0 s"],
    [0.4, "0 s"],
    [89, "89 s"],
    [90, "2 min"],
    [5360, "89 min"],
    [5400, "1 h 30 min"],
    [7200, "2 h"],
    [48 * 3600, "2 d"],
  ];
  for (const [seconds, text] of cases) assert.equal(span(seconds), text);
});

test("a moment is a day and a time, or a dash", () => {
  assert.match(moment(1_900_000_000), /^2030-03-1\d \d\d:\d\d$/);
  assert.equal(moment(undefined), "–");
});

test("limits have their unit where the name tells it", () => {
  assert.equal(limit("body_bytes", 1_048_576), "1 MiB");
  assert.equal(limit("message_bytes", 262_144), "256 KiB");
  assert.equal(limit("frame_tag_bytes", 500), "500");
  assert.equal(limit("token_lifetime", 21_600), "21,600");
  assert.equal(limit("anything", null), "none");
});

test("what may be used is told with what is used", () => {
  assert.equal(used(5, 2), "2 of 5");
  assert.equal(used(0, 2), "2 (unlimited)");
  assert.equal(used(4, undefined), "up to 4");
});
