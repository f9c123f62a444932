/** Find out whether the server is a runtime or a coordinator. */

import { Coordinator } from "./coordinator.js";
import { Unreachable, pause } from "./http.js";
import { Runtime } from "./runtime.js";

/** @typedef {Runtime | Coordinator} Server */

const INTERVAL_MS = 1000;

/**
 * Ask until the server responds.
 * @param {import("./http.js").Http} http
 * @param {string | null} link the session that the page was opened for
 * @param {(trouble: string) => void} onTrouble called with the reason why there is no server yet
 * @param {AbortSignal} [signal] stops asking
 * @returns {Promise<Server>}
 */
export async function findServer(http, link, onTrouble, signal = new AbortController().signal) {
  for (;;) {
    try {
      // Not `GET models`: a browser logs the 404 of a runtime as an error of the page.
      const health = await (await http.request("health", "GET", "health", { refuse: false, signal })).json();
      return health.service === "coordinator" ? new Coordinator(http, link) : new Runtime(http);
    } catch (error) {
      signal.throwIfAborted();
      const gone = `No response from ${http.address}. Start the server again. This page continues by itself.`;
      onTrouble(error instanceof Unreachable ? gone : `The server at ${http.address} is not a livereactor server.`);
    }
    await pause(INTERVAL_MS, signal);
  }
}
