/** A stand-alone runtime (`livereactor run`): one model, one session (protocol 1.6). */

import { HELD_MS, Refused, pause } from "./http.js";

/** @typedef {import("./signalling.js").Descriptor} Descriptor */
/** @typedef {{status: string, state: string, detail?: string | null, progress?: number | null}} Health */
/**
 * What the page knows of the session it had. `session`, `connection`: null = none.
 * @typedef {{session: string | null, connection: number | null, owner: boolean}} Known
 */
/**
 * `isNew`: nobody was in it yet, so every parameter is at its default. `owner`: this page began it.
 * @typedef {{descriptor: Descriptor, isNew: boolean, owner: boolean}} Opened
 */

/** A model may load for a long time: one try a second for half an hour. */
const LOADING_TRIES = 1800;

export class Runtime {
  kind = /** @type {const} */ ("runtime");
  #http;

  /** @param {import("./http.js").Http} http */
  constructor(http) {
    this.#http = http;
  }

  /** @returns {Promise<Health>} also where the runtime is unhealthy: then `status` says so */
  async health() {
    return (await this.#http.request("health", "GET", "health", { refuse: false })).json();
  }

  /** @returns {Promise<import("../shared/json.js").JsonObject>} the model's schema, `{}` before it is loaded */
  async schema() {
    return (await this.#http.request("reading the model's schema", "GET", "schema")).json();
  }

  /**
   * Open the session, or join the one that is running. Waits while the model is loading.
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
   * @returns {Promise<Descriptor>} what is there now, perhaps since before this page
   */
  async #start(signal) {
    for (let attempt = 1; ; attempt++) {
      try {
        const options = { body: {}, signal, patience: HELD_MS };
        return await (await this.#http.request("starting a session", "POST", "start_session", options)).json();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        // 409: the official runtime has a session already and does not hand it out a second time.
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

  /** Raise `Unreachable` where nobody answers. */
  async probe() {
    await this.health();
  }

  /** Nothing happens to a session behind the back of its connections. */
  async follow() {}
}
