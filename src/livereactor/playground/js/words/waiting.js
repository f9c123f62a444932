/** Explain a place in the queue, an estimate and a deadline. Pure. */

/** @typedef {import("../client/signalling.js").Descriptor} Descriptor */
/**
 * Texts of the waiting card. `progress` 0..1; null: unknown.
 * @typedef {{title: string, text: string, progress: number | null}} Waiting
 */

const KEPT = "You keep your place if you reload this page.";

const TURN = { title: "It is your turn", text: "A worker is starting your session." };
/** Reason for waiting again after the session ran. */
const MOVED = "The worker that ran your session was lost. Another worker starts it again from the beginning.";

/**
 * @param {Descriptor} view of a session without a worker
 * @param {{isAway: boolean, hadWorker: boolean}} circumstances `isAway`: the coordinator does not respond; `hadWorker`:
 *   the session ran before
 * @returns {Waiting}
 */
export function explainWaiting({ queue }, { isAway, hadWorker }) {
  const progress = queue?.loading ?? null;
  if (isAway) {
    const text = `The server is not responding. This page tries again every few seconds. ${KEPT}`;
    return { title: placeIn(queue), text, progress: null };
  }
  if (!queue) {
    const said = hadWorker ? { title: "Your session is moving to another worker", text: MOVED } : TURN;
    return { ...said, progress: null };
  }
  const lines = [hadWorker ? MOVED : "", loading(queue), estimate(queue), KEPT];
  return { title: placeIn(queue), text: lines.filter(Boolean).join("\n"), progress };
}

/** @param {import("../client/signalling.js").Queue | undefined} queue */
function placeIn(queue) {
  if (!queue) return "Waiting for a worker";
  const { position, length } = queue;
  if (length === 1) return "You are next";
  return position === 1 ? `You are next in a queue of ${length}` : `You are number ${position} of ${length}`;
}

/** @param {import("../client/signalling.js").Queue} queue */
function loading({ loading: fraction, loading_text: doing }) {
  if (fraction === undefined && !doing) return "";
  const percent = fraction === undefined ? "" : `, ${Math.round(fraction * 100)}%`;
  return `A worker is loading the model${percent}${doing ? `: ${doing}` : ""}.`;
}

/** @param {import("../client/signalling.js").Queue} queue */
function estimate({ estimated_wait: wait, estimate_error: error }) {
  if (wait === undefined) return "No estimate yet.";
  const words = about(wait);
  if (error === undefined || error < 5) return `${words}.`;
  // An error as large as the wait itself makes the estimate nearly useless.
  if (error >= Math.max(wait, 10)) return `${words}, but recent estimates were off by ${amount(error)}.`;
  return `${words}, give or take ${amount(error)}.`;
}

/** @param {number} seconds */
function about(seconds) {
  return seconds < 5 ? "This should take only a moment" : `About ${amount(seconds)}`;
}

/**
 * Return a duration in words, rounded as an estimate should be.
 * @param {number} seconds
 */
export function amount(seconds) {
  if (seconds < 15) return `${Math.max(5, Math.round(seconds / 5) * 5)} seconds`;
  if (seconds < 55) return `${Math.round(seconds / 10) * 10} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return minutes === 1 ? "a minute" : `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  return hours === 1 ? "an hour" : `${hours} hours`;
}

/**
 * Return a duration as a clock shows it: `1:05` or `1:01:05`.
 * @param {number} seconds
 */
export function countdown(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
