/** The HTTP API of a stand-alone runtime (`livereactor run`): one model, one session. */

import { HELD_MS, Refused, pause } from "./http.js";

/** @typedef {import("./signalling.js").Descriptor} Descriptor */
/** @typedef {{status: string, state: string, detail?: string | null, progress?: number | null}} Health */
/**
 * The session and connection that the page had before; null stands for none.
 * @typedef {{session: string | null, connection: number | null, owner: boolean}} Known
 */
/**
 * `isNew`: no client has used it yet, so every parameter has its default. `owner`: this page started it.
 * @typedef {{descriptor: Descriptor, isNew: boolean, owner: boolean}} Opened
 */

/** Attempts, one a second: a model may load for half an hour. */
const LOADING_TRIES = 1800;

export class Runtime {
  kind = /** @type {const} */ ("runtime");
  #http;

  /** @param {import("./http.js").Http} http */
  constructor(http) {
    this.#http = http;
  }

  /** @returns {Promise<Health>} also if the runtime is unhealthy, as `status` then says */
  async health() {
    return (await this.#http.request("health", "GET", "health", { refuse: false })).json();
  }

  /** @returns {Promise<import("../shared/json.js").JsonObject>} the model's schema, `{}` before it is loaded */
  async schema() {
    return (await this.#http.request("reading the model's schema", "GET", "schema")).json();
  }

  /**
   * Start the session or join the running one. Waits while the model loads.
   * @param {Known} known
   * @param {AbortSignal} signal ends the waiting
   * @returns {Promise<Opened>}
   */
  async open(known, signal) {
    const descriptor = await this.#start(signal);
    const isNew = descriptor.state === "waiting";
    const owner = isNew || known.connection === null ? isNew || descriptor.state === "orphaned" : known.owner;
    return { descriptor, isNew, owner };
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Descriptor>} the session, which may be older than this page
   */
  async #start(signal) {
    for (let attempt = 1; ; attempt++) {
      try {
        const options = { body: {}, signal, patience: HELD_MS };
        return await (await this.#http.request("starting a session", "POST", "start_session", options)).json();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        // 409: the official runtime has a session already and does not return it a second time.
        if (error.status === 409)
          return (await this.#http.request("joining the session", "GET", "session", { signal })).json();
        if (error.status !== 503 || attempt >= LOADING_TRIES) throw error;
        await pause(1000, signal);
      }
    }
  }

  async close() {
    await this.#http.request("stopping the session", "POST", "stop_session");
  }

  /** Raise `Unreachable` if the server does not respond. */
  async probe() {
    await this.health();
  }

  /** Return at once: a runtime tells its connections all that happens to the session. */
  async follow() {}
}
