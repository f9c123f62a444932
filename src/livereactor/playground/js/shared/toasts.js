/** A sentence on the picture about what a hand just did there, and why it had no effect; gone after a while. */

import { element } from "./dom.js";

const SHOWN_MS = 5000;

export class Toasts {
  #text = element("p", { class: "remark", role: "status", "aria-live": "polite" });
  #timer = 0;

  /** @param {HTMLElement} stage */
  constructor(stage) {
    stage.append(this.#text);
  }

  /** @param {string} text empty: nothing is wrong any more */
  say(text) {
    clearTimeout(this.#timer);
    // The same sentence again is not read out again.
    if (this.#text.textContent !== text) this.#text.textContent = text;
    if (text) this.#timer = setTimeout(() => (this.#text.textContent = ""), SHOWN_MS);
  }
}
