/** Turn keys, gamepad, touch controls and pointer on the video into parameters and commands of the model. */

import { readable } from "../shared/text.js";
import { Toasts } from "../shared/toasts.js";
import { Gamepads } from "./gamepad.js";
import { InputState } from "./input-state.js";
import { KeyLegend } from "./key-legend.js";
import { Keyboard } from "./keyboard.js";
import { Throttle } from "./throttle.js";
import { Touchpad } from "./touchpad.js";

/** @typedef {import("./input-state.js").InputAction} InputAction */
/**
 * A pending command, which resolves to why it was refused; empty if accepted.
 * @typedef {() => Promise<string>} Sending
 */

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
   * @param {import("../shared/emitter.js").Emitter<{x: number, y: number}>} touched positions on the video, 0..1 each
   * @param {HTMLElement} root of the stage
   * @param {{keyTarget: EventTarget, closing: AbortSignal}} life `keyTarget` receives keys; `closing` ends it
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
    this.#keyboard.moved.listen(({ key, down }) => (this.#touchpad.hide(), this.#perform(this.#inputs.key(key, down))));
    this.#keyboard.released.listen(() => this.#perform(this.#inputs.release()));
    this.#gamepads.read.listen((reading) => this.#perform(this.#inputs.pad(reading)));
    this.#gamepads.changed.listen(() => {
      this.#bind();
      if (this.#gamepads.connected) this.#legend.introduce();
    });
    this.#touchpad.moved.listen(({ name, far }) => this.#perform(this.#inputs.touch(name, far)));
    this.#bind();
  }

  /** Show the legend: the first frame of a session is on screen. */
  introduce() {
    this.#legend.introduce();
  }

  /** Drop what was meant for the previous session. */
  forget() {
    for (const throttle of this.#throttles.values()) throttle.forget();
    this.#toasts.show("");
  }

  /** Set whether commands take effect now. Otherwise all keys count as released. @param {boolean} isLive */
  setLive(isLive) {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    this.#root.classList.toggle("playable", isLive);
    this.#gamepads.wanted = isLive;
    if (!isLive) this.#keyboard.clear();
    else for (const name of this.#throttles.keys()) this.#flush(name);
  }

  /** Bind the controls anew: the model or the gamepads have changed. */
  #bind() {
    this.#perform(this.#inputs.release());
    const { bound, pointer } = this.#controls;
    this.#inputs = new InputState(bound);
    this.#touchpad.offer(bound);
    if (this.#gamepads.connected) this.#touchpad.hide();
    this.#legend.offer(bound, { pointer: pointer ? readable(pointer.name) : "", pad: this.#gamepads.connected });
  }

  /** @param {readonly InputAction[]} actions */
  #perform(actions) {
    for (const { name, value } of actions) {
      if (value !== undefined) this.#offer(name, () => this.#controls.push(name, value));
      else if (this.#isLive) void this.#controls.press(name).then((fault) => this.#toasts.show(fault));
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
      this.#toasts.show(fault);
      this.#flush(name);
    });
  }
}
