/**
 * Keeps the page up to date: looks when something happened, as the stream of events tells, and every few seconds for
 * what moves without an event (estimates, beats). A page that nobody sees asks for nothing.
 */

import { Refused } from "./api.js";

/** @typedef {import("./types.js").Overview} Overview */
/** @typedef {"live" | "away"} FollowState */

const EVERY_MS = 5000;
/** Events come in bursts: the first is shown soon, and what follows together. */
const SOON_MS = 150;
const APART_MS = 1000;
const RETRY_MS = [1000, 2000, 5000, 10_000];

export class Follower {
  #api;
  #show;
  #fail;
  #lookedAt = -Infinity;
  #timer = 0;
  #looking = false;
  #again = false;
  #tries = 0;
  #seen = 0;
  /** @type {AbortController | null} */
  #stream = null;
  #closed = false;
  #seenBySomebody = () => this.#onVisibility();

  /**
   * @param {import("./api.js").Api} api
   * @param {(overview: Overview) => void} show
   * @param {(error: unknown) => void} fail a look failed; it goes on unless closed
   */
  constructor(api, show, fail) {
    this.#api = api;
    this.#show = show;
    this.#fail = fail;
    document.addEventListener("visibilitychange", this.#seenBySomebody);
  }

  /** Look now, and begin to follow. */
  async start() {
    await this.look();
    if (!this.#closed && !document.hidden) void this.#follow();
  }

  close() {
    this.#closed = true;
    document.removeEventListener("visibilitychange", this.#seenBySomebody);
    this.#pause();
  }

  /** Look at once, such as after the operator's own deed. */
  async look() {
    if (this.#closed) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    clearTimeout(this.#timer);
    try {
      /** @type {Overview} */
      const overview = await this.#api.get("admin/overview");
      this.#seen = Math.max(this.#seen, overview.last_event);
      if (!this.#closed) this.#show(overview);
    } catch (error) {
      if (!this.#closed) this.#fail(error);
    }
    this.#looking = false;
    this.#lookedAt = performance.now();
    this.#lookIn(this.#again ? APART_MS : EVERY_MS);
    this.#again = false;
  }

  #happened() {
    if (this.#looking) this.#again = true;
    else this.#lookIn(Math.max(SOON_MS, this.#lookedAt + APART_MS - performance.now()));
  }

  /** @param {number} ms */
  #lookIn(ms) {
    clearTimeout(this.#timer);
    if (!this.#closed && !document.hidden) this.#timer = setTimeout(() => void this.look(), ms);
  }

  async #follow() {
    this.#stream?.abort();
    const stream = (this.#stream = new AbortController());
    while (!stream.signal.aborted) {
      try {
        const happened = () => ((this.#tries = 0), this.#happened());
        this.#seen = Math.max(this.#seen, await this.#api.follow(this.#seen, happened, stream.signal));
      } catch (error) {
        // What looks fail for is told by them; too many followers (429) is no reason to stop looking.
        if (error instanceof Refused && error.notLetIn) return;
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
