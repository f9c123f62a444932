/** Short messages on the video, such as why a key press had no effect. Each disappears after a while. */

import { element } from "./dom.js";

const SHOWN_MS = 5000;

export class Toasts {
  #text = element("p", { class: "toast", role: "status", "aria-live": "polite" });
  #timer = 0;

  /** @param {HTMLElement} stage */
  constructor(stage) {
    stage.append(this.#text);
  }

  /** @param {string} text an empty text clears the message */
  show(text) {
    clearTimeout(this.#timer);
    // An unchanged text is not read out again.
    if (this.#text.textContent !== text) this.#text.textContent = text;
    if (text) this.#timer = setTimeout(() => (this.#text.textContent = ""), SHOWN_MS);
  }
}
