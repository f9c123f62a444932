/** Limit the rate of values: the newest, at most 60 a second, and a few at a time without a reply. Pure. */

export const INTERVAL_MS = 1000 / 60;
/** Largest number of values without a reply: more would only queue up at the model. */
export const MAX_UNANSWERED = 12;

/** @template T */
export class Throttle {
  /** @type {{value: T} | null} */
  #waiting = null;
  #next = -Infinity;
  #unanswered = 0;

  /** Offer a value; it replaces one that still waits. @param {T} value */
  offer(value) {
    this.#waiting = { value };
  }

  /** Drop the waiting value. */
  forget() {
    this.#waiting = null;
  }

  /**
   * The time at which `take` returns a value, in the milliseconds of `now`; null: not before a reply or another value.
   */
  get deadline() {
    return this.#waiting && this.#unanswered < MAX_UNANSWERED ? this.#next : null;
  }

  /**
   * @param {number} now milliseconds, monotonic
   * @returns {{value: T} | null} the value to send now
   */
  take(now) {
    const { deadline } = this;
    // One millisecond early is on time: screens refresh 60.0 to 60.3 times a second.
    if (deadline === null || now < deadline - 1) return null;
    const taken = this.#waiting;
    this.#waiting = null;
    this.#next = now + INTERVAL_MS;
    this.#unanswered++;
    return taken;
  }

  /** Count a reply, or a request that will get none. */
  answered() {
    this.#unanswered--;
  }
}
