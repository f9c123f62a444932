/** Playing the model: keys, gamepad, glass and touches of the picture become its parameters and commands. */

import { readable } from "./dom.js";
import { Gamepads } from "./gamepad.js";
import { Hands } from "./hands.js";
import { Keyboard } from "./keys.js";
import { Legend } from "./legend.js";
import { Pace } from "./pace.js";
import { Remarks } from "./remarks.js";
import { Touchpad } from "./touchpad.js";

/** @typedef {import("./hands.js").Deed} Deed */
/** @typedef {() => Promise<string>} Sending resolves to what is wrong, in words; empty: nothing */

export class Play {
  #controls;
  #root;
  #hands = new Hands([]);
  #keyboard;
  #gamepads;
  #touchpad;
  #legend;
  #remarks;
  #isLive = false;
  /** @type {Map<string, Pace<Sending>>} by command */
  #paces = new Map();

  /**
   * @param {import("./controls.js").Controls} controls
   * @param {import("./stage.js").Stage} stage
   * @param {HTMLElement} root of the stage
   * @param {{ears: EventTarget, closing: AbortSignal}} life `ears`: where keys are heard; `closing`: when no more
   */
  constructor(controls, stage, root, { ears, closing }) {
    this.#controls = controls;
    this.#root = root;
    this.#keyboard = new Keyboard(ears, (key) => this.#isLive && this.#hands.takes(key), closing);
    this.#gamepads = new Gamepads(closing);
    this.#touchpad = new Touchpad(root, closing);
    this.#legend = new Legend(root, ears, closing);
    this.#remarks = new Remarks(root);
    controls.drawn.listen(() => this.#bind());
    stage.touched.listen(({ x, y }) => this.#offer("touch", () => controls.touch(x, y)));
    this.#keyboard.moved.listen(({ key, down }) => (this.#touchpad.giveWay(), this.#do(this.#hands.key(key, down))));
    this.#keyboard.left.listen(() => this.#do(this.#hands.release()));
    this.#gamepads.read.listen((reading) => this.#do(this.#hands.pad(reading)));
    this.#gamepads.changed.listen(() => {
      this.#bind();
      if (this.#gamepads.connected) this.#legend.introduce();
    });
    this.#touchpad.leaned.listen(({ name, far }) => this.#do(this.#hands.touch(name, far)));
    this.#bind();
  }

  /** The first picture of a session is on screen. */
  introduce() {
    this.#legend.introduce();
  }

  /** A new session: nothing that was asked of the last one goes to it. */
  forget() {
    for (const pace of this.#paces.values()) pace.forget();
    this.#remarks.say("");
  }

  /** @param {boolean} isLive whether commands have an effect now; while not, all is let go, and said once they have */
  setLive(isLive) {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    this.#root.classList.toggle("playable", isLive);
    this.#gamepads.wanted = isLive;
    if (!isLive) this.#keyboard.clear();
    else for (const name of this.#paces.keys()) this.#flush(name);
  }

  /** The model has other controls than before, or there is a gamepad now. */
  #bind() {
    this.#do(this.#hands.release());
    const { bound, pointer } = this.#controls;
    this.#hands = new Hands(bound);
    this.#touchpad.offer(bound);
    if (this.#gamepads.connected) this.#touchpad.giveWay();
    this.#legend.offer(bound, { pointer: pointer ? readable(pointer.name) : "", pad: this.#gamepads.connected });
  }

  /** @param {readonly Deed[]} deeds */
  #do(deeds) {
    for (const { name, value } of deeds) {
      if (value !== undefined) this.#offer(name, () => this.#controls.push(name, value));
      else if (this.#isLive) void this.#controls.press(name).then((fault) => this.#remarks.say(fault));
    }
    if (deeds.length) this.#legend.mark(this.#hands.held);
  }

  /**
   * @param {string} name
   * @param {Sending} send
   */
  #offer(name, send) {
    const pace = this.#paces.get(name) ?? new Pace();
    this.#paces.set(name, pace);
    pace.offer(send);
    this.#flush(name);
  }

  /** @param {string} name */
  #flush(name) {
    const pace = this.#paces.get(name);
    if (!pace || !this.#isLive) return;
    const now = performance.now();
    const taken = pace.take(now);
    if (!taken) {
      if (pace.deadline !== null) setTimeout(() => this.#flush(name), pace.deadline - now);
      return;
    }
    void taken.value().then((fault) => {
      pace.answered();
      this.#remarks.say(fault);
      this.#flush(name);
    });
  }
}
