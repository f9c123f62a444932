/** Explain problems in sentences: what happened, and what to do next. Pure. */

import { sentence } from "../shared/text.js";

/** @typedef {import("../client/connection-machine.js").Problem} Problem */
/** @typedef {{title: string, text: string}} Words */

/**
 * The server and the user of a page. `watching`: the user may only watch.
 * @typedef {{address: string, kind: "runtime" | "coordinator", watching: boolean}} PageContext
 */

/** Texts by end reason (docs/protocol.md). */
const END_REASONS = /** @type {Record<string, Words>} */ ({
  stopped: { title: "Session ended", text: "The model finished, or someone stopped it." },
  timed_out: { title: "Session closed", text: "No client was connected to the session for a while." },
  max_duration: { title: "Time limit reached", text: "Sessions on this server have a maximum duration." },
  idle: { title: "Session closed", text: "The session received no commands for a while." },
  evicted: { title: "Session ended by the server", text: "The operator ended the session, or its worker was needed elsewhere." },
  moderated: { title: "Session ended by moderation", text: "Something in the session was not allowed." },
  error: { title: "The model stopped with an error", text: "The model's log shows the line that failed." },
  worker_lost: { title: "Lost contact with the model", text: "The model's process stopped responding." },
  displaced: { title: "The session is full", text: "Its owner needed your place. The session goes on; try again later." },
  start_refused: { title: "The model did not start", text: "The model rejected the values that the session was to start with." },
});

/** At a runtime the user is most likely the author of the model. */
const AUTHORS_ERROR = "The terminal that runs the model shows the line that failed.";

/** Text for viewers, who know the person that shared the session. */
const OWNER_STOPPED = { title: "Session ended", text: "The person who shared the session stopped it, or the model finished." };

/** Texts for exhausted quotas, by the server's name of the quota. */
const QUOTAS = /** @type {Record<string, (quota: import("../client/http.js").Quota) => Words>} */ ({
  concurrent_sessions: ({ limit, current }) => ({
    title: "Session limit reached",
    text: `Your account has ${current} of ${limit} sessions open. End one, or wait for one to end.`,
  }),
  sessions_per_minute: ({ limit, current }) => ({
    title: "Too many new sessions",
    text: `Your account started ${current} of the ${limit} sessions that it may start in a minute.`,
  }),
  connections: ({ limit, current }) => ({
    title: "The session is full",
    text: `The session uses ${current} of its ${limit} connections. Close another page that shows it, then try again.`,
  }),
});

/**
 * Explain a problem of the connection.
 * @param {Problem} problem
 * @param {PageContext} page
 * @returns {Words}
 */
export function explain({ kind, detail, quota, retryAfter }, page) {
  const { address } = page;
  switch (kind) {
    case "unreachable":
      return {
        title: "Cannot reach the server",
        text: `No response from ${address} (${detail}). ${
          page.kind === "runtime" ? "Start the server again with “livereactor run”, or check" : "Check"
        } your network.`,
      };
    case "refused":
    case "forbidden":
      return { title: "The server refused the request", text: sentence(detail) };
    case "unauthorized":
      return page.watching
        ? { title: "This link is no longer valid", text: "Ask the person who sent it for a new link." }
        : { title: page.kind === "runtime" ? "This server requires a key" : "This server requires a token", text: "" };
    case "capacity":
      return { title: "No capacity for this model right now", text: sentence(detail) };
    case "quota": {
      const known = quota && QUOTAS[quota.type]?.(quota);
      const { title, text } = known ?? { title: "Quota exceeded", text: sentence(detail) };
      return { title, text: retryAfter ? `${text} Try again in ${Math.ceil(retryAfter)} s.` : text };
    }
    case "ice":
      return {
        title: "No network path for the video",
        text: `The server responds over HTTP, but the browser found no UDP path to it (${detail}). A firewall or a VPN may block UDP. To be reached from another network, the server needs a public address or a TURN server.`,
      };
    case "dtls":
      return {
        title: "The secure connection failed",
        text: "The browser found a network path, but the encryption handshake failed. Try again. If the error persists, a proxy may be altering UDP traffic.",
      };
    case "channels":
      return {
        title: "The connection has no data channels",
        text: `${sentence(detail)} The server may be too old for this page.`,
      };
    case "timeout":
      return { title: "Connection timed out", text: `No connection after ${detail}. Try again.` };
    case "silent":
      return { title: "The server stopped responding", text: `No response for ${detail}.` };
    case "closed":
      return { title: "Connection lost", text: "The server keeps the session for a while." };
    case "over":
      return ended({ title: "Session ended", text: "The server closed the session." }, page);
    case "unsupported":
      return { title: "This browser cannot show the model", text: detail };
    case "ended": {
      if (page.watching && detail === "stopped") return OWNER_STOPPED;
      const said = END_REASONS[detail] ?? {
        title: "Session ended",
        text: sentence(detail || "the server gave no reason"),
      };
      const isAuthors = detail === "error" && page.kind === "runtime";
      return ended(isAuthors ? { ...said, text: AUTHORS_ERROR } : said, page);
    }
  }
}

/**
 * @param {Words} words
 * @param {PageContext} page
 * @returns {Words} with the next step
 */
function ended({ title, text }, { watching }) {
  return { title, text: watching ? text : `${text} Press Start to begin a new session.` };
}

/** @type {Record<string, (what: string) => Words>} by name of the browser's error */
const DEVICE_PROBLEMS = {
  NotAllowedError: (what) => ({
    title: `The browser blocked the ${what}`,
    text: `Click the icon to the left of the address, allow the ${what} for this page, and try again.`,
  }),
  NotFoundError: (what) => ({
    title: `No ${what} found`,
    text: `Connect one and try again, or send ${what === "microphone" ? "a test tone" : "the test pattern"} or a file instead.`,
  }),
  NotReadableError: (what) => ({
    title: `The ${what} is in use`,
    text: `Another program uses it. Close that program, or choose another ${what}.`,
  }),
};

/**
 * Explain why a camera, microphone or screen could not be opened: it was denied, is missing, or is in use.
 * @param {unknown} error what `getUserMedia` raised
 * @param {string} what "camera", "microphone" or "screen"
 * @returns {Words}
 */
export function explainDevice(error, what) {
  const name = error instanceof Error ? error.name : "";
  const known = DEVICE_PROBLEMS[name === "OverconstrainedError" ? "NotFoundError" : name];
  if (known) return known(what);
  return {
    title: `Could not open the ${what}`,
    text: sentence(error instanceof Error ? error.message : String(error)),
  };
}
