/** Statistics of the connection: a line in the bar, and a drawer with graphs of the last minute. */

import { Unreachable } from "../client/http.js";
import { FrameStages } from "../media/frame-stages.js";
import { Latency, PARTS } from "../media/latency.js";
import { element } from "../shared/dom.js";
import { graph, shown, stackedBar } from "./graphs.js";

/**
 * @typedef {{fps: number, mbps: number, rttMs: number, jitterMs: number, lossPercent: number, latencyMs: number}} Sample
 */
/** @typedef {keyof Sample} Figure */

const MINUTE = 60;
/** @typedef {{figure: Figure, label: string, about: string, short?: string, unit: string, decimals: number}} Row */
/** @type {Row[]} figures with a short name stand in the bar */
const ROWS = [
  {
    figure: "latencyMs",
    label: "Latency",
    about: "Time from a command to the frame that shows its effect",
    short: "latency",
    unit: "ms",
    decimals: 0,
  },
  { figure: "fps", label: "Frame rate", about: "Frames per second on this screen", short: "", unit: "fps", decimals: 0 },
  { figure: "mbps", label: "Bitrate", about: "Data received per second", short: "", unit: "Mbit/s", decimals: 1 },
  { figure: "rttMs", label: "Round trip", about: "Time for a packet to the server and back", short: "round trip", unit: "ms", decimals: 1 },
  { figure: "jitterMs", label: "Jitter", about: "Variation in the arrival times of packets", unit: "ms", decimals: 1 },
  { figure: "lossPercent", label: "Loss", about: "Packets that never arrived", unit: "%", decimals: 1 },
];

/** @type {Record<(typeof PARTS)[number], {label: string, about: string}>} */
const PART_WORDS = {
  there: { label: "To the server", about: "The command on the network: half a round trip" },
  taken: { label: "Wait", about: "The model finishes its current step, then takes the command" },
  made: { label: "Frame", about: "The model makes the frame, which is encoded, sent and reassembled" },
  back: { label: "To the browser", about: "The frame on the network: half a round trip" },
  decoded: { label: "Decode", about: "Waiting for the decoder, and decoding" },
  screen: { label: "Display", about: "Waiting for the next screen refresh" },
};

/** @type {Record<import("../media/frame-stages.js").Stage, {label: string, about: string}>} */
const STAGE_WORDS = {
  step: { label: "Step", about: "The model makes the frame" },
  queue: { label: "Queue", about: "Waiting for the encoder; the frames of a chunk wait for their turn" },
  convert: { label: "Convert", about: "Colour conversion for the encoder" },
  encode: { label: "Encode", about: "Compression of the frame" },
  send: { label: "Send", about: "Handing packets to the network, for every viewer" },
  network: { label: "Network", about: "Half a round trip" },
  jitter_buffer: { label: "Jitter buffer", about: "The frame's packets wait for each other and for their turn" },
  decode: { label: "Decode", about: "Decompression of the frame" },
};

export class Stats {
  #client;
  #line;
  #details;
  /** @type {Sample[]} one per second */
  #history = [];
  #latency = new Latency();
  #frameStages = new FrameStages();
  /** Whether the server reports no stage timings: it is another runtime, or an older one. */
  #hasNoStages = false;
  #isAsking = false;
  /** @type {HTMLVideoElement | null} */
  #video = null;
  #frames = 0;
  #lastFrames = 0;
  #lastBytes = 0;
  #lastAt = 0;
  /** Measured by ICE checks; by pings until there is a check. */
  #roundTripMs = NaN;
  #path = "";
  #codec = "";

  /**
   * @param {import("../client/client.js").Client} client
   * @param {HTMLElement} line
   * @param {HTMLElement} details
   */
  constructor(client, line, details) {
    this.#client = client;
    this.#line = line;
    this.#details = details;
    client.replied.listen(({ sentAt, repliedAt }) =>
      this.#latency.answered({ sentAt, repliedAt, roundTripMs: this.#roundTripMs }),
    );
    setInterval(() => void this.#sample(), 1000);
    this.draw();
  }

  /** @param {HTMLVideoElement} video whose frames are counted */
  watch(video) {
    this.#video = video;
    const count = (/** @type {number} */ _now, /** @type {VideoFrameCallbackMetadata} */ frame) => {
      if (this.#video !== video) return;
      this.#frames++;
      this.#latency.shown(frame);
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
  }

  /** Forget all figures, for a new session. */
  reset() {
    this.#history = [];
    this.#latency = new Latency();
    this.#frameStages = new FrameStages();
    this.#hasNoStages = false;
    this.#frames = this.#lastFrames = this.#lastBytes = this.#lastAt = 0;
    this.#roundTripMs = NaN;
    this.draw();
  }

  async #sample() {
    const report = this.#client.state === "ready" ? await this.#client.stats() : null;
    if (!report) return;
    /** @type {Map<string, Record<string, any>>} */
    const entries = new Map([...report].map(([id, entry]) => [id, entry]));
    const inbound = [...entries.values()].filter(({ type }) => type === "inbound-rtp");
    const pair = [...entries.values()].find(
      ({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded",
    );
    const isFirst = this.#lastAt === 0;
    const sample = this.#figures(inbound, pair);
    const video = inbound.find(({ kind }) => kind === "video");
    this.#frameStages.received(video, this.#roundTripMs);
    void this.#readStages(video?.mid);
    // Rates are differences: the first sample has no predecessor.
    if (isFirst) return;
    this.#history.push(sample);
    if (this.#history.length > MINUTE) this.#history.shift();
    this.#path = pathOf(entries, pair);
    this.#codec = String(entries.get(video?.codecId)?.mimeType ?? "").replace("video/", "");
    this.draw();
  }

  /**
   * Read the stage timings from the server while the drawer is open.
   * @param {string | undefined} mid of the video; the mid is the index of the declared track
   */
  async #readStages(mid) {
    if (this.#details.hidden || this.#hasNoStages || this.#isAsking) return;
    this.#isAsking = true;
    const way = this.#frameStages;
    try {
      const rows = await this.#client.stages();
      if (rows) way.served(rows, this.#client.tracks[Number(mid)]?.name);
    } catch (error) {
      if (!(error instanceof Unreachable)) this.#hasNoStages = true;
    } finally {
      this.#isAsking = false;
    }
  }

  /**
   * @param {Record<string, any>[]} inbound
   * @param {Record<string, any> | undefined} pair
   * @returns {Sample}
   */
  #figures(inbound, pair) {
    const now = performance.now();
    const seconds = Math.max(0.5, (now - this.#lastAt) / 1000);
    const bytes = inbound.reduce((sum, entry) => sum + (entry.bytesReceived ?? 0), 0);
    const lost = inbound.reduce((sum, entry) => sum + Math.max(0, entry.packetsLost ?? 0), 0);
    const packets = inbound.reduce((sum, entry) => sum + (entry.packetsReceived ?? 0), 0);
    const checkedMs = (pair?.currentRoundTripTime ?? NaN) * 1000;
    const { pingMs } = this.#client;
    this.#roundTripMs = Number.isNaN(checkedMs) ? pingMs : checkedMs;
    const sample = {
      fps: Math.max(0, this.#frames - this.#lastFrames) / seconds,
      mbps: (Math.max(0, bytes - this.#lastBytes) * 8) / seconds / 1e6,
      rttMs: Number.isNaN(pingMs) ? checkedMs : pingMs,
      jitterMs: Math.max(0, ...inbound.map(({ jitter }) => (jitter ?? 0) * 1000)),
      lossPercent: packets + lost ? (100 * lost) / (packets + lost) : 0,
      latencyMs: this.#latency.ms,
    };
    [this.#lastAt, this.#lastFrames, this.#lastBytes] = [now, this.#frames, bytes];
    return sample;
  }

  /** Draw the line in the bar, and the drawer if it is open. */
  draw() {
    const last = this.#history.at(-1);
    const size = this.#video?.videoWidth ? `${this.#video.videoWidth} × ${this.#video.videoHeight}` : "";
    const figures = ROWS.filter(({ short }) => short !== undefined).map(({ figure, about, short, unit, decimals }) => {
      const name = element("span", { class: "short" }, short ? `${short} ` : "");
      return element(
        "span",
        { class: "figure", title: about, "data-figure": figure },
        name,
        // Large values need no decimals, and the line is short.
        element("b", {}, shown(last?.[figure], (last?.[figure] ?? 0) >= 10 ? 0 : decimals)),
        ` ${unit}`,
      );
    });
    if (size) figures.push(element("span", { class: "figure size", title: "Video size" }, size));
    this.#line.replaceChildren(...figures);
    this.#line.hidden = !last;
    if (this.#details.hidden) return;
    const cards = ROWS.map((row) =>
      graph(
        row,
        this.#history.map((sample) => sample[row.figure]),
        MINUTE,
      ),
    );
    const about = [size, this.#codec, this.#path].filter(Boolean).join(" · ") || "Not connected.";
    this.#details.replaceChildren(
      element("div", { class: "graphs" }, ...cards),
      element("section", { "data-way": "command" }, ...this.#drawLatency()),
      element("section", { "data-way": "picture" }, ...this.#drawStages()),
      element("p", { class: "hint" }, about),
    );
  }

  /** Draw the stages of a frame as one bar: those of the server, and those of this page. */
  #drawStages() {
    const { parts, isServed } = this.#frameStages;
    if (!parts.length) return [];
    const whose = isServed ? "by the server and by this page" : "by this page; this server does not report its own stages";
    return [
      element("h2", {}, "From the model to this screen"),
      ...stackedBar(parts.map(({ stage, ms }) => ({ ...STAGE_WORDS[stage], ms }))),
      element("p", { class: "hint" }, `Measured ${whose}. Each value is the mean of the last second's frames.`),
    ];
  }

  /** Draw the parts of the latency as one bar, and say how they were measured. */
  #drawLatency() {
    const { parts, count, isStamped } = this.#latency;
    if (!parts) return [element("p", { class: "hint" }, "Send a command to measure its latency.")];
    const how = isStamped ? "by frame timestamps" : "by the first frame after the reply";
    const over = count === 1 ? "the last command" : `the median of the last ${count} commands`;
    return [
      element("h2", {}, "From a command to its frame"),
      ...stackedBar(PARTS.map((part) => ({ ...PART_WORDS[part], ms: parts[part] }))),
      element("p", { class: "hint" }, `Measured on this page, ${how}: ${over}.`),
    ];
  }
}

/**
 * @param {Map<string, Record<string, any>>} entries
 * @param {Record<string, any> | undefined} pair
 */
function pathOf(entries, pair) {
  const local = entries.get(pair?.localCandidateId);
  const remote = entries.get(pair?.remoteCandidateId);
  if (!local || !remote) return "";
  const relayed = [local, remote].some(({ candidateType }) => candidateType === "relay");
  return `${relayed ? "through a relay" : "direct"}, ${String(local.protocol).toUpperCase()} to ${remote.address ?? "?"}:${remote.port}`;
}
