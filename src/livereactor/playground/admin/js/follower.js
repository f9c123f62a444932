/**
 * Keep the overview up to date: read it after every event of the stream, and every few seconds for values that change
 * without an event (estimates, heartbeats). A hidden page sends no requests.
 */

import { Refused } from "./api.js";

/** @typedef {import("./types.js").Overview} Overview */
/** @typedef {"live" | "away"} FollowState */

const EVERY_MS = 5000;
/** Milliseconds. Events come in bursts: the first is shown soon, the rest together. */
const SOON_MS = 150;
const APART_MS = 1000;
const RETRY_MS = [1000, 2000, 5000, 10_000];

export class Follower {
  #api;
  #show;
  #fail;
  #refreshedAt = -Infinity;
  #timer = 0;
  #isRefreshing = false;
  #isStale = false;
  #tries = 0;
  #lastEvent = 0;
  /** @type {AbortController | null} */
  #stream = null;
  #closed = false;
  #visibilityListener = () => this.#onVisibility();

  /**
   * @param {import("./api.js").Api} api
   * @param {(overview: Overview) => void} show
   * @param {(error: unknown) => void} fail called when a request failed; following continues
   */
  constructor(api, show, fail) {
    this.#api = api;
    this.#show = show;
    this.#fail = fail;
    document.addEventListener("visibilitychange", this.#visibilityListener);
  }

  /** Read the overview now, and start to follow. */
  async start() {
    await this.refresh();
    if (!this.#closed && !document.hidden) void this.#follow();
  }

  close() {
    this.#closed = true;
    document.removeEventListener("visibilitychange", this.#visibilityListener);
    this.#pause();
  }

  /** Read the overview at once, as after an action of the operator. */
  async refresh() {
    if (this.#closed) return;
    if (this.#isRefreshing) {
      this.#isStale = true;
      return;
    }
    this.#isRefreshing = true;
    clearTimeout(this.#timer);
    try {
      /** @type {Overview} */
      const overview = await this.#api.get("admin/overview");
      this.#lastEvent = Math.max(this.#lastEvent, overview.last_event);
      if (!this.#closed) this.#show(overview);
    } catch (error) {
      if (!this.#closed) this.#fail(error);
    }
    this.#isRefreshing = false;
    this.#refreshedAt = performance.now();
    this.#refreshIn(this.#isStale ? APART_MS : EVERY_MS);
    this.#isStale = false;
  }

  #onEvent() {
    if (this.#isRefreshing) this.#isStale = true;
    else this.#refreshIn(Math.max(SOON_MS, this.#refreshedAt + APART_MS - performance.now()));
  }

  /** @param {number} ms */
  #refreshIn(ms) {
    clearTimeout(this.#timer);
    if (!this.#closed && !document.hidden) this.#timer = setTimeout(() => void this.refresh(), ms);
  }

  async #follow() {
    this.#stream?.abort();
    const stream = (this.#stream = new AbortController());
    while (!stream.signal.aborted) {
      try {
        const onEvent = () => ((this.#tries = 0), this.#onEvent());
        this.#lastEvent = Math.max(this.#lastEvent, await this.#api.follow(this.#lastEvent, onEvent, stream.signal));
      } catch (error) {
        // The reads report errors. Too many followers (429) are no reason to stop reading.
        if (error instanceof Refused && error.isDenied) return;
      }
      const wait = RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  #pause() {
    clearTimeout(this.#timer);
    this.#stream?.abort();
    this.#stream = null;
  }

  #onVisibility() {
    this.#pause();
    if (!document.hidden) void this.start();
  }
}
