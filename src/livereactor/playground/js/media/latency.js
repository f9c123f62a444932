/**
 * Measure the time from a command to the frame that shows its effect, and split it into parts. Pure.
 *
 * Every frame carries its time on the model's clock, as its RTP timestamp. The fastest frames of the last seconds give
 * the offset between that clock and the page's, except for the time of encoding. A runtime takes a command between two
 * frames, replies, and makes the next frame, which shows the effect. That frame is
 *
 * - the first one made after the reply left; or, as a busy page may receive the reply long after the frame,
 * - the first one that could show the command and is out of step with the frames before: the command caused it.
 *
 * If the browser provides no timestamps, the first frame that arrives after the reply is taken. A frame that was
 * already under way then makes the figure too small, by at most the interval of one frame.
 */

/** RTP ticks per millisecond. */
const TICKS = 90;
/** Frames that determine the clock offset and the interval: a few seconds, so that drift does not matter. */
const COMPARED = 120;
/** Frames that are remembered because they may arrive before the reply to their command. */
const REMEMBERED = 60;
/** Milliseconds: a frame is out of step if it is off by more than this, and by four times the usual deviation. */
const LEAST_OFF_MS = 3;
/** Number of commands whose median is the figure. */
const MEDIAN_OF = 9;
/** Milliseconds: timestamps that jump by more belong to another stream. */
const FOREIGN_MS = 5000;
/** Milliseconds: a later frame was not made for the command. */
const LIMIT_MS = 2000;

/**
 * A reply, in milliseconds of `performance.now()`.
 * @typedef {{sentAt: number, repliedAt: number, roundTripMs: number}} Answer
 */
/**
 * Frame metadata of the browser. `rtpTimestamp`: 90 kHz, 32 bits.
 * @typedef {{receiveTime?: number, rtpTimestamp?: number, presentationTime: number,
 *   expectedDisplayTime: number}} FrameMetadata
 */
/**
 * A received frame. `dueAt`: its arrival time had it been as fast as the fastest; null: no timestamp.
 * @typedef {{receivedAt: number, dueAt: number | null, isOutOfStep: boolean, decodedAt: number, shownAt: number}} Seen
 */
/** The parts of one measured latency, in ms, in order. @typedef {Record<(typeof PARTS)[number], number>} Parts */

export const PARTS = /** @type {const} */ (["there", "taken", "made", "back", "decoded", "screen"]);

export class Latency {
  /** @type {Answer | null} */
  #awaited = null;
  /** @type {Seen[]} */
  #recent = [];
  /** @type {Parts[]} */
  #measured = [];
  #clock = new Clock();

  /** Start to look for the frame of a command; one command at a time. @param {Answer} answer */
  answered(answer) {
    if (this.#awaited) return;
    this.#awaited = answer;
    for (const seen of this.#recent) this.#compare(seen);
  }

  /** Add a frame as it is shown. @param {FrameMetadata} frame */
  shown({ receiveTime, rtpTimestamp, presentationTime, expectedDisplayTime }) {
    const receivedAt = receiveTime ?? presentationTime;
    const read = this.#clock.read(rtpTimestamp, receivedAt);
    const seen = { receivedAt, ...read, decodedAt: presentationTime, shownAt: expectedDisplayTime };
    this.#recent.push(seen);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
    this.#compare(seen);
  }

  /** The parts of the median latency; null before the first. @returns {Parts | null} */
  get parts() {
    const sorted = [...this.#measured].sort((one, other) => total(one) - total(other));
    return sorted[sorted.length >> 1] ?? null;
  }

  /** The median latency in milliseconds; NaN before the first. */
  get ms() {
    return this.parts ? total(this.parts) : NaN;
  }

  /** The number of commands behind the median. */
  get count() {
    return this.#measured.length;
  }

  /** Whether the browser provides timestamps. */
  get isStamped() {
    return this.#recent.at(-1)?.dueAt != null;
  }

  /** @param {Seen} seen candidate for the frame that shows the command */
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
    if (this.#measured.length > MEDIAN_OF) this.#measured.shift();
  }
}

/** The clock of the timestamps, and its offset to the page's clock. */
class Clock {
  #lastStamp = NaN;
  #madeAt = 0;
  /** @type {number[]} arrival minus timestamp */
  #transits = [];
  /** @type {number[]} between consecutive frames */
  #intervals = [];

  /**
   * @param {number | undefined} stamp
   * @param {number} receivedAt
   * @returns {{dueAt: number | null, isOutOfStep: boolean}}
   */
  read(stamp, receivedAt) {
    if (stamp === undefined) return { dueAt: null, isOutOfStep: false };
    // The counter wraps every 13 hours; `| 0` makes the difference of 32 bits signed.
    const interval = Number.isNaN(this.#lastStamp) ? 0 : ((stamp - this.#lastStamp) | 0) / TICKS;
    this.#lastStamp = stamp;
    this.#madeAt += interval;
    const transit = receivedAt - this.#madeAt;
    // Another track or connection has other timestamps.
    if (Math.abs(transit - (this.#transits.at(-1) ?? transit)) > FOREIGN_MS) this.#transits = this.#intervals = [];
    const isOutOfStep = this.#isOutOfStep(interval);
    this.#transits = [...this.#transits.slice(1 - COMPARED), transit];
    this.#intervals = [...this.#intervals.slice(1 - COMPARED), interval];
    return { dueAt: this.#madeAt + Math.min(...this.#transits), isOutOfStep };
  }

  /** @param {number} interval a multiple of the usual one is in step: frames between were not shown */
  #isOutOfStep(interval) {
    const usual = median(this.#intervals);
    const off = (/** @type {number} */ each) => Math.abs(each - Math.max(1, Math.round(each / usual)) * usual);
    return off(interval) > Math.max(LEAST_OFF_MS, 4 * median(this.#intervals.map(off)));
  }
}

/** Return the one-way delay, at most half of the time from command to reply. @param {Answer} answer */
function oneWay({ sentAt, repliedAt, roundTripMs }) {
  const tripMs = repliedAt - sentAt;
  return Math.min(Number.isNaN(roundTripMs) ? tripMs : roundTripMs, tripMs) / 2;
}

/** @param {Parts} parts */
function total(parts) {
  return PARTS.reduce((sum, part) => sum + parts[part], 0);
}

/** @param {readonly number[]} values */
function median(values) {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? NaN;
}
