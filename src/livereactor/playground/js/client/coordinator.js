/** A coordinator (`livereactor serve`): models to choose from, sessions that wait for a worker (protocol 1.3, 1.4). */

import { CLIENT, HELD_MS, Refused, Unreachable, pause } from "./http.js";
import { Emitter } from "../shared/emitter.js";

/** @typedef {import("./signalling.js").Descriptor} Descriptor */
/** @typedef {import("./runtime.js").Known} Known */
/** @typedef {import("./runtime.js").Opened} Opened */
/**
 * A model as people choose it. `ready`: a worker has it loaded; `starting`: one loads; `cold`: one starts on first use;
 * `failed`: none can be had, `text` says why. `in_use`: it is ready, and no place is free. `tags`: what it takes and
 * gives beside pictures. `loop`: the path of a short film of its picture.
 * @typedef {{name: string, description: string, state: "ready" | "starting" | "cold" | "failed",
 *   in_use?: boolean, progress?: number, text?: string, queue_length: number, tags?: string[], loop?: string}} Model
 */
/** @typedef {{url: string, expires_at: number}} Share */

/** Seconds that a poll is held while nothing changes. */
const HOLD = 20;
/** Seconds before the tries while it is away; the last one repeats until GIVE_UP. */
const DELAYS = /** @type {const} */ ([0.5, 1, 2, 4, 5]);
/** Seconds. A coordinator that is started again knows its tickets and sessions. */
const GIVE_UP = 300;
/** A poll that comes back sooner and brings nothing is not asked again at once. */
const SOONEST_MS = 1000;

/** The session is over; `reason` as in behaviour 17.7, null where nobody knows. */
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
  /** It does not answer at the moment, and is asked again. */
  isAway = false;
  /** The model that the next session is of. */
  model = "";

  #http;
  #link;

  /**
   * @param {import("./http.js").Http} http
   * @param {string | null} link the session that this page was opened for; null: it begins its own
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
   * @returns {Promise<import("../shared/json.js").JsonObject>} `{}` where it is not known before a worker has started
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
   * Come back to the session that is known, join the one of the link, or make one; then wait until it has a worker.
   * @param {Known} known
   * @param {AbortSignal} signal ends the waiting
   * @param {(view: Descriptor, owner: boolean) => void} tell called with every view before the one that is ready
   * @returns {Promise<Opened>}
   * @throws {SessionOver}
   */
  async open(known, signal, tell) {
    const session = known.session ?? this.#link;
    const view = session === null ? await this.#create(signal) : await this.#poll(session, undefined, signal);
    const owner = session === null || (known.session !== null && known.owner);
    const ready = await this.#ready(view, signal, (now) => tell(now, owner));
    // Whoever saw it wait sees it begin.
    return { descriptor: ready, isNew: session === null || ready !== view, owner };
  }

  /**
   * @param {Descriptor} view
   * @param {AbortSignal} signal
   * @param {(view: Descriptor) => void} tell
   */
  async #ready(view, signal, tell) {
    let now = view;
    while (!now.capabilities) {
      if (now.state === "CLOSED") throw new SessionOver(now.end_reason ?? null);
      tell(now);
      now = await this.#next(now, signal);
    }
    return now;
  }

  /**
   * Tell whatever happens to a session, until it is over or the page may not ask any more.
   * @param {Descriptor} view as it is known
   * @param {AbortSignal} signal
   * @param {(view: Descriptor) => void} tell
   */
  async follow(view, signal, tell) {
    for (let now = view; now.state !== "CLOSED"; ) {
      // A browser has six connections to a server for all its tabs: what nobody looks at does not hold one.
      if (document.hidden) await shown(signal);
      now = await this.#next(now, signal, Infinity);
      tell(now);
    }
  }

  /**
   * @param {string} session
   * @returns {Promise<string | null>} why it ended; null: it has not
   */
  async endReason(session) {
    const { state, end_reason } = await this.#poll(session, undefined, AbortSignal.timeout(HELD_MS));
    return state === "CLOSED" ? (end_reason ?? "") : null;
  }

  /** @param {string} session */
  async close(session) {
    await this.#http.request("ending the session", "DELETE", `sessions/${encodeURIComponent(session)}`);
  }

  /** End a session while the page goes away: nobody hears the answer. @param {string} session */
  abandon(session) {
    const path = `sessions/${encodeURIComponent(session)}`;
    this.#http.request("ending the session", "DELETE", path, { outlives: true }).catch(() => {});
  }

  /**
   * @param {string} session
   * @returns {Promise<Share>} a link for somebody who may watch
   */
  async share(session) {
    const path = `sessions/${encodeURIComponent(session)}/share`;
    return (await this.#http.request("making the link", "POST", path, { body: {} })).json();
  }

  /** Raise `Unreachable` where nobody answers. */
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
    // An answer that was lost on the way must not leave a second session behind. No `randomUUID`: plain http has none.
    const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
    // Not by the signal: a request that is broken off may have made a session, which nobody would know of.
    const options = { body, patience: HELD_MS, headers: { "Idempotency-Key": key.join("") } };
    /** @type {Descriptor} */
    const made = await this.#patiently(signal, async () =>
      (await this.#http.request("starting a session", "POST", "sessions", options)).json(),
    );
    if (!signal.aborted) return made;
    await this.close(made.session_id);
    throw signal.reason;
  }

  /**
   * The next view that differs; a first one, without a version, at once.
   * @param {Descriptor} view
   * @param {AbortSignal} signal
   * @param {number} [patience] as in `#patiently`
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
   * @param {number} [patience] as in `#patiently`
   * @returns {Promise<Descriptor>}
   */
  async #poll(session, version, signal, patience) {
    const path = `sessions/${encodeURIComponent(session)}`;
    const held = version === undefined ? "wait=0" : `wait=${HOLD}&version=${encodeURIComponent(version)}`;
    const options = { signal, patience: HELD_MS };
    try {
      // After a failure not held: that it is there again is news.
      const ask = async (/** @type {number} */ attempt) => {
        const query = attempt === 0 ? held : "wait=0";
        return (await this.#http.request("asking for the session", "GET", `${path}?${query}`, options)).json();
      };
      return await this.#patiently(signal, ask, patience);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) throw new SessionOver(null);
      throw error;
    }
  }

  /**
   * Ask again, with growing waits, while the coordinator or its database is away.
   * @template T
   * @param {AbortSignal} signal
   * @param {(attempt: number) => Promise<T>} ask
   * @param {number} [patience] seconds
   * @returns {Promise<T>}
   */
  async #patiently(signal, ask, patience = GIVE_UP) {
    const giveUpAt = performance.now() + patience * 1000;
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await ask(attempt);
        this.#setAway(false);
        return answer;
      } catch (error) {
        if (signal.aborted || !passes(error) || performance.now() > giveUpAt) {
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
 * Whether it may be otherwise in a moment: nobody answers, or the database does not, or we ask too often.
 * @param {unknown} error
 */
function passes(error) {
  if (error instanceof Unreachable) return true;
  if (!(error instanceof Refused)) return false;
  return (error.status === 503 && error.code !== "NO_CAPACITY") || error.quota?.type === "requests_per_minute";
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<void>} when the page can be seen again
 */
function shown(signal) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", () => {
      document.removeEventListener("visibilitychange", look);
      reject(signal.reason);
    });
  });
}
