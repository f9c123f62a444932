/** The HTTP API of a coordinator (`livereactor serve`): several models, and sessions that may wait for a worker. */

import { Emitter } from "../shared/emitter.js";
import { CLIENT, HELD_MS, Refused, Unreachable, pause } from "./http.js";

/** @typedef {import("./signalling.js").Descriptor} Descriptor */
/** @typedef {import("./runtime.js").Known} Known */
/** @typedef {import("./runtime.js").Opened} Opened */
/**
 * A model on offer. `ready`: a worker has loaded it; `starting`: a worker is loading it; `cold`: a worker starts on
 * first use; `failed`: no worker can start, and `text` says why. `in_use`: it is ready, but no worker is free. `tags`:
 * its inputs and outputs besides video. `loop`: the path of a short preview film.
 * @typedef {{name: string, description: string, state: "ready" | "starting" | "cold" | "failed",
 *   in_use?: boolean, progress?: number, text?: string, queue_length: number, tags?: string[], loop?: string}} Model
 */
/** @typedef {{url: string, expires_at: number}} Share */

/** Seconds for which the server holds a poll while nothing changes. */
const HOLD = 20;
/** Seconds before each retry while the coordinator does not respond; the last one repeats until GIVE_UP. */
const DELAYS = /** @type {const} */ ([0.5, 1, 2, 4, 5]);
/** Seconds. A coordinator that restarts still knows its tickets and sessions. */
const GIVE_UP = 300;
/** Milliseconds between two polls that bring no change. */
const SOONEST_MS = 1000;

/** The session has ended; `reason` is one of the end reasons of docs/protocol.md, or null if it is unknown. */
export class SessionOver extends Error {
  /** @param {string | null} reason */
  constructor(reason) {
    super(`the session ended (${reason ?? "unknown"})`);
    this.reason = reason;
  }
}

export class Coordinator {
  kind = /** @type {const} */ ("coordinator");
  /** @type {Emitter<void>} `isAway` has changed */
  changed = new Emitter();
  /** Whether the coordinator does not respond at the moment; requests are retried. */
  isAway = false;
  /** The model of the next session. */
  model = "";

  #http;
  #link;

  /**
   * @param {import("./http.js").Http} http
   * @param {string | null} link the session that this page was opened for; null: the page starts its own
   */
  constructor(http, link) {
    this.#http = http;
    this.#link = link;
  }

  /** @returns {Promise<Model[]>} by name */
  async models() {
    return (await (await this.#http.request("reading the models", "GET", "models")).json()).models;
  }

  /**
   * @param {string} [model]
   * @returns {Promise<import("../shared/json.js").JsonObject>} `{}` while no worker has reported it
   */
  async schema(model = this.model) {
    try {
      const path = `models/${encodeURIComponent(model)}/schema`;
      return await (await this.#http.request("reading the model's schema", "GET", path)).json();
    } catch (error) {
      if (error instanceof Refused && error.status === 404) return {};
      throw error;
    }
  }

  /**
   * Return to the known session, join the session of the link, or create one; then wait until it has a worker.
   * @param {Known} known
   * @param {AbortSignal} signal ends the waiting
   * @param {(view: Descriptor, owner: boolean) => void} onWaiting called with every view before the ready one
   * @returns {Promise<Opened>}
   * @throws {SessionOver}
   */
  async open(known, signal, onWaiting) {
    const session = known.session ?? this.#link;
    const view = session === null ? await this.#create(signal) : await this.#poll(session, undefined, signal);
    const owner = session === null || (known.session !== null && known.owner);
    const ready = await this.#ready(view, signal, (now) => onWaiting(now, owner));
    // A client that saw the session wait also sees it begin.
    return { descriptor: ready, isNew: session === null || ready !== view, owner };
  }

  /**
   * @param {Descriptor} view
   * @param {AbortSignal} signal
   * @param {(view: Descriptor) => void} onView
   */
  async #ready(view, signal, onView) {
    let now = view;
    while (!now.capabilities) {
      if (now.state === "CLOSED") throw new SessionOver(now.end_reason ?? null);
      onView(now);
      now = await this.#next(now, signal);
    }
    return now;
  }

  /**
   * Report every change of a session until it ends or a request is refused.
   * @param {Descriptor} view the latest known
   * @param {AbortSignal} signal
   * @param {(view: Descriptor) => void} onView
   */
  async follow(view, signal, onView) {
    for (let now = view; now.state !== "CLOSED"; ) {
      // A browser has six connections to a server for all its tabs: a hidden tab must not hold one of them.
      if (document.hidden) await visible(signal);
      now = await this.#next(now, signal, Infinity);
      onView(now);
    }
  }

  /**
   * @param {string} session
   * @returns {Promise<string | null>} the end reason; null: the session is open
   */
  async endReason(session) {
    const { state, end_reason } = await this.#poll(session, undefined, AbortSignal.timeout(HELD_MS));
    return state === "CLOSED" ? (end_reason ?? "") : null;
  }

  /** @param {string} session */
  async close(session) {
    await this.#http.request("ending the session", "DELETE", `sessions/${encodeURIComponent(session)}`);
  }

  /** End a session while the page unloads; the answer is not awaited. @param {string} session */
  abandon(session) {
    const path = `sessions/${encodeURIComponent(session)}`;
    this.#http.request("ending the session", "DELETE", path, { outlives: true }).catch(() => {});
  }

  /**
   * @param {string} session
   * @returns {Promise<Share>} a link for viewers
   */
  async share(session) {
    const path = `sessions/${encodeURIComponent(session)}/share`;
    return (await this.#http.request("making the link", "POST", path, { body: {} })).json();
  }

  /** Raise `Unreachable` if the server does not respond. */
  async probe() {
    await this.#http.request("health", "GET", "health", { refuse: false });
  }

  /** @param {AbortSignal} signal */
  async #create(signal) {
    const body = {
      model: { name: this.model },
      client_info: CLIENT,
      supported_transports: [{ protocol: "webrtc", version: "1.0" }],
    };
    // A retry after a lost answer must not create a second session. `randomUUID` does not exist on plain http.
    const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
    // The signal does not abort this request: the server may have created the session, which would then be forgotten.
    const options = { body, patience: HELD_MS, headers: { "Idempotency-Key": key.join("") } };
    /** @type {Descriptor} */
    const made = await this.#retrying(signal, async () =>
      (await this.#http.request("starting a session", "POST", "sessions", options)).json(),
    );
    if (!signal.aborted) return made;
    await this.close(made.session_id);
    throw signal.reason;
  }

  /**
   * Return the next view that differs; at once if `view` has no version.
   * @param {Descriptor} view
   * @param {AbortSignal} signal
   * @param {number} [patience] as in `#retrying`
   */
  async #next(view, signal, patience) {
    const asked = performance.now();
    const next = await this.#poll(view.session_id, view.version, signal, patience);
    const early = SOONEST_MS - (performance.now() - asked);
    if (next.version === view.version && early > 0) await pause(early, signal);
    return next;
  }

  /**
   * @param {string} session
   * @param {string | undefined} version
   * @param {AbortSignal} signal
   * @param {number} [patience] as in `#retrying`
   * @returns {Promise<Descriptor>}
   */
  async #poll(session, version, signal, patience) {
    const path = `sessions/${encodeURIComponent(session)}`;
    const held = version === undefined ? "wait=0" : `wait=${HOLD}&version=${encodeURIComponent(version)}`;
    const options = { signal, patience: HELD_MS };
    try {
      // The poll after a failure is not held: that the server is back is news.
      const ask = async (/** @type {number} */ attempt) => {
        const query = attempt === 0 ? held : "wait=0";
        return (await this.#http.request("asking for the session", "GET", `${path}?${query}`, options)).json();
      };
      return await this.#retrying(signal, ask, patience);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) throw new SessionOver(null);
      throw error;
    }
  }

  /**
   * Retry, with growing delays, while the coordinator or its database does not respond.
   * @template T
   * @param {AbortSignal} signal
   * @param {(attempt: number) => Promise<T>} ask
   * @param {number} [patience] seconds
   * @returns {Promise<T>}
   */
  async #retrying(signal, ask, patience = GIVE_UP) {
    const giveUpAt = performance.now() + patience * 1000;
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await ask(attempt);
        this.#setAway(false);
        return answer;
      } catch (error) {
        if (signal.aborted || !isTransient(error) || performance.now() > giveUpAt) {
          this.#setAway(false);
          throw error;
        }
        this.#setAway(true);
        const delay = /** @type {number} */ (DELAYS[Math.min(attempt, DELAYS.length - 1)]);
        const asked = error instanceof Refused ? (error.retryAfter ?? 0) : 0;
        await pause(Math.max(delay, asked) * 1000, signal);
      }
    }
  }

  /** @param {boolean} isAway */
  #setAway(isAway) {
    if (this.isAway === isAway) return;
    this.isAway = isAway;
    this.changed.emit();
  }
}

/**
 * Return whether a retry may succeed: no response, a database that is down, or a rate limit.
 * @param {unknown} error
 */
function isTransient(error) {
  if (error instanceof Unreachable) return true;
  if (!(error instanceof Refused)) return false;
  return (error.status === 503 && error.code !== "NO_CAPACITY") || error.quota?.type === "requests_per_minute";
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<void>} resolves when the page is visible
 */
function visible(signal) {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", check);
      resolve();
    };
    document.addEventListener("visibilitychange", check);
    signal.addEventListener("abort", () => {
      document.removeEventListener("visibilitychange", check);
      reject(signal.reason);
    });
  });
}
