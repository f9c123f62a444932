/** Which kind of server there is. */

import { Coordinator } from "./coordinator.js";
import { Unreachable, pause } from "./http.js";
import { Runtime } from "./runtime.js";

/** @typedef {Runtime | Coordinator} Server */

const INTERVAL_MS = 1000;

/**
 * Ask until somebody answers.
 * @param {import("./http.js").Http} http
 * @param {string | null} link the session that the page was opened for
 * @param {(trouble: string) => void} tell why there is no answer yet, in words
 * @param {AbortSignal} [signal] ends the asking
 * @returns {Promise<Server>}
 */
export async function findServer(http, link, tell, signal = new AbortController().signal) {
  for (;;) {
    try {
      // Not by `GET models`: where there is none, a browser writes its 404 into the console as an error of the page's.
      const health = await (await http.request("health", "GET", "health", { refuse: false, signal })).json();
      return health.service === "coordinator" ? new Coordinator(http, link) : new Runtime(http);
    } catch (error) {
      signal.throwIfAborted();
      const gone = `No response from ${http.address}. Start the server again. This page continues by itself.`;
      tell(error instanceof Unreachable ? gone : `The server at ${http.address} is not a livereactor server.`);
    }
    await pause(INTERVAL_MS, signal);
  }
}
