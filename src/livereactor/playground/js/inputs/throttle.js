/** How fast one value follows another: the newest, at most 60 a second, and few at a time without an answer. Pure. */

export const INTERVAL_MS = 1000 / 60;
/** An answer that takes longer than so many intervals is worth waiting for: more would only queue up before the model. */
export const MOST_UNANSWERED = 12;

/** @template T */
export class Throttle {
  /** @type {{value: T} | null} */
  #waiting = null;
  #next = -Infinity;
  #unanswered = 0;

  /** @param {T} value takes the place of one that still waits */
  offer(value) {
    this.#waiting = { value };
  }

  /** Nothing waits any more. */
  forget() {
    this.#waiting = null;
  }

  /** When `take` gives something, in the milliseconds of its `now`; null: not before something else happens. */
  get deadline() {
    return this.#waiting && this.#unanswered < MOST_UNANSWERED ? this.#next : null;
  }

  /**
   * @param {number} now milliseconds, monotonic
   * @returns {{value: T} | null} what is to be sent now
   */
  take(now) {
    const { deadline } = this;
    // A millisecond early is on time: screens refresh at 60.0 to 60.3 a second.
    if (deadline === null || now < deadline - 1) return null;
    const taken = this.#waiting;
    this.#waiting = null;
    this.#next = now + INTERVAL_MS;
    this.#unanswered++;
    return taken;
  }

  /** What was taken has been answered, or will never be. */
  answered() {
    this.#unanswered--;
  }
}
