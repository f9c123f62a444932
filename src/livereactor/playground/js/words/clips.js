/** Explain what went wrong with a clip or the replay, and what to do next. Pure. */

import { ClipError } from "../media/playlist.js";
import { sentence } from "../shared/text.js";

/** Sentences by error code. @type {Record<string, string>} */
const WORDS = {
  RECORDER_DISABLED:
    "This server is not recording. Recording is turned off, the disk is full, or the encoder failed. The server's log shows which.",
  NO_MEDIA_YET: "Nothing is recorded yet. Try again shortly after the first frame appears.",
  CLIP_GONE: "The server no longer has this clip. Keep a new one.",
  CLIP_NOT_READY: "The server did not finish the clip within a minute. Try again. The server's log shows the cause.",
  UNREACHABLE: "The server is not responding. Check your network and try again.",
  REQUEST_TIMEOUT: "The server took longer than 10 s to respond. Try again.",
  DISCONNECTED: "The connection was lost. Try again when the video is back.",
  NOT_READY: "You are not connected. Try again when the video is back.",
  PLAYBACK_UNSUPPORTED: "This browser cannot play a recording that is still growing. Keep a clip instead.",
  DOWNLOAD_UNSUPPORTED: "This page cannot read the clip's format. Download the clip with the Python client.",
  INVALID_PLAYLIST: "This page cannot read the clip's playlist. Download the clip with the Python client.",
};

/** Return the sentence for an error. @param {unknown} error */
export function explainClip(error) {
  const code = error instanceof ClipError ? error.code : "";
  const said = error instanceof Error ? error.message : String(error);
  return WORDS[code] ?? `${sentence(said)} Try again.`;
}

/** Return a size with its unit. @param {number} bytes */
export function inBytes(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Return a duration with its unit. @param {number} seconds */
export function inWords(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const rest = whole % 60;
  return rest ? `${Math.floor(whole / 60)} min ${rest} s` : `${whole / 60} min`;
}
