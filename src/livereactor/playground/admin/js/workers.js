/** The workers: a card each, with the latest frame of every session that runs there. */

import { element } from "../../js/shared/dom.js";
import { actionButton } from "./actions.js";
import { span } from "./format.js";

/** @typedef {import("./types.js").Overview} Overview */
/** @typedef {import("./types.js").WorkerRow} WorkerRow */

/** Milliseconds between the arrival of a frame and the next request. */
const REFRESH_MS = 2000;
/** States of sessions that have frames: a client has connected. */
const HAS_FRAMES = new Set(["ACTIVE", "INACTIVE"]);

export class Workers {
  #root;
  #readThumbnail;
  #drain;
  #empty = element("p", { class: "hint" }, "No workers are connected. One starts on first use, or connects from another machine.");
  /** @type {Map<string, WorkerCard>} */
  #cards = new Map();

  /**
   * @param {HTMLElement} root
   * @param {(session: string) => Promise<Blob>} readThumbnail
   * @param {(worker: string) => Promise<unknown>} drain
   */
  constructor(root, readThumbnail, drain) {
    this.#readThumbnail = readThumbnail;
    this.#drain = drain;
    this.#root = element("div", { class: "cards" });
    root.append(this.#root, this.#empty);
  }

  /** @param {Overview} overview */
  show({ workers, sessions, now_at }) {
    const live = new Set(sessions.filter(({ state }) => HAS_FRAMES.has(state)).map(({ session_id }) => session_id));
    const there = new Set(workers.map(({ worker }) => worker));
    for (const [worker, card] of this.#cards) {
      if (there.has(worker)) continue;
      card.close();
      this.#cards.delete(worker);
    }
    for (const row of workers) {
      const card = this.#cards.get(row.worker) ?? this.#add(row);
      card.show(row, live, now_at);
    }
    this.#empty.hidden = workers.length > 0;
  }

  /** Stop all requests. */
  close() {
    for (const card of this.#cards.values()) card.close();
    this.#cards.clear();
  }

  /** @param {WorkerRow} row */
  #add({ worker }) {
    const card = new WorkerCard(this.#readThumbnail, () => this.#drain(worker));
    this.#cards.set(worker, card);
    this.#root.append(card.root);
    return card;
  }
}

class WorkerCard {
  root;
  #readThumbnail;
  #title = element("h3");
  #state = element("span", { class: "badge" });
  #progress = element("progress", { "aria-label": "Loading" });
  #facts = element("dl", { class: "facts" });
  #thumbnails = element("div", { class: "thumbnails" });
  #drain;
  /** @type {Map<string, Thumbnail>} */
  #shown = new Map();

  /**
   * @param {(session: string) => Promise<Blob>} readThumbnail
   * @param {() => Promise<unknown>} drain
   */
  constructor(readThumbnail, drain) {
    this.#readThumbnail = readThumbnail;
    this.#drain = actionButton("Drain", drain, { sure: "Confirm drain" });
    this.root = element(
      "article",
      { class: "card" },
      this.#thumbnails,
      element("header", {}, this.#title, this.#state),
      this.#progress,
      this.#facts,
      this.#drain,
    );
  }

  /**
   * @param {WorkerRow} row
   * @param {Set<string>} live sessions that have frames
   * @param {number} now Unix seconds
   */
  show(row, live, now) {
    this.#title.textContent = row.model;
    this.root.setAttribute("aria-label", `Worker for ${row.model}`);
    this.#state.textContent = row.state;
    this.#state.dataset.mark = row.state;
    this.#progress.hidden = row.state !== "starting";
    if (row.progress == null) this.#progress.removeAttribute("value");
    else this.#progress.value = row.progress;
    this.#drain.hidden = row.state === "draining";
    this.#showFacts({
      Slots: `${row.sessions.length} of ${row.slots} in use`,
      Heartbeat: `${span(row.silent_s)} ago`,
      Uptime: span(now - row.started_at),
      Node: row.node || "–",
      Process: row.pid ? String(row.pid) : "–",
      ID: `…${row.worker.slice(-6)}`,
      ...(row.state === "starting" && row.text ? { Loading: row.text } : {}),
    });
    this.#showThumbnails(row, live);
  }

  close() {
    for (const thumbnail of this.#shown.values()) thumbnail.close();
    this.#shown.clear();
    this.root.remove();
  }

  /** @param {Record<string, string>} facts */
  #showFacts(facts) {
    const lines = Object.entries(facts).map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value)),
    );
    this.#facts.replaceChildren(...lines);
  }

  /**
   * @param {WorkerRow} row
   * @param {Set<string>} live
   */
  #showThumbnails({ sessions, state }, live) {
    for (const [session, thumbnail] of this.#shown) {
      if (sessions.includes(session)) continue;
      thumbnail.close();
      this.#shown.delete(session);
    }
    for (const session of sessions) {
      const thumbnail = this.#shown.get(session) ?? this.#add(session);
      thumbnail.live = live.has(session);
    }
    this.#thumbnails.dataset.text = state === "starting" ? "Loading" : "Idle";
  }

  /** @param {string} session */
  #add(session) {
    const thumbnail = new Thumbnail(() => this.#readThumbnail(session), `Latest frame of ${session}`);
    this.#shown.set(session, thumbnail);
    this.#thumbnails.append(thumbnail.root);
    return thumbnail;
  }
}

/** The latest frame of one session, refreshed while it is visible. */
class Thumbnail {
  root;
  /** Whether the session has frames. */
  live = false;
  #request;
  #image;
  #text = element("span", { class: "words" }, "No frame yet");
  #timer = 0;
  #closed = false;
  #visible = false;
  #watch = new IntersectionObserver((entries) => {
    this.#visible = entries.some(({ isIntersecting }) => isIntersecting);
    if (this.#visible) void this.#refresh();
  });

  /**
   * @param {() => Promise<Blob>} ask
   * @param {string} alt
   */
  constructor(ask, alt) {
    this.#request = ask;
    this.#image = element("img", { alt, hidden: true });
    this.root = element("figure", {}, this.#image, this.#text);
    this.#watch.observe(this.root);
  }

  close() {
    this.#closed = true;
    this.#watch.disconnect();
    clearTimeout(this.#timer);
    URL.revokeObjectURL(this.#image.src);
    this.root.remove();
  }

  async #refresh() {
    clearTimeout(this.#timer);
    if (this.live && !document.hidden) {
      try {
        this.#put(await this.#request());
      } catch {
        // There is no frame yet, or the worker is busy: try again with the next refresh.
      }
    }
    if (this.#closed || !this.#visible) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#refresh(), REFRESH_MS);
  }

  /** @param {Blob} blob */
  #put(blob) {
    const before = this.#image.src;
    const url = URL.createObjectURL(blob);
    if (this.#closed) {
      URL.revokeObjectURL(url);
      return;
    }
    this.#image.src = url;
    this.#image.hidden = false;
    this.#text.hidden = true;
    if (before) URL.revokeObjectURL(before);
  }
}
