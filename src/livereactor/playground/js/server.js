/** Which kind of server the page came from. */

import { Coordinator } from "./coordinator.js";
import { Unreachable } from "./http.js";
import { Runtime } from "./runtime.js";

/** @typedef {Runtime | Coordinator} Server */

const INTERVAL_MS = 1000;

/**
 * Ask until somebody answers.
 * @param {import("./http.js").Http} http
 * @param {string | null} link the session that the page was opened for
 * @param {(trouble: string) => void} tell why there is no answer yet, in words
 * @returns {Promise<Server>}
 */
export async function findServer(http, link, tell) {
  for (;;) {
    try {
      // Not by `GET models`: where there is none, a browser writes its 404 into the console as an error of the page's.
      const health = await (await http.request("health", "GET", "health", { refuse: false })).json();
      return health.service === "coordinator" ? new Coordinator(http, link) : new Runtime(http);
    } catch (error) {
      const gone = `Nothing answers at ${http.address}. Start it again; this page goes on by itself.`;
      tell(error instanceof Unreachable ? gone : `What answers at ${http.address} is no server of ours.`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
