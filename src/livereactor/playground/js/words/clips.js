/** What went wrong with a clip or with looking back, and the next thing to do, in sentences. Pure. */

import { ClipError } from "../media/playlist.js";
import { sentence } from "../shared/text.js";

/** @type {Record<string, string>} by code */
const WORDS = {
  RECORDER_DISABLED:
    "The server does not record: it is set so, its disk is full, or its encoder failed. Its log says which.",
  NO_MEDIA_YET: "Nothing is recorded yet. Try again a moment after the first picture.",
  CLIP_GONE: "The server does not have this clip any more. Keep it again.",
  CLIP_NOT_READY: "The server did not finish the clip within a minute. Try again; its log says what holds it up.",
  UNREACHABLE: "The server does not answer. Check the network, and try again.",
  REQUEST_TIMEOUT: "The server took longer than 10 s to answer. Try again.",
  DISCONNECTED: "The connection was lost. Try again when the picture is back.",
  NOT_READY: "There is no connection now. Try again when the picture is back.",
  PLAYBACK_UNSUPPORTED: "This browser cannot play a recording that still grows. Keep the last seconds instead.",
  DOWNLOAD_UNSUPPORTED: "The film came in a form that this page cannot read. Fetch it with the Python client.",
  INVALID_PLAYLIST: "The server's list of the clip's parts cannot be read. Fetch it with the Python client.",
};

/** @param {unknown} error */
export function explainClip(error) {
  const code = error instanceof ClipError ? error.code : "";
  const said = error instanceof Error ? error.message : String(error);
  return WORDS[code] ?? `${sentence(said)} Try again.`;
}

/** @param {number} bytes */
export function inBytes(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** @param {number} seconds */
export function inWords(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const rest = whole % 60;
  return rest ? `${Math.floor(whole / 60)} min ${rest} s` : `${whole / 60} min`;
}
