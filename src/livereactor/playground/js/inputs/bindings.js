/** The parameters and commands that are bound to keys or to a gamepad control, and the names of those. Pure. */

import { readable } from "../shared/text.js";


/** @typedef {import("./schema.js").Model} Model */
/**
 * A binding. `name` is the command to send. An axis moves from `low` over `rest`, its value when released, to `high`;
 * its `keys` move it down and up. A switch is true while held. A press is a command without arguments.
 * @typedef {{kind: "axis" | "switch" | "press", name: string, label: string, keys: string[], pad: string, low: number,
 *   high: number, rest: number, integer: boolean}} Bound
 */
/** Two axes on one touch stick. @typedef {{x: Bound | null, y: Bound | null}} Stick */

/**
 * Return the bindings of a model.
 * @param {Model} model
 * @returns {Bound[]} in order of declaration
 */
export function boundIn(model) {
  const parameters = model.parameters.flatMap(({ name, field }) => {
    const { binding, minimum: low, maximum: high } = field;
    if (!binding) return [];
    const about = { name, label: readable(field.name), keys: binding.keys, pad: binding.gamepad };
    if (field.kind === "switch") return [bound("switch", about)];
    if (field.kind !== "number" || low === undefined || high === undefined) return [];
    const rest = typeof field.value === "number" ? field.value : Math.min(high, Math.max(low, 0));
    return [{ ...bound("axis", about), low, high, rest, integer: field.integer }];
  });
  const commands = model.commands.flatMap(({ name, binding }) =>
    binding ? [bound("press", { name, label: readable(name), keys: binding.keys, pad: binding.gamepad })] : [],
  );
  return [...parameters, ...commands];
}

/**
 * @param {Bound["kind"]} kind
 * @param {{name: string, label: string, keys: string[], pad: string}} about
 * @returns {Bound}
 */
function bound(kind, about) {
  return { kind, low: 0, high: 1, rest: 0, integer: false, ...about };
}

/**
 * Lay bindings out for a touch screen: at most two sticks, and buttons.
 * @param {readonly Bound[]} all
 * @returns {{sticks: Stick[], buttons: Bound[]}} axes without a stick keep their sliders
 */
export function forTouch(all) {
  /** @type {Stick[]} */
  const sticks = [
    { x: null, y: null },
    { x: null, y: null },
  ];
  const axes = all.filter((each) => each.kind === "axis" && !isTrigger(each));
  // Axes with a gamepad control choose their stick first.
  for (const axis of [...axes.filter(({ pad }) => pad), ...axes.filter(({ pad }) => !pad)]) {
    const along = isAcross(axis) ? "x" : "y";
    const wanted = axis.pad.startsWith("right") ? [...sticks].reverse() : sticks;
    const free = wanted.find((stick) => stick[along] === null);
    if (free) free[along] = axis;
  }
  const buttons = all.filter((each) => each.kind !== "axis" || isTrigger(each));
  return { sticks: sticks.filter(({ x, y }) => x || y), buttons };
}

/** @param {Bound} axis */
function isTrigger({ pad }) {
  return pad.endsWith("trigger");
}

/**
 * Return whether an axis is horizontal.
 * @param {Bound} axis
 */
export function isAcross({ pad, keys }) {
  if (pad) return pad.endsWith("_x");
  return ["a d", "q e", "j l", "arrowleft arrowright"].includes(keys.join(" "));
}

/** @type {Record<string, string>} */
const KEY_SIGNS = {
  arrowup: "↑",
  arrowdown: "↓",
  arrowleft: "←",
  arrowright: "→",
  pageup: "Page up",
  pagedown: "Page down",
};

/** Return the label of a key. @param {string} key as in a binding */
export function keySign(key) {
  return KEY_SIGNS[key] ?? (key.length === 1 ? key.toUpperCase() : readable(key));
}

/** @type {Record<string, string>} */
const PAD_SIGNS = {
  left_x: "Left stick ↔",
  left_y: "Left stick ↕",
  right_x: "Right stick ↔",
  right_y: "Right stick ↕",
  left_bumper: "LB",
  right_bumper: "RB",
  left_trigger: "LT",
  right_trigger: "RT",
  up: "D-pad ↑",
  down: "D-pad ↓",
  left: "D-pad ←",
  right: "D-pad →",
};

/** Return the label of a gamepad control. @param {string} control as in a binding */
export function padSign(control) {
  return PAD_SIGNS[control] ?? readable(control);
}
