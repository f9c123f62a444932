/** The time left in a session with a maximum duration: a clock in the bar, and an announcement before the end. */

import { countdown } from "../words/waiting.js";

/** Seconds before the end at which screen readers announce it. */
const WARNING = 30;

export class Countdown {
  #clock;
  #aloud;
  #now;
  /** @type {number | null} */
  #expiresAt = null;

  /**
   * @param {HTMLElement} clock
   * @param {HTMLElement} aloud live region for screen readers
   * @param {() => number} now the server's clock, in seconds of Unix time
   */
  constructor(clock, aloud, now) {
    this.#clock = clock;
    this.#aloud = aloud;
    this.#now = now;
    setInterval(() => this.#draw(), 1000);
  }

  /** @param {number | null} expiresAt seconds of Unix time; null: no end is known, or there is no session */
  until(expiresAt) {
    this.#expiresAt = expiresAt;
    this.#draw();
  }

  #draw() {
    const left = this.#expiresAt === null ? null : this.#expiresAt - this.#now();
    this.#clock.hidden = left === null;
    if (left === null) return void (this.#aloud.textContent = "");
    const isSoon = left <= WARNING;
    this.#clock.classList.toggle("soon", isSoon);
    this.#clock.textContent = `${countdown(left)} left`;
    const word = isSoon ? "The session ends in less than 30 seconds." : "";
    if (this.#aloud.textContent !== word) this.#aloud.textContent = word;
  }
}
