/** From the model to the screen: how long pictures are at each stage, of late. Pure. */

/** @typedef {import("../client/signalling.js").StageTiming} StageTiming */
/** What a browser tells of a track that it receives (`RTCInboundRtpStreamStats`). @typedef {Record<string, any>} Inbound */
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
/** The page's own, by the browser's counters: seconds in all, and of how many pictures. */
const COUNTED = {
  jitter_buffer: ["jitterBufferDelay", "jitterBufferEmittedCount"],
  decode: ["totalDecodeTime", "framesDecoded"],
};

export class FrameStages {
  /** @type {Map<string, {count: number, total: number}>} as last looked at */
  #before = new Map();
  /** @type {Map<string, number>} milliseconds */
  #now = new Map();

  /**
   * @param {readonly StageTiming[]} rows
   * @param {string | undefined} track whose pictures are seen
   */
  served(rows, track) {
    for (const { stage, track: of, count, total_ms, p50_ms } of rows)
      if ((of === undefined || of === track) && isOfPictures(stage) && !(stage in COUNTED) && stage !== "network")
        this.#take(stage, count, total_ms, p50_ms);
  }

  /**
   * @param {Inbound | undefined} inbound
   * @param {number} roundTripMs NaN: not known
   */
  received(inbound, roundTripMs) {
    if (!Number.isNaN(roundTripMs)) this.#now.set("network", roundTripMs / 2);
    for (const [stage, [seconds, count]] of Object.entries(COUNTED)) {
      const [total, pictures] = [inbound?.[seconds ?? ""], inbound?.[count ?? ""]];
      if (typeof total === "number" && pictures > 0)
        this.#take(stage, pictures, total * 1000, (total * 1000) / pictures);
    }
  }

  /** Those that are known, in order, in milliseconds: the mean of the pictures between the last two looks. */
  get parts() {
    return STAGES.flatMap((stage) => {
      const ms = this.#now.get(stage);
      return ms === undefined ? [] : [{ stage, ms }];
    });
  }

  /** Whether the server's stages are known. */
  get isServed() {
    return this.#now.has("encode");
  }

  /**
   * @param {string} stage
   * @param {number} count
   * @param {number} total milliseconds
   * @param {number} usual what stands for the mean at the first look
   */
  #take(stage, count, total, usual) {
    const before = this.#before.get(stage);
    this.#before.set(stage, { count, total });
    // Counters that fall are those of another connection: they begin anew.
    if (!before || count < before.count) this.#now.set(stage, usual);
    else if (count > before.count) this.#now.set(stage, Math.max(0, total - before.total) / (count - before.count));
  }
}

/** @param {string} stage @returns {stage is Stage} */
function isOfPictures(stage) {
  return STAGES.some((each) => each === stage);
}
