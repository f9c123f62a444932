/** Figures of the running connection: one line at the bottom, and the last minute as small graphs. */

import { element } from "./dom.js";
import { Signal } from "./signal.js";

/** @typedef {{fps: number, mbps: number, rttMs: number, jitterMs: number, lossPercent: number, latencyMs: number}} Sample */
/** @typedef {keyof Sample} Figure */

const MINUTE = 60;
/** Command → picture over so many of the last commands. */
const LATENCIES = 9;
/** A reply without a new picture in this time: the model did not draw for this command. */
const LATENCY_LIMIT_MS = 2000;
/** @typedef {{figure: Figure, label: string, about: string, short?: string, unit: string, decimals: number}} Row */
/** @type {Row[]} those with a short name are in the line */
const ROWS = [
  {
    figure: "latencyMs",
    label: "Latency",
    about: "From a command to the picture that shows it",
    short: "latency",
    unit: "ms",
    decimals: 0,
  },
  { figure: "fps", label: "Pictures", about: "Pictures a second on this screen", short: "", unit: "fps", decimals: 0 },
  { figure: "mbps", label: "Bitrate", about: "What is received", short: "", unit: "Mbit/s", decimals: 1 },
  { figure: "rttMs", label: "Round trip", about: "There and back", short: "round trip", unit: "ms", decimals: 1 },
  { figure: "jitterMs", label: "Jitter", about: "How unevenly packets arrive", unit: "ms", decimals: 1 },
  { figure: "lossPercent", label: "Loss", about: "Packets that never came", unit: "%", decimals: 1 },
];

export class Stats {
  /** @type {Signal<void>} the first picture of a session is on screen */
  pictured = new Signal();

  #client;
  #line;
  #details;
  /** @type {Sample[]} one a second */
  #history = [];
  /** @type {number[]} */
  #latencies = [];
  /** @type {{sentAt: number, repliedAt: number} | null} */
  #awaited = null;
  /** @type {HTMLVideoElement | null} */
  #video = null;
  #frames = 0;
  #lastFrames = 0;
  #lastBytes = 0;
  #lastAt = 0;
  #path = "";
  #codec = "";

  /**
   * @param {import("./client.js").Client} client
   * @param {HTMLElement} line
   * @param {HTMLElement} details
   */
  constructor(client, line, details) {
    this.#client = client;
    this.#line = line;
    this.#details = details;
    client.replied.listen((reply) => (this.#awaited ??= reply));
    setInterval(() => void this.#sample(), 1000);
    this.draw();
  }

  /** Pictures shown since the video was chosen. */
  get frames() {
    return this.#frames;
  }

  /** @param {HTMLVideoElement} video whose pictures are counted */
  watch(video) {
    this.#video = video;
    const count = (/** @type {number} */ _now, /** @type {VideoFrameCallbackMetadata} */ frame) => {
      if (this.#video !== video) return;
      if (this.#frames++ === 0) this.pictured.emit();
      this.#measure(frame);
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
  }

  /** A new session: nothing of the last one's figures stays. */
  reset() {
    this.#history = [];
    this.#latencies = [];
    this.#frames = this.#lastFrames = this.#lastBytes = this.#lastAt = 0;
    this.draw();
  }

  /**
   * Command → picture: a runtime answers a command before it makes the next picture (behaviour 7.14), so the first
   * picture that arrives after the reply is taken for the one that shows the command. A picture already on the wire
   * at that moment makes the figure too small by at most one frame's time.
   * @param {VideoFrameCallbackMetadata} frame
   */
  #measure(frame) {
    const awaited = this.#awaited;
    if (!awaited || (frame.receiveTime ?? frame.presentationTime) < awaited.repliedAt) return;
    this.#awaited = null;
    const latency = frame.expectedDisplayTime - awaited.sentAt;
    if (latency > LATENCY_LIMIT_MS) return;
    this.#latencies.push(latency);
    if (this.#latencies.length > LATENCIES) this.#latencies.shift();
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
    // Rates are differences: the first has nothing to differ from.
    if (isFirst) return;
    this.#history.push(sample);
    if (this.#history.length > MINUTE) this.#history.shift();
    this.#path = pathOf(entries, pair);
    const video = inbound.find(({ kind }) => kind === "video");
    this.#codec = String(entries.get(video?.codecId)?.mimeType ?? "").replace("video/", "");
    this.draw();
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
    const sample = {
      fps: Math.max(0, this.#frames - this.#lastFrames) / seconds,
      mbps: (Math.max(0, bytes - this.#lastBytes) * 8) / seconds / 1e6,
      rttMs: Number.isNaN(this.#client.pingMs) ? (pair?.currentRoundTripTime ?? NaN) * 1000 : this.#client.pingMs,
      jitterMs: Math.max(0, ...inbound.map(({ jitter }) => (jitter ?? 0) * 1000)),
      lossPercent: packets + lost ? (100 * lost) / (packets + lost) : 0,
      latencyMs: median(this.#latencies),
    };
    [this.#lastAt, this.#lastFrames, this.#lastBytes] = [now, this.#frames, bytes];
    return sample;
  }

  /** The line, and the graphs where they are open. */
  draw() {
    const last = this.#history.at(-1);
    const size = this.#video?.videoWidth ? `${this.#video.videoWidth} × ${this.#video.videoHeight}` : "";
    const figures = ROWS.filter(({ short }) => short !== undefined).map(({ figure, about, short, unit, decimals }) => {
      const name = element("span", { class: "short" }, short ? `${short} ` : "");
      return element(
        "span",
        { class: "figure", title: about, "data-figure": figure },
        name,
        element("b", {}, shown(last?.[figure], decimals)),
        ` ${unit}`,
      );
    });
    if (size) figures.push(element("span", { class: "figure size", title: "Size of the picture" }, size));
    this.#line.replaceChildren(...figures);
    this.#line.hidden = !last;
    if (this.#details.hidden) return;
    const cards = ROWS.map((row) =>
      graph(
        row,
        this.#history.map((sample) => sample[row.figure]),
      ),
    );
    const path = element(
      "p",
      { class: "hint" },
      [size, this.#codec, this.#path].filter(Boolean).join(" · ") || "Nothing is connected.",
    );
    this.#details.replaceChildren(element("div", { class: "graphs" }, ...cards), path);
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

/** @param {number[]} values */
function median(values) {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? NaN;
}

/**
 * @param {number | undefined} value
 * @param {number} decimals
 */
function shown(value, decimals) {
  return value === undefined || Number.isNaN(value) ? "–" : value.toFixed(decimals);
}

/**
 * @param {Row} row
 * @param {number[]} values
 */
function graph({ label, about, unit, decimals }, values) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${MINUTE - 1} 24`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const top = Math.max(1e-9, ...values.filter(Number.isFinite));
  const line = document.createElementNS(space, "polyline");
  const start = MINUTE - values.length;
  const points = values.flatMap((value, index) =>
    Number.isFinite(value) ? [`${start + index},${23 - (value / top) * 21}`] : [],
  );
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  const figure = element("b", {}, shown(values.at(-1), decimals));
  return element(
    "div",
    { class: "graph", title: about },
    element("span", { class: "hint" }, label),
    element("span", { class: "value" }, figure, ` ${unit}`),
    svg,
  );
}
