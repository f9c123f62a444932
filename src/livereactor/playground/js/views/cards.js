/** What is said over the picture, by how things stand: waiting, failed, over. Pure but for the actions it is given. */

import { explainWaiting } from "../words/waiting.js";
import { explain } from "../words/problems.js";

/** @typedef {import("./stage.js").Action} Action */
/** @typedef {import("./stage.js").Card} Card */
/**
 * How things stand once somebody has started.
 *
 * - `place` where the page is; `isAway` its coordinator does not answer
 * - `owner` the session is ours; `isJoining` the page was opened for somebody else's
 * - `waiting` the session while it has no worker; `hadWorker` it was running before
 * - `loading` how far its model is
 * - `hasVideo` the model makes pictures; `hasPicture` one has come; `isLate` none has for long; `wanting` an input of
 *   the model's is not sent
 * @typedef {{state: import("../client/connection-machine.js").State, problem: import("../client/connection-machine.js").Problem | null,
 *   place: import("../words/problems.js").Place, isAway: boolean, owner: boolean, isJoining: boolean,
 *   waiting: import("../client/signalling.js").Descriptor | null, hadWorker: boolean,
 *   loading: {text: string, progress: number | null}, hasVideo: boolean, hasPicture: boolean, isLate: boolean,
 *   wanting: boolean}} Standing
 */
/** `others` where there is another model to choose. @typedef {{start: () => void, stop: () => void, others?: Action}} Doings */

/** Ends that nothing went wrong at. */
const CALM_ENDS = ["stopped", "max_duration", "idle", "timed_out"];

/**
 * @param {Standing} standing
 * @param {Doings} doings
 * @returns {Card | null} null: nothing is in the way of the picture
 */
export function cardOf(standing, { start, stop, others }) {
  const { state, problem, place } = standing;
  const words = problem ? explain(problem, place) : { title: "Connection lost", text: "" };
  switch (state) {
    case "idle":
      return null;
    case "starting":
      if (standing.isAway)
        return { title: "Cannot reach the server", text: "This page keeps trying.", busy: true };
      return {
        title: "Starting the session",
        text: standing.loading.text || "The model is getting ready.",
        busy: true,
        progress: standing.loading.progress,
      };
    case "queued":
      return queued(standing, stop);
    case "connecting":
      return { title: "Connecting", text: "Finding a network path for the video.", busy: true };
    case "reconnecting":
    case "lost":
      return { title: words.title, text: `${words.text} Reconnecting…`, busy: true };
    case "failed": {
      // What is forbidden stays so.
      const again = problem?.kind === "forbidden" ? {} : { action: { label: "Try again", run: start } };
      return { ...words, bad: true, ...again, second: others };
    }
    case "ended": {
      const next = standing.isJoining ? {} : { action: { label: "Start", run: start }, second: others };
      return { ...words, bad: !isCalm(problem), ...next };
    }
    case "ready":
      return unpictured(standing);
  }
}

/**
 * Whether a session ended as sessions do.
 * @param {import("../client/connection-machine.js").Problem | null} problem
 */
export function isCalm(problem) {
  return CALM_ENDS.includes(problem?.detail ?? "");
}

/**
 * @param {Standing} standing
 * @param {() => void} stop
 * @returns {Card}
 */
function queued({ waiting, isAway, hadWorker, owner }, stop) {
  const said = explainWaiting(waiting ?? { session_id: "", state: "" }, { isAway, hadWorker });
  // Who joined leaves the session to its owner, and its place in the queue too.
  return { ...said, busy: true, second: { label: owner ? "Leave the queue" : "Leave", run: stop } };
}

/**
 * @param {Standing} standing
 * @returns {Card | null}
 */
function unpictured({ hasVideo, hasPicture, isLate, wanting }) {
  if (!hasVideo) return { title: "Live", text: "This model has no video output." };
  if (hasPicture) return null;
  if (!isLate) return { title: "Waiting for the first frame", busy: true };
  if (wanting) return { title: "The model is waiting for your input", text: "Choose a source in the panel." };
  return {
    title: "Connected, but no video yet",
    text: "The model has not produced a frame. Its terminal shows what it is doing.",
  };
}
