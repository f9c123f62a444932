/**
 * From a command to the picture that shows it, and where that time goes. Pure.
 *
 * A runtime answers a command after its handler and before the next picture (behaviour 7.14). The picture that shows it
 * is the first one made after that: every picture carries its time on the model's clock (its RTP time stamp), and the
 * fastest pictures of the last seconds tell how the two clocks lie, but for the time they take to be encoded. Where a
 * browser tells no time stamps, the first picture to arrive after the answer stands for it: then one that was on its way
 * already makes the figure too small, by at most one picture's time.
 */

/** Ticks a millisecond of a picture's time stamp. */
const TICKS = 90;
/** Pictures by which the clocks are compared: some seconds, so that no drift counts. */
const COMPARED = 120;
/** The figure is the middle one of so many commands. */
const KEPT = 9;
/** Time stamps that leap by more are another stream's. */
const FOREIGN_MS = 5000;
/** Beyond this the model did not draw for the command. */
const LIMIT_MS = 2000;

/** All in milliseconds of `performance.now()`. @typedef {{sentAt: number, repliedAt: number, roundTripMs: number}} Answer */
/** As browsers tell of a picture. `rtpTimestamp`: 90 kHz, 32 bits.
 * @typedef {{receiveTime?: number, rtpTimestamp?: number, presentationTime: number, expectedDisplayTime: number}} Picture
 */
/** The parts of one measured command, in ms, in order. @typedef {Record<(typeof PARTS)[number], number>} Parts */

export const PARTS = /** @type {const} */ (["there", "taken", "made", "back", "decoded", "screen"]);

export class Latency {
  /** @type {Answer | null} */
  #awaited = null;
  /** @type {Parts[]} */
  #measured = [];
  /** @type {number[]} arrival minus time stamp */
  #transits = [];
  #lastStamp = NaN;
  #madeAt = 0;

  /** @param {Answer} answer one at a time is followed up */
  answered(answer) {
    this.#awaited ??= answer;
  }

  /** @param {Picture} picture as it is shown, in order */
  shown(picture) {
    const receivedAt = picture.receiveTime ?? picture.presentationTime;
    const madeAt = this.#stamp(picture.rtpTimestamp, receivedAt);
    const awaited = this.#awaited;
    if (!awaited) return;
    const wayMs = this.#wayMs(awaited);
    const handledAt = awaited.repliedAt - wayMs;
    const isLate = madeAt === null ? receivedAt >= awaited.repliedAt : madeAt - wayMs >= handledAt;
    if (!isLate) return;
    this.#awaited = null;
    const parts = {
      there: wayMs,
      taken: handledAt - wayMs - awaited.sentAt,
      made: Math.max(0, receivedAt - wayMs - handledAt),
      back: wayMs,
      decoded: Math.max(0, picture.presentationTime - receivedAt),
      screen: Math.max(0, picture.expectedDisplayTime - picture.presentationTime),
    };
    if (total(parts) > LIMIT_MS) return;
    this.#measured.push(parts);
    if (this.#measured.length > KEPT) this.#measured.shift();
  }

  /** The middle one of the last commands; null before there is one. @returns {Parts | null} */
  get parts() {
    const sorted = [...this.#measured].sort((one, other) => total(one) - total(other));
    return sorted[sorted.length >> 1] ?? null;
  }

  /** Milliseconds; NaN before there is one. */
  get ms() {
    return this.parts ? total(this.parts) : NaN;
  }

  /** How many commands it is the middle of. */
  get count() {
    return this.#measured.length;
  }

  /** Whether pictures carry time stamps here. */
  get isStamped() {
    return this.#transits.length > 0;
  }

  /** An answer took the way twice, so no way can be longer than half of it. @param {Answer} answer */
  #wayMs({ sentAt, repliedAt, roundTripMs }) {
    const tripMs = repliedAt - sentAt;
    return Math.min(Number.isNaN(roundTripMs) ? tripMs : roundTripMs, tripMs) / 2;
  }

  /**
   * When a picture would have arrived had it been as fast as the fastest.
   * @param {number | undefined} stamp
   * @param {number} receivedAt
   * @returns {number | null} null: it has no time stamp
   */
  #stamp(stamp, receivedAt) {
    if (stamp === undefined) return null;
    // The counter goes round every 13 hours; `| 0` makes the difference of 32 bits a signed one.
    if (!Number.isNaN(this.#lastStamp)) this.#madeAt += ((stamp - this.#lastStamp) | 0) / TICKS;
    this.#lastStamp = stamp;
    const transit = receivedAt - this.#madeAt;
    // Another track, or another connection: its stamps begin elsewhere.
    if (Math.abs(transit - (this.#transits.at(-1) ?? transit)) > FOREIGN_MS) this.#transits = [];
    this.#transits.push(transit);
    if (this.#transits.length > COMPARED) this.#transits.shift();
    return this.#madeAt + Math.min(...this.#transits);
  }
}

/** @param {Parts} parts */
function total(parts) {
  return PARTS.reduce((sum, part) => sum + parts[part], 0);
}
