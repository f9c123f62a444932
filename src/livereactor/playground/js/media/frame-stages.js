/** Recent time per frame at each stage between the model and the screen. Pure. */

/** @typedef {import("../client/signalling.js").StageTiming} StageTiming */
/** Statistics of a received track (`RTCInboundRtpStreamStats`). @typedef {Record<string, any>} Inbound */
/** @typedef {(typeof STAGES)[number]} Stage */

export const STAGES = /** @type {const} */ ([
  "step",
  "queue",
  "convert",
  "encode",
  "send",
  "network",
  "jitter_buffer",
  "decode",
]);
/** Stages that the page measures by counters of the browser: total seconds, and number of frames. */
const COUNTED = {
  jitter_buffer: ["jitterBufferDelay", "jitterBufferEmittedCount"],
  decode: ["totalDecodeTime", "framesDecoded"],
};

export class FrameStages {
  /** @type {Map<string, {count: number, total: number}>} totals at the last look */
  #before = new Map();
  /** @type {Map<string, number>} milliseconds */
  #now = new Map();

  /**
   * @param {readonly StageTiming[]} rows
   * @param {string | undefined} track name of the visible output
   */
  served(rows, track) {
    for (const { stage, track: of, count, total_ms, p50_ms } of rows)
      if ((of === undefined || of === track) && isFrameStage(stage) && !(stage in COUNTED) && stage !== "network")
        this.#add(stage, count, total_ms, p50_ms);
  }

  /**
   * @param {Inbound | undefined} inbound
   * @param {number} roundTripMs NaN: unknown
   */
  received(inbound, roundTripMs) {
    if (!Number.isNaN(roundTripMs)) this.#now.set("network", roundTripMs / 2);
    for (const [stage, [seconds, count]] of Object.entries(COUNTED)) {
      const [total, frames] = [inbound?.[seconds ?? ""], inbound?.[count ?? ""]];
      if (typeof total === "number" && frames > 0)
        this.#add(stage, frames, total * 1000, (total * 1000) / frames);
    }
  }

  /** The known stages in order, in milliseconds: the mean of the frames between the last two looks. */
  get parts() {
    return STAGES.flatMap((stage) => {
      const ms = this.#now.get(stage);
      return ms === undefined ? [] : [{ stage, ms }];
    });
  }

  /** Whether the server reported its stages. */
  get isServed() {
    return this.#now.has("encode");
  }

  /**
   * @param {string} stage
   * @param {number} count
   * @param {number} total milliseconds
   * @param {number} usual stands for the mean at the first look
   */
  #add(stage, count, total, usual) {
    const before = this.#before.get(stage);
    this.#before.set(stage, { count, total });
    // Counters that decrease belong to another connection.
    if (!before || count < before.count) this.#now.set(stage, usual);
    else if (count > before.count) this.#now.set(stage, Math.max(0, total - before.total) / (count - before.count));
  }
}

/** @param {string} stage @returns {stage is Stage} */
function isFrameStage(stage) {
  return STAGES.some((each) => each === stage);
}
