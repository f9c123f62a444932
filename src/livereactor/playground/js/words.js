/** What went wrong, and the next thing to try, in sentences. Pure. */

/** @typedef {import("./machine.js").Problem} Problem */
/** @typedef {{title: string, text: string}} Words */

/** Why a session ended (behaviour 17.7), as the runtime spells it. */
const ENDINGS = /** @type {Record<string, Words>} */ ({
  stopped: {
    title: "The session has ended",
    text: "The model finished, or somebody stopped it. Start begins a new one.",
  },
  timed_out: { title: "The session was closed", text: "Nobody was connected for a while. Start begins a new one." },
  max_duration: { title: "Time is up", text: "A session here has a longest duration. Start begins a new one." },
  idle: { title: "The session was closed", text: "It saw no command for a while. Start begins a new one." },
  moderated: { title: "The session was ended by moderation", text: "Start begins a new one." },
  error: {
    title: "The model stopped: internal error",
    text: "The terminal it runs in shows the line that failed. Mend it, then press Start.",
  },
  worker_lost: { title: "The model's process is gone", text: "It stopped answering. Start tries to get another one." },
});

/**
 * @param {Problem} problem
 * @param {string} address the server's host and port
 * @returns {Words}
 */
export function explain({ kind, detail }, address) {
  switch (kind) {
    case "unreachable":
      return {
        title: "The server does not answer",
        text: `Nothing answers at ${address} (${detail}). Start it again with “livereactor run”, or check the network.`,
      };
    case "refused":
      return { title: "The server said no", text: sentence(detail) };
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
      return { title: "The session is over", text: "The server has closed it. Start begins a new one." };
    case "unsupported":
      return { title: "This browser cannot show the model", text: detail };
    case "ended":
      return (
        ENDINGS[detail] ?? { title: "The session has ended", text: sentence(detail || "the server gave no reason") }
      );
  }
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

/**
 * Servers write reasons as lower-case sentences without a full stop; people read them with both.
 * @param {string} text
 */
export function sentence(text) {
  const trimmed = text.trim();
  const ended = /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}
