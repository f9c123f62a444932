/** The legend of keys on the stage: shown for the first seconds, behind a `?`, and while a key is held. */

import { element } from "../shared/dom.js";
import { isAcross, keySign, padSign } from "./bindings.js";
import { isForPage } from "./keyboard.js";

/** @typedef {import("./bindings.js").Bound} Bound */

/** Milliseconds: long enough to read, short enough not to be in the way. */
const INTRODUCTION_MS = 7000;

export class KeyLegend {
  #list = element("ul", { id: "legend", class: "legend", "aria-label": "Keyboard and touch controls", hidden: true });
  #button = element(
    "button",
    {
      type: "button",
      class: "legend-button",
      title: "Keyboard and touch controls (?)",
      "aria-label": "Keyboard and touch controls",
      "aria-expanded": "false",
      "aria-controls": "legend",
      hidden: true,
      onclick: () => this.#setOpen(!this.#isOpen),
    },
    "?",
  );
  /** @type {{caps: Map<string, HTMLElement>, row: HTMLElement}[]} rows with their key caps by name */
  #rows = [];
  #isOpen = false;
  #isIntroducing = false;
  #timer = 0;

  /**
   * @param {HTMLElement} stage
   * @param {EventTarget} keyTarget receives the key `?`
   * @param {AbortSignal} closing
   */
  constructor(stage, keyTarget, closing) {
    stage.append(element("div", { class: "legend-place" }, this.#list, this.#button));
    keyTarget.addEventListener("keydown", (event) => this.#onKey(/** @type {KeyboardEvent} */ (event)), { signal: closing });
  }

  /**
   * Draw the legend of bindings.
   * @param {readonly Bound[]} bound
   * @param {{pointer: string, pad: boolean}} also name of the pointer command, and whether a gamepad is connected
   */
  offer(bound, { pointer, pad }) {
    this.#rows = bound.flatMap((each) => {
      const caps = capsOf(each, pad);
      if (!caps.size) return [];
      const row = element("li", {}, element("span", { class: "caps" }, ...caps.values()), ` ${each.label}`);
      return [{ caps, row }];
    });
    const touch = pointer
      ? [element("li", { class: "about" }, element("span", { class: "caps" }, cap("Touch")), ` ${pointer}`)]
      : [];
    this.#list.replaceChildren(...this.#rows.map(({ row }) => row), ...touch);
    this.#button.hidden = this.#list.childElementCount === 0;
    this.#show();
  }

  /** Show the legend for some seconds, once the first frame is there. */
  introduce() {
    clearTimeout(this.#timer);
    this.#isIntroducing = true;
    this.#timer = setTimeout(() => ((this.#isIntroducing = false), this.#show()), INTRODUCTION_MS);
    this.#show();
  }

  /** Mark what is held. @param {ReadonlySet<string>} held keys, and gamepad controls such as `pad left_x` */
  mark(held) {
    for (const { caps, row } of this.#rows) {
      for (const [name, each] of caps) each.classList.toggle("held", held.has(name));
      row.classList.toggle("held", [...caps.keys()].some((name) => held.has(name)));
    }
    this.#show();
  }

  /** @param {boolean} open */
  #setOpen(open) {
    this.#isOpen = open;
    this.#isIntroducing = false;
    this.#button.setAttribute("aria-expanded", String(open));
    this.#show();
  }

  #show() {
    const isExpanded = this.#isOpen || this.#isIntroducing;
    const isHeld = this.#rows.some(({ row }) => row.classList.contains("held"));
    this.#list.classList.toggle("expanded", isExpanded);
    this.#list.hidden = !this.#list.childElementCount || !(isExpanded || isHeld);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === "Escape" && this.#isOpen) this.#setOpen(false);
    else if (event.key === "?" && !isForPage(event, "?") && !this.#button.hidden) this.#setOpen(!this.#isOpen);
  }
}

/**
 * @param {Bound} bound
 * @param {boolean} withPad
 * @returns {Map<string, HTMLElement>}
 */
function capsOf(bound, withPad) {
  const { keys, pad, kind } = bound;
  // W before S: up first, as on the keyboard.
  const inOrder = kind === "axis" && !isAcross(bound) ? [...keys].reverse() : keys;
  const caps = new Map(inOrder.map((key) => [key, cap(keySign(key))]));
  if (pad && withPad) caps.set(`pad ${pad}`, cap(padSign(pad)));
  return caps;
}

/** @param {string} sign */
function cap(sign) {
  return element("kbd", {}, sign);
}
