/**
 * From a command to the picture that shows it, and where that time goes. Pure.
 *
 * Every picture carries its time on the model's clock (its RTP time stamp); the fastest pictures of the last seconds
 * tell how that clock lies to the page's, but for the time a picture takes to be encoded. A runtime takes a command
 * between two pictures, answers it, and makes the next picture, which shows it (behaviour 7.14). So that is
 *
 * - the first one made after the answer left. But the page may hear of an answer long after its picture is on screen: it
 *   is busier than the decoder. So, before that,
 * - the first one that could know of the command and is out of step with those before: it was made because of it.
 *
 * Where a browser tells no time stamps, the first picture to arrive after the answer stands for it: then one that was on
 * its way already makes the figure too small, by at most one picture's time.
 */

/** Ticks a millisecond of a picture's time stamp. */
const TICKS = 90;
/** Pictures by which the clocks and the step are told: some seconds, so that no drift counts. */
const COMPARED = 120;
/** Pictures that may have come before the answer to their command. */
const REMEMBERED = 60;
/** Out of step is what is this far off, and four times as far as pictures usually are. */
const LEAST_OFF_MS = 3;
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
/**
 * `dueAt`: when it would have arrived had it been as fast as the fastest; null: it has no time stamp.
 * @typedef {{receivedAt: number, dueAt: number | null, isOutOfStep: boolean, decodedAt: number, shownAt: number}} Seen
 */
/** The parts of one measured command, in ms, in order. @typedef {Record<(typeof PARTS)[number], number>} Parts */

export const PARTS = /** @type {const} */ (["there", "taken", "made", "back", "decoded", "screen"]);

export class Latency {
  /** @type {Answer | null} */
  #awaited = null;
  /** @type {Seen[]} */
  #recent = [];
  /** @type {Parts[]} */
  #measured = [];
  #clock = new Clock();

  /** @param {Answer} answer one at a time is followed up */
  answered(answer) {
    if (this.#awaited) return;
    this.#awaited = answer;
    for (const seen of this.#recent) this.#compare(seen);
  }

  /** @param {Picture} picture as it is shown, in order */
  shown({ receiveTime, rtpTimestamp, presentationTime, expectedDisplayTime }) {
    const receivedAt = receiveTime ?? presentationTime;
    const read = this.#clock.read(rtpTimestamp, receivedAt);
    const seen = { receivedAt, ...read, decodedAt: presentationTime, shownAt: expectedDisplayTime };
    this.#recent.push(seen);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
    this.#compare(seen);
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
    return this.#recent.at(-1)?.dueAt != null;
  }

  /** @param {Seen} seen maybe the picture that shows the command */
  #compare(seen) {
    const answer = this.#awaited;
    if (!answer) return;
    const { sentAt, repliedAt } = answer;
    const wayMs = oneWay(answer);
    const { receivedAt, dueAt, isOutOfStep, decodedAt, shownAt } = seen;
    const isLate = (dueAt ?? receivedAt) >= repliedAt;
    const isBecause = dueAt !== null && isOutOfStep && dueAt >= sentAt + 2 * wayMs;
    if (!isLate && !isBecause) return;
    this.#awaited = null;
    const takenAt = Math.max(sentAt + wayMs, Math.min(repliedAt, dueAt ?? Infinity) - wayMs);
    const parts = {
      there: wayMs,
      taken: takenAt - wayMs - sentAt,
      made: Math.max(0, receivedAt - wayMs - takenAt),
      back: wayMs,
      decoded: Math.max(0, decodedAt - receivedAt),
      screen: Math.max(0, shownAt - decodedAt),
    };
    if (total(parts) > LIMIT_MS) return;
    this.#measured.push(parts);
    if (this.#measured.length > KEPT) this.#measured.shift();
  }
}

/** The clock of the pictures' time stamps, as it lies to the page's. */
class Clock {
  #lastStamp = NaN;
  #madeAt = 0;
  /** @type {number[]} arrival minus time stamp */
  #transits = [];
  /** @type {number[]} from one picture to the next */
  #intervals = [];

  /**
   * @param {number | undefined} stamp
   * @param {number} receivedAt
   * @returns {{dueAt: number | null, isOutOfStep: boolean}}
   */
  read(stamp, receivedAt) {
    if (stamp === undefined) return { dueAt: null, isOutOfStep: false };
    // The counter goes round every 13 hours; `| 0` makes the difference of 32 bits a signed one.
    const interval = Number.isNaN(this.#lastStamp) ? 0 : ((stamp - this.#lastStamp) | 0) / TICKS;
    this.#lastStamp = stamp;
    this.#madeAt += interval;
    const transit = receivedAt - this.#madeAt;
    // Another track, or another connection: its stamps begin elsewhere.
    if (Math.abs(transit - (this.#transits.at(-1) ?? transit)) > FOREIGN_MS) this.#transits = this.#intervals = [];
    const isOutOfStep = this.#isOutOfStep(interval);
    this.#transits = [...this.#transits.slice(1 - COMPARED), transit];
    this.#intervals = [...this.#intervals.slice(1 - COMPARED), interval];
    return { dueAt: this.#madeAt + Math.min(...this.#transits), isOutOfStep };
  }

  /** @param {number} interval a multiple of the usual one is in step: what was between was not shown */
  #isOutOfStep(interval) {
    const usual = middle(this.#intervals);
    const off = (/** @type {number} */ each) => Math.abs(each - Math.max(1, Math.round(each / usual)) * usual);
    return off(interval) > Math.max(LEAST_OFF_MS, 4 * middle(this.#intervals.map(off)));
  }
}

/** An answer took the way twice, so no way can be longer than half of it. @param {Answer} answer */
function oneWay({ sentAt, repliedAt, roundTripMs }) {
  const tripMs = repliedAt - sentAt;
  return Math.min(Number.isNaN(roundTripMs) ? tripMs : roundTripMs, tripMs) / 2;
}

/** @param {Parts} parts */
function total(parts) {
  return PARTS.reduce((sum, part) => sum + parts[part], 0);
}

/** @param {readonly number[]} values */
function middle(values) {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? NaN;
}
