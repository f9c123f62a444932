/** Gamepads: sticks and buttons, read once per screen refresh while a session takes input. */

import { Emitter } from "../shared/emitter.js";

/** Largest deflection of a stick at rest. */
export const DEAD_ZONE = 0.15;
/** Steps in each direction; finer steps would be noise. */
const STEPS = 100;

/** Names by index of the standard mapping. */
const AXES = ["left_x", "left_y", "right_x", "right_y"];
const BUTTONS = [
  ...["a", "b", "x", "y", "left_bumper", "right_bumper", "left_trigger", "right_trigger", "select", "start"],
  ...["", "", "up", "down", "left", "right"],
];

/**
 * Read a gamepad: axes -1..1, right and up positive; buttons and triggers 0..1. Controls at rest are left out.
 * @param {{axes: readonly number[], buttons: readonly {pressed: boolean, value: number}[]}} pad
 * @returns {Map<string, number>}
 */
export function readPad({ axes, buttons }) {
  const reading = new Map();
  AXES.forEach((name, index) => {
    const value = beyondDeadZone(axes[index] ?? 0);
    // In browsers, down is positive.
    if (value) reading.set(name, name.endsWith("y") ? -value : value);
  });
  BUTTONS.forEach((name, index) => {
    const button = buttons[index];
    const value = beyondDeadZone(button?.value || Number(button?.pressed ?? false));
    if (name && value) reading.set(name, value);
  });
  return reading;
}

/**
 * Apply the dead zone, so that values start at 0 beyond its edge.
 * @param {number} raw
 */
function beyondDeadZone(raw) {
  const beyond = Math.min(1, (Math.abs(raw) - DEAD_ZONE) / (1 - DEAD_ZONE));
  return beyond > 0 ? (Math.sign(raw) * Math.ceil(beyond * STEPS)) / STEPS : 0;
}

export class Gamepads {
  /** @type {Emitter<Map<string, number>>} combined reading: the strongest of each control */
  read = new Emitter();
  /** @type {Emitter<void>} the first gamepad was connected, or the last one disconnected */
  changed = new Emitter();

  #wanted = false;
  #frame = 0;

  /** @param {AbortSignal} closing */
  constructor(closing) {
    for (const type of ["gamepadconnected", "gamepaddisconnected"]) {
      window.addEventListener(type, () => (this.changed.emit(), this.#startOrStop()), { signal: closing });
    }
    closing.addEventListener("abort", () => (this.wanted = false));
  }

  /** Whether a gamepad is connected. Browsers report it once a button was pressed. */
  get connected() {
    return connected().length > 0;
  }

  /** Gamepads are read only while `wanted`. @param {boolean} wanted */
  set wanted(wanted) {
    this.#wanted = wanted;
    this.#startOrStop();
  }

  #startOrStop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#wanted && this.connected) this.#poll();
    else this.read.emit(new Map());
  }

  #poll() {
    this.#frame = requestAnimationFrame(() => this.#poll());
    const readings = connected().map(readPad);
    const strongest = new Map();
    for (const [name, value] of readings.flatMap((reading) => [...reading])) {
      if (Math.abs(value) > Math.abs(strongest.get(name) ?? 0)) strongest.set(name, value);
    }
    this.read.emit(strongest);
  }
}

/** @returns {Gamepad[]} */
function connected() {
  // Some browsers lack it on plain http from another machine.
  return [...(navigator.getGamepads?.() ?? [])].filter((pad) => pad !== null).filter((pad) => pad.connected);
}
