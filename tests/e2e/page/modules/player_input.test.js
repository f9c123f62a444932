// Keys, gamepad and touch controls become parameters and commands.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boundIn, forTouch, keySign, padSign } from "../../../../src/livereactor/playground/js/inputs/bindings.js";
import { DEAD_ZONE, readPad } from "../../../../src/livereactor/playground/js/inputs/gamepad.js";
import { InputState } from "../../../../src/livereactor/playground/js/inputs/input-state.js";
import { PressedKeys, keyName } from "../../../../src/livereactor/playground/js/inputs/keyboard.js";
import { INTERVAL_MS, MAX_UNANSWERED, Throttle } from "../../../../src/livereactor/playground/js/inputs/throttle.js";
import { readSchema } from "../../../../src/livereactor/playground/js/inputs/schema.js";

const unit = { type: "number", minimum: -1, maximum: 1, default: 0 };
function post(name, properties, input = undefined) {
  const schema = { type: "object", properties };
  const requestBody = { content: { "application/json": { schema } } };
  return { post: { operationId: name, requestBody, ...(input && { "x-livereactor-input": input }) } };
}
const bind = (keys, gamepad) => ({ "x-livereactor-input": { keys, ...(gamepad && { gamepad }) } });
const PATHS = {
  "/events/set_forward": post("set_forward", { forward: { ...unit, ...bind(["s", "w"], "left_y") } }),
  "/events/set_turn": post("set_turn", { turn: { ...unit, ...bind(["a", "d"], "left_x") } }),
  "/events/set_gear": post("set_gear", {
    gear: { type: "integer", minimum: 0, maximum: 5, default: 1, ...bind(["q", "e"]) },
  }),
  "/events/set_run": post("set_run", { run: { type: "boolean", default: false, ...bind(["shift"], "left_trigger") } }),
  "/events/set_fog": post("set_fog", { fog: { ...unit } }),
  "/events/jump": post("jump", {}, { keys: ["space"], gamepad: "a" }),
};
const bound = boundIn(readSchema({ paths: PATHS }));
const hands = () => new InputState(bound);

test("what has keys or a gamepad control is bound, in the order of the model", () => {
  assert.deepEqual(
    bound.map(({ kind, name }) => `${kind} ${name}`),
    ["axis set_forward", "axis set_turn", "axis set_gear", "switch set_run", "press jump"],
  );
  assert.deepEqual([bound[2].low, bound[2].rest, bound[2].high], [0, 1, 5]);
});

test("a binding that makes no sense is left out", () => {
  const odd = (property) => boundIn(readSchema({ paths: { "/events/set_a": post("set_a", { a: property }) } }));
  assert.deepEqual(odd({ type: "string", ...bind(["a"]) }), []);
  assert.deepEqual(odd({ type: "number", ...bind(["a", "b"]) }), []);
  assert.deepEqual(odd({ ...unit, "x-livereactor-input": { keys: 3 } }), []);
  assert.deepEqual(odd({ ...unit, "x-livereactor-input": "w" }), []);
});

test("held keys push an axis to its bounds, and let go it is at its default", () => {
  const player = hands();
  assert.deepEqual(player.key("w", true), [{ name: "set_forward", value: 1 }]);
  assert.deepEqual(player.key("w", false), [{ name: "set_forward", value: 0 }]);
  assert.deepEqual(player.key("q", true), [{ name: "set_gear", value: 0 }]);
  assert.deepEqual(player.key("q", false), [{ name: "set_gear", value: 1 }]);
  assert.deepEqual(player.key("e", true), [{ name: "set_gear", value: 5 }]);
});

test("opposite keys cancel, and the one that stays held counts again", () => {
  const player = hands();
  player.key("w", true);
  assert.deepEqual(player.key("s", true), [{ name: "set_forward", value: 0 }]);
  assert.deepEqual(player.key("w", false), [{ name: "set_forward", value: -1 }]);
});

test("a switch is true while held and a command is given once a press", () => {
  const player = hands();
  assert.deepEqual(player.key("shift", true), [{ name: "set_run", value: true }]);
  assert.deepEqual(player.key("shift", true), []);
  assert.deepEqual(player.key("shift", false), [{ name: "set_run", value: false }]);
  assert.deepEqual(player.key("space", true), [{ name: "jump" }]);
  assert.deepEqual(player.key("space", false), []);
});

test("two hands push no further than one, and what nobody bound does nothing", () => {
  const player = hands();
  player.key("w", true);
  assert.deepEqual(player.touch("set_forward", 0.5), []);
  assert.deepEqual(player.key("w", false), [{ name: "set_forward", value: 0.5 }]);
  assert.deepEqual(player.key("z", true), []);
  assert.deepEqual(player.touch("set_fog", 1), []);
});

test("everything is let go at once", () => {
  const player = hands();
  player.key("w", true);
  player.key("shift", true);
  player.key("space", true);
  player.touch("set_turn", -1);
  assert.deepEqual(player.release(), [
    { name: "set_forward", value: 0 },
    { name: "set_turn", value: 0 },
    { name: "set_run", value: false },
  ]);
  assert.equal(player.held.size, 0);
  assert.deepEqual(player.release(), []);
});

test("the gamepad moves what it is bound to, only where it changed", () => {
  const player = hands();
  const reading = new Map([
    ["left_y", 0.25],
    ["a", 1],
  ]);
  assert.deepEqual(player.pad(reading), [{ name: "set_forward", value: 0.25 }, { name: "jump" }]);
  assert.deepEqual(player.pad(reading), []);
  assert.deepEqual([...player.held], ["pad left_y", "pad a"]);
  assert.deepEqual(player.pad(new Map()), [{ name: "set_forward", value: 0 }]);
});

const pad = (axes, pressed = {}) => ({
  axes,
  buttons: Array.from({ length: 17 }, (_, at) => ({ pressed: (pressed[at] ?? 0) > 0.5, value: pressed[at] ?? 0 })),
});

test("a stick rests within its dead zone and starts from nothing at its edge", () => {
  assert.equal(readPad(pad([DEAD_ZONE, -DEAD_ZONE, 0, 0])).size, 0);
  const reading = readPad(pad([0.2, -1, 0, 0.5]));
  assert.equal(reading.get("left_x"), 0.06);
  assert.equal(reading.get("left_y"), 1, "up is positive");
  assert.equal(reading.get("right_y"), -0.42);
  assert.ok(!reading.has("right_x"));
});

test("buttons have their names and triggers are read as far as they are pulled", () => {
  const reading = readPad(pad([0, 0, 0, 0], { 0: 1, 6: 0.575, 9: 1, 12: 1, 16: 1 }));
  assert.deepEqual([...reading.keys()], ["a", "left_trigger", "start", "up"]);
  assert.equal(reading.get("left_trigger"), 0.5);
});

test("a pad with fewer axes and buttons than usual is read as far as it goes", () => {
  assert.deepEqual([...readPad({ axes: [1], buttons: [] })], [["left_x", 1]]);
});

test("keys are named as bindings name them, wherever the layout puts them", () => {
  const isBound = (name) => ["w", "1", "space", "shift", "arrowup"].includes(name);
  assert.equal(keyName({ key: "W", code: "KeyW" }, isBound), "w");
  assert.equal(keyName({ key: " ", code: "Space" }, isBound), "space");
  assert.equal(keyName({ key: "ArrowUp", code: "ArrowUp" }, isBound), "arrowup");
  assert.equal(keyName({ key: "Shift", code: "ShiftRight" }, isBound), "shift");
  assert.equal(keyName({ key: "ц", code: "KeyW" }, isBound), "w");
  assert.equal(keyName({ key: "!", code: "Digit1" }, isBound), "1");
  assert.equal(keyName({ key: "x", code: "KeyX" }, isBound), null);
});

test("a key is down from its press to its lift, whatever it is called by then", () => {
  const down = new PressedKeys();
  assert.ok(down.press("KeyW", "w"));
  assert.ok(!down.press("KeyW", "w"), "auto-repeat");
  assert.equal(down.lift("KeyW"), "w");
  assert.equal(down.lift("KeyW"), null);
  down.press("ShiftLeft", "shift");
  assert.ok(!down.press("ShiftRight", "shift"));
  assert.equal(down.lift("ShiftLeft"), null, "the other one is still down");
  assert.equal(down.lift("ShiftRight"), "shift");
});

test("a pace lets the newest value through, at most 60 times a second", () => {
  const pace = new Throttle();
  pace.offer(1);
  assert.deepEqual(pace.take(0), { value: 1 });
  assert.equal(pace.take(0), null);
  pace.offer(2);
  pace.offer(3);
  assert.equal(pace.take(INTERVAL_MS / 2), null);
  assert.equal(pace.deadline, INTERVAL_MS);
  assert.deepEqual(pace.take(INTERVAL_MS), { value: 3 });
  assert.equal(pace.deadline, null);
});

test("a pace waits for answers once too many are missing, and nothing is lost but what is old", () => {
  const pace = new Throttle();
  for (let sent = 0; sent < MAX_UNANSWERED; sent++) {
    pace.offer(sent);
    assert.ok(pace.take(sent * 100));
  }
  pace.offer("newer");
  pace.offer("newest");
  assert.equal(pace.take(1e6), null);
  pace.answered();
  assert.deepEqual(pace.take(1e6), { value: "newest" });
  pace.offer("of the last session");
  pace.forget();
  pace.answered();
  assert.equal(pace.take(2e6), null);
});

test("on glass there are sticks for axes and buttons for the rest", () => {
  const { sticks, buttons } = forTouch(bound);
  assert.deepEqual(
    sticks.map(({ x, y }) => [x?.name, y?.name]),
    [
      ["set_turn", "set_forward"],
      ["set_gear", undefined],
    ],
  );
  assert.deepEqual(
    buttons.map(({ name }) => name),
    ["set_run", "jump"],
  );
});

test("axes of the right stick are on the right and those without a pad go by their keys", () => {
  const axis = (name, keys, pad = "") => ({ kind: "axis", name, keys, pad });
  const { sticks } = forTouch([
    axis("look", ["arrowleft", "arrowright"], "right_x"),
    axis("lift", ["arrowdown", "arrowup"]),
    axis("gas", [], "right_trigger"),
  ]);
  assert.deepEqual(
    sticks.map(({ x, y }) => [x?.name, y?.name]),
    [
      [undefined, "lift"],
      ["look", undefined],
    ],
  );
});

test("signs are short and known", () => {
  assert.deepEqual(["w", "arrowup", "space", "pageup"].map(keySign), ["W", "↑", "Space", "Page up"]);
  assert.deepEqual(["left_y", "right_trigger", "a", "start"].map(padSign), ["Left stick ↕", "RT", "A", "Start"]);
});
