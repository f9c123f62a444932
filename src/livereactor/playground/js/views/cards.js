/** Choose the card over the video by the state of the session: waiting, failed, ended. Pure. */

import { explain } from "../words/problems.js";
import { explainWaiting } from "../words/waiting.js";

/** @typedef {import("./stage.js").Action} Action */
/** @typedef {import("./stage.js").Card} Card */
/**
 * The state of a view once a session was started.
 *
 * - `page` server and user of the page; `isAway` the coordinator does not respond
 * - `owner` this page owns the session; `isJoining` the page was opened by a share link
 * - `waiting` the session while it has no worker; `hadWorker` it ran before
 * - `loading` progress of the model
 * - `hasVideo` the model has a video output; `hasFrame` a frame has arrived; `isLate` no frame for a while; `wanting`
 *   an input of the model is not published
 * @typedef {{state: import("../client/connection-machine.js").State,
 *   problem: import("../client/connection-machine.js").Problem | null,
 *   page: import("../words/problems.js").PageContext, isAway: boolean, owner: boolean, isJoining: boolean,
 *   waiting: import("../client/signalling.js").Descriptor | null, hadWorker: boolean,
 *   loading: {text: string, progress: number | null}, hasVideo: boolean, hasFrame: boolean, isLate: boolean,
 *   wanting: boolean}} ViewState
 */
/** Actions of the cards. @typedef {{start: () => void, stop: () => void, others?: Action}} CardActions */

/** End reasons that are no errors. */
const CALM_ENDS = ["stopped", "max_duration", "idle", "timed_out"];

/**
 * @param {ViewState} view
 * @param {CardActions} actions
 * @returns {Card | null} null: nothing covers the video
 */
export function cardOf(view, { start, stop, others }) {
  const { state, problem, page } = view;
  const words = problem ? explain(problem, page) : { title: "Connection lost", text: "" };
  switch (state) {
    case "idle":
      return null;
    case "starting":
      if (view.isAway)
        return { title: "Cannot reach the server", text: "This page keeps trying.", busy: true };
      return {
        title: "Starting the session",
        text: view.loading.text || "The model is getting ready.",
        busy: true,
        progress: view.loading.progress,
      };
    case "queued":
      return queued(view, stop);
    case "connecting":
      return { title: "Connecting", text: "Finding a network path for the video.", busy: true };
    case "reconnecting":
    case "lost":
      return { title: words.title, text: `${words.text} Reconnecting…`, busy: true };
    case "failed": {
      // Another attempt would be forbidden as well.
      const again = problem?.kind === "forbidden" ? {} : { action: { label: "Try again", run: start } };
      return { ...words, bad: true, ...again, second: others };
    }
    case "ended": {
      const next = view.isJoining ? {} : { action: { label: "Start", run: start }, second: others };
      return { ...words, bad: !isRegularEnd(problem), ...next };
    }
    case "ready":
      return waitingForFrame(view);
  }
}

/**
 * Return whether a session ended without an error.
 * @param {import("../client/connection-machine.js").Problem | null} problem
 */
export function isRegularEnd(problem) {
  return CALM_ENDS.includes(problem?.detail ?? "");
}

/**
 * @param {ViewState} view
 * @param {() => void} stop
 * @returns {Card}
 */
function queued({ waiting, isAway, hadWorker, owner }, stop) {
  const said = explainWaiting(waiting ?? { session_id: "", state: "" }, { isAway, hadWorker });
  // A client that joined leaves the session, and its place in the queue, to the owner.
  return { ...said, busy: true, second: { label: owner ? "Leave the queue" : "Leave", run: stop } };
}

/**
 * @param {ViewState} view
 * @returns {Card | null}
 */
function waitingForFrame({ hasVideo, hasFrame, isLate, wanting }) {
  if (!hasVideo) return { title: "Live", text: "This model has no video output." };
  if (hasFrame) return null;
  if (!isLate) return { title: "Waiting for the first frame", busy: true };
  if (wanting) return { title: "The model is waiting for your input", text: "Choose a source in the panel." };
  return {
    title: "Connected, but no video yet",
    text: "The model has not produced a frame. Its terminal shows what it is doing.",
  };
}
