/** Playing the model: keys, gamepad, glass and touches of the picture become its parameters and commands. */

import { Gamepads } from "./gamepad.js";
import { InputState } from "./input-state.js";
import { Keyboard } from "./keyboard.js";
import { KeyLegend } from "./key-legend.js";
import { Throttle } from "./throttle.js";
import { Toasts } from "../shared/toasts.js";
import { Touchpad } from "./touchpad.js";
import { readable } from "../shared/text.js";

/** @typedef {import("./input-state.js").InputAction} InputAction */
/** @typedef {() => Promise<string>} Sending resolves to what is wrong, in words; empty: nothing */

export class PlayerInput {
  #controls;
  #root;
  #inputs = new InputState([]);
  #keyboard;
  #gamepads;
  #touchpad;
  #legend;
  #toasts;
  #isLive = false;
  /** @type {Map<string, Throttle<Sending>>} by command */
  #throttles = new Map();

  /**
   * @param {import("./controls.js").Controls} controls
   * @param {import("../shared/emitter.js").Emitter<{x: number, y: number}>} touched places on the picture, 0..1 each
   * @param {HTMLElement} root of the stage
   * @param {{keyTarget: EventTarget, closing: AbortSignal}} life `keyTarget`: where keys are heard; `closing`: when no more
   */
  constructor(controls, touched, root, { keyTarget, closing }) {
    this.#controls = controls;
    this.#root = root;
    this.#keyboard = new Keyboard(keyTarget, (key) => this.#isLive && this.#inputs.takes(key), closing);
    this.#gamepads = new Gamepads(closing);
    this.#touchpad = new Touchpad(root, closing);
    this.#legend = new KeyLegend(root, keyTarget, closing);
    this.#toasts = new Toasts(root);
    controls.drawn.listen(() => this.#bind());
    touched.listen(({ x, y }) => this.#offer("touch", () => controls.touch(x, y)));
    this.#keyboard.moved.listen(({ key, down }) => (this.#touchpad.giveWay(), this.#perform(this.#inputs.key(key, down))));
    this.#keyboard.left.listen(() => this.#perform(this.#inputs.release()));
    this.#gamepads.read.listen((reading) => this.#perform(this.#inputs.pad(reading)));
    this.#gamepads.changed.listen(() => {
      this.#bind();
      if (this.#gamepads.connected) this.#legend.introduce();
    });
    this.#touchpad.leaned.listen(({ name, far }) => this.#perform(this.#inputs.touch(name, far)));
    this.#bind();
  }

  /** The first picture of a session is on screen. */
  introduce() {
    this.#legend.introduce();
  }

  /** A new session: nothing that was asked of the last one goes to it. */
  forget() {
    for (const throttle of this.#throttles.values()) throttle.forget();
    this.#toasts.say("");
  }

  /** @param {boolean} isLive whether commands have an effect now; while not, all is let go, and said once they have */
  setLive(isLive) {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    this.#root.classList.toggle("playable", isLive);
    this.#gamepads.wanted = isLive;
    if (!isLive) this.#keyboard.clear();
    else for (const name of this.#throttles.keys()) this.#flush(name);
  }

  /** The model has other controls than before, or there is a gamepad now. */
  #bind() {
    this.#perform(this.#inputs.release());
    const { bound, pointer } = this.#controls;
    this.#inputs = new InputState(bound);
    this.#touchpad.offer(bound);
    if (this.#gamepads.connected) this.#touchpad.giveWay();
    this.#legend.offer(bound, { pointer: pointer ? readable(pointer.name) : "", pad: this.#gamepads.connected });
  }

  /** @param {readonly InputAction[]} actions */
  #perform(actions) {
    for (const { name, value } of actions) {
      if (value !== undefined) this.#offer(name, () => this.#controls.push(name, value));
      else if (this.#isLive) void this.#controls.press(name).then((fault) => this.#toasts.say(fault));
    }
    if (actions.length) this.#legend.mark(this.#inputs.held);
  }

  /**
   * @param {string} name
   * @param {Sending} send
   */
  #offer(name, send) {
    const throttle = this.#throttles.get(name) ?? new Throttle();
    this.#throttles.set(name, throttle);
    throttle.offer(send);
    this.#flush(name);
  }

  /** @param {string} name */
  #flush(name) {
    const throttle = this.#throttles.get(name);
    if (!throttle || !this.#isLive) return;
    const now = performance.now();
    const taken = throttle.take(now);
    if (!taken) {
      if (throttle.deadline !== null) setTimeout(() => this.#flush(name), throttle.deadline - now);
      return;
    }
    void taken.value().then((fault) => {
      throttle.answered();
      this.#toasts.say(fault);
      this.#flush(name);
    });
  }
}
