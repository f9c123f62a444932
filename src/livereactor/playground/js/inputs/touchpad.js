/** On-screen sticks and buttons for touch screens. The panel offers the same controls. */

import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { forTouch } from "./bindings.js";

/** @typedef {import("./bindings.js").Bound} Bound */
/** @typedef {import("./bindings.js").Stick} Stick */

export class Touchpad {
  /** @type {Emitter<{name: string, far: number}>} deflection of a control, -1..1; 0: released */
  moved = new Emitter();

  #root = element("div", { class: "touchpad", "aria-hidden": "true", hidden: true });
  #coarse = window.matchMedia("(hover: none) and (pointer: coarse)");
  #hasKeys = false;
  #isEmpty = true;

  /**
   * @param {HTMLElement} stage
   * @param {AbortSignal} closing
   */
  constructor(stage, closing) {
    stage.append(this.#root);
    this.#coarse.addEventListener("change", () => this.#show(), { signal: closing });
  }

  /** Draw the sticks and buttons of bindings. @param {readonly Bound[]} bound */
  offer(bound) {
    const { sticks, buttons } = forTouch(bound);
    this.#isEmpty = sticks.length + buttons.length === 0;
    this.#root.replaceChildren(
      ...sticks.map((stick) => this.#stick(stick)),
      element("div", { class: "pads" }, ...buttons.map((each) => this.#button(each))),
    );
    this.#show();
  }

  /** Hide for good: a key or a gamepad is used. */
  hide() {
    this.#hasKeys = true;
    this.#show();
  }

  #show() {
    this.#root.hidden = this.#isEmpty || this.#hasKeys || !this.#coarse.matches;
  }

  /** @param {Stick} stick */
  #stick({ x, y }) {
    const knob = element("span", { class: "knob" });
    const words = [x, y].flatMap((axis) => (axis ? [axis.label] : [])).join(" · ");
    const well = element("div", { class: "well" }, knob);
    const lean = (/** @type {number} */ across, /** @type {number} */ up) => {
      well.classList.toggle("held", across !== 0 || up !== 0);
      knob.style.translate = `${across * 50}% ${up * -50}%`;
      if (x) this.moved.emit({ name: x.name, far: across });
      if (y) this.moved.emit({ name: y.name, far: up });
    };
    trackPointer(well, (event) => {
      if (!event) return lean(0, 0);
      const { left, top, width, height } = well.getBoundingClientRect();
      const across = x ? (event.clientX - left) / (width / 2) - 1 : 0;
      const up = y ? 1 - (event.clientY - top) / (height / 2) : 0;
      // Beyond the rim, the direction counts.
      const far = Math.max(1, Math.hypot(across, up));
      lean(Math.round((across / far) * 100) / 100, Math.round((up / far) * 100) / 100);
    });
    return element("div", { class: "stick" }, well, element("span", { class: "stick-name" }, words));
  }

  /** @param {Bound} bound */
  #button({ name, label }) {
    const pad = element("div", { class: "pad" }, label);
    trackPointer(pad, (event) => {
      pad.classList.toggle("held", event !== null);
      this.moved.emit({ name, far: event ? 1 : 0 });
    });
    return pad;
  }
}

/**
 * @param {HTMLElement} target
 * @param {(event: PointerEvent | null) => void} moved called while the pointer is down; null when it is released
 */
function trackPointer(target, moved) {
  target.addEventListener("pointerdown", (event) => {
    target.setPointerCapture(event.pointerId);
    moved(event);
  });
  target.addEventListener("pointermove", (event) => target.hasPointerCapture(event.pointerId) && moved(event));
  target.addEventListener("lostpointercapture", () => moved(null));
}
