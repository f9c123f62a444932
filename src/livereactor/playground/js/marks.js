/** When commands were given, in the window that the timeline shows. Pure. */

/** Commands this close, in seconds, are one mark: a slider that is dragged gives thirty a second. */
const CLOSE = 1;

export class Marks {
  /** Seconds of the caller's clock, oldest first. @type {number[]} */
  #times = [];
  #window;

  /** @param {number} window seconds */
  constructor(window) {
    this.#window = window;
  }

  /**
   * @param {number} now seconds
   * @returns {boolean} whether it is a new mark
   */
  add(now) {
    if (now - (this.#times.at(-1) ?? -Infinity) < CLOSE) return false;
    this.#times.push(now);
    return true;
  }

  /**
   * @param {number} now seconds
   * @returns {number[]} how long ago each was, as a share of the window, oldest first; older ones are forgotten
   */
  seen(now) {
    while (this.#times.length && now - /** @type {number} */ (this.#times[0]) > this.#window) this.#times.shift();
    return this.#times.map((time) => (now - time) / this.#window);
  }

  clear() {
    this.#times = [];
  }
}
