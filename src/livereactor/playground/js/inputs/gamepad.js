/** The gamepad: what its sticks and buttons say, read once a screen refresh while there is one and somebody plays. */

import { Emitter } from "../shared/emitter.js";

/** A stick that nobody touches still leans by up to this. */
export const DEAD_ZONE = 0.15;
/** Finer steps than a hundred each way are the stick's noise. */
const STEPS = 100;

/** By index, as the standard mapping has them. */
const AXES = ["left_x", "left_y", "right_x", "right_y"];
const BUTTONS = [
  ...["a", "b", "x", "y", "left_bumper", "right_bumper", "left_trigger", "right_trigger", "select", "start"],
  ...["", "", "up", "down", "left", "right"],
];

/**
 * How far each control is moved: axes -1..1, right and up positive; buttons and triggers 0..1. What rests is left out.
 * @param {{axes: readonly number[], buttons: readonly {pressed: boolean, value: number}[]}} pad
 * @returns {Map<string, number>}
 */
export function readPad({ axes, buttons }) {
  const reading = new Map();
  AXES.forEach((name, index) => {
    const far = leaned(axes[index] ?? 0);
    // Browsers count downwards.
    if (far) reading.set(name, name.endsWith("y") ? -far : far);
  });
  BUTTONS.forEach((name, index) => {
    const button = buttons[index];
    const far = leaned(button?.value || Number(button?.pressed ?? false));
    if (name && far) reading.set(name, far);
  });
  return reading;
}

/**
 * Nothing within the dead zone, and from its edge on everything from 0.
 * @param {number} raw
 */
function leaned(raw) {
  const beyond = Math.min(1, (Math.abs(raw) - DEAD_ZONE) / (1 - DEAD_ZONE));
  return beyond > 0 ? (Math.sign(raw) * Math.ceil(beyond * STEPS)) / STEPS : 0;
}

export class Gamepads {
  /** @type {Emitter<Map<string, number>>} a reading of all of them, the strongest of each control */
  read = new Emitter();
  /** @type {Emitter<void>} the first one came, or the last one went */
  changed = new Emitter();

  #wanted = false;
  #frame = 0;

  /** @param {AbortSignal} closing */
  constructor(closing) {
    for (const type of ["gamepadconnected", "gamepaddisconnected"]) {
      window.addEventListener(type, () => (this.changed.emit(), this.#follow()), { signal: closing });
    }
    closing.addEventListener("abort", () => (this.wanted = false));
  }

  /** Whether there is one. Browsers show it once a button of it was pressed. */
  get connected() {
    return connected().length > 0;
  }

  /** @param {boolean} wanted whether anybody plays; without that it is not even looked at */
  set wanted(wanted) {
    this.#wanted = wanted;
    this.#follow();
  }

  #follow() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#wanted && this.connected) this.#poll();
    else this.read.emit(new Map());
  }

  #poll() {
    this.#frame = requestAnimationFrame(() => this.#poll());
    const readings = connected().map(readPad);
    const strongest = new Map();
    for (const [name, far] of readings.flatMap((reading) => [...reading])) {
      if (Math.abs(far) > Math.abs(strongest.get(name) ?? 0)) strongest.set(name, far);
    }
    this.read.emit(strongest);
  }
}

/** @returns {Gamepad[]} */
function connected() {
  // Not there on plain http from another machine in some browsers.
  return [...(navigator.getGamepads?.() ?? [])].filter((pad) => pad !== null).filter((pad) => pad.connected);
}
