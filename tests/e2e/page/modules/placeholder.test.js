import assert from "node:assert/strict";
import test from "node:test";

import { landscape } from "../../../../src/livereactor/playground/js/views/placeholder.js";

test("a name gives the same hills each time, and another name others", () => {
  assert.deepEqual(landscape("pond"), landscape("pond"));
  assert.notDeepEqual(landscape("pond"), landscape("garden"));
});

test("any name gives paths that can be drawn", () => {
  for (const name of ["", "a", "水", "🌊 a very long name of a model that says what it does"]) {
    for (const { d, fill } of landscape(name)) {
      assert.match(d, /^M[\d.\-\sLHVaZ]+Z$/);
      assert.match(fill, /^hsl\([\d.]+ [\d.]+% [\d.]+%\)$/);
    }
  }
});
