/** What went wrong, and the next thing to try, in sentences. Pure. */

import { sentence } from "../shared/text.js";

/** @typedef {import("../client/connection-machine.js").Problem} Problem */
/** @typedef {{title: string, text: string}} Words */

/** Where the page is, and for whom. `watching`: who looks on can start nothing.
 * @typedef {{address: string, kind: "runtime" | "coordinator", watching: boolean}} Place */

/** Why a session ended (behaviour 17.7), as its server spells it. */
const ENDINGS = /** @type {Record<string, Words>} */ ({
  stopped: { title: "The session has ended", text: "The model finished, or somebody stopped it." },
  timed_out: { title: "The session was closed", text: "Nobody was here for it for a while." },
  max_duration: { title: "Time is up", text: "A session here has a longest duration." },
  idle: { title: "The session was closed", text: "It saw no command for a while." },
  evicted: { title: "The session had to give way", text: "Whoever runs this needed its place." },
  moderated: { title: "The session was ended by moderation", text: "Something in it was not allowed." },
  error: { title: "The model stopped: internal error", text: "Its log shows the line that failed." },
  worker_lost: { title: "The model's process is gone", text: "It stopped answering." },
  start_refused: { title: "The model would not start", text: "It refused what the session was to begin with." },
});

/** At a runtime the person is most likely its author. */
const AUTHORS_ERROR = "The terminal it runs in shows the line that failed. Mend it.";

/** Who watches knows of one person who could. */
const OWNERS_END = { title: "The session has ended", text: "The person who shared it stopped it, or it finished." };

/** What is used up, by the server's name for it. */
const ALLOWANCES = /** @type {Record<string, (quota: import("../client/http.js").Quota) => Words>} */ ({
  concurrent_sessions: ({ limit, current }) => ({
    title: "All your sessions are in use",
    text: `${current} of ${limit} sessions of this account are open. End one, or wait until one ends.`,
  }),
  sessions_per_minute: ({ limit, current }) => ({
    title: "Too many sessions in a short time",
    text: `${current} of the ${limit} that this account may start in a minute are started.`,
  }),
  connections: ({ limit, current }) => ({
    title: "The session is full",
    text: `${current} of its ${limit} connections are in use. Close another page that shows it first.`,
  }),
});

/**
 * @param {Problem} problem
 * @param {Place} place
 * @returns {Words}
 */
export function explain({ kind, detail, quota, retryAfter }, place) {
  const { address } = place;
  switch (kind) {
    case "unreachable":
      return {
        title: "The server does not answer",
        text: `Nothing answers at ${address} (${detail}). ${
          place.kind === "runtime" ? "Start it again with “livereactor run”, or check" : "Check"
        } the network.`,
      };
    case "refused":
    case "forbidden":
      return { title: "The server said no", text: sentence(detail) };
    case "unauthorized":
      return place.watching
        ? { title: "This link is not valid any more", text: "Ask whoever sent it for another one." }
        : { title: place.kind === "runtime" ? "A key is needed here" : "A token is needed here", text: "" };
    case "capacity":
      return { title: "Nothing can run this model at the moment", text: sentence(detail) };
    case "quota": {
      const known = quota && ALLOWANCES[quota.type]?.(quota);
      const { title, text } = known ?? { title: "An allowance is used up", text: sentence(detail) };
      return { title, text: retryAfter ? `${text} Try again in ${Math.ceil(retryAfter)} s.` : text };
    }
    case "ice":
      return {
        title: "No network path for the picture",
        text: `The server answers, but no UDP path to it was found (${detail}). A firewall or VPN may block UDP; from another network the server needs a public address or a TURN server.`,
      };
    case "dtls":
      return {
        title: "The secure connection could not be made",
        text: "A network path was found, but the encryption handshake failed. Start again; if it stays, a proxy may be altering UDP traffic.",
      };
    case "channels":
      return {
        title: "The connection came up without its data channels",
        text: `${sentence(detail)} The server may be too old for this page.`,
      };
    case "timeout":
      return { title: "Connecting took too long", text: `There was no connection after ${detail}. Try again.` };
    case "silent":
      return { title: "The server fell silent", text: `It has not answered for ${detail}.` };
    case "closed":
      return { title: "The connection was lost", text: "The session is kept for a while." };
    case "over":
      return ended({ title: "The session is over", text: "The server has closed it." }, place);
    case "unsupported":
      return { title: "This browser cannot show the model", text: detail };
    case "ended": {
      if (place.watching && detail === "stopped") return OWNERS_END;
      const said = ENDINGS[detail] ?? {
        title: "The session has ended",
        text: sentence(detail || "the server gave no reason"),
      };
      const isAuthors = detail === "error" && place.kind === "runtime";
      return ended(isAuthors ? { ...said, text: AUTHORS_ERROR } : said, place);
    }
  }
}

/**
 * @param {Words} words
 * @param {Place} place
 * @returns {Words} with what may be done next
 */
function ended({ title, text }, { watching }) {
  return { title, text: watching ? text : `${text} Start begins a new one.` };
}

/** @type {Record<string, (what: string) => Words>} by the name of the browser's error */
const DEVICE_PROBLEMS = {
  NotAllowedError: (what) => ({
    title: `The browser did not allow the ${what}`,
    text: `Click the icon at the left of the address, allow the ${what} for this page, and try again.`,
  }),
  NotFoundError: (what) => ({
    title: `No ${what} was found`,
    text: `Plug one in and try again, or send ${what === "microphone" ? "a test tone" : "the test pattern"} or a file instead.`,
  }),
  NotReadableError: (what) => ({
    title: `The ${what} is busy`,
    text: `Another program is using it. Close that program, or choose another ${what}.`,
  }),
};

/**
 * Why a camera, microphone or screen could not be opened: denied, missing and busy are three different sentences.
 * @param {unknown} error what `getUserMedia` raised
 * @param {string} what "camera", "microphone" or "screen"
 * @returns {Words}
 */
export function explainDevice(error, what) {
  const name = error instanceof Error ? error.name : "";
  const known = DEVICE_PROBLEMS[name === "OverconstrainedError" ? "NotFoundError" : name];
  if (known) return known(what);
  return {
    title: `The ${what} could not be opened`,
    text: sentence(error instanceof Error ? error.message : String(error)),
  };
}
