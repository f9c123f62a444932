/** Read the HLS playlist of a clip, and find the parts to fetch. Pure. */

/**
 * A part of a clip. `start`: seconds from the beginning of the playlist.
 * @typedef {{url: string, start: number, seconds: number}} Part
 */
/** @typedef {{init: string, parts: Part[]}} Playlist */

/** A clip failed; `code` names the cause. */
export class ClipError extends Error {
  /**
   * @param {string} code
   * @param {string} [message]
   */
  constructor(code, message = code) {
    super(message);
    this.code = code;
  }
}

/**
 * Read a playlist.
 * @param {string} text
 * @param {string} url address of the playlist, to which its parts may be relative
 * @returns {Playlist}
 * @throws {ClipError} `INVALID_PLAYLIST`
 */
export function readPlaylist(text, url) {
  const lines = text.split("\n").map((line) => line.trim());
  if (lines[0] !== "#EXTM3U") throw new ClipError("INVALID_PLAYLIST", "the response is not a playlist");
  let init = "";
  let seconds = 0;
  let start = 0;
  /** @type {Part[]} */
  const parts = [];
  for (const line of lines) {
    const map = /^#EXT-X-MAP:.*\bURI="([^"]+)"/.exec(line)?.[1];
    const length = /^#EXTINF:([\d.]+)/.exec(line)?.[1];
    if (map !== undefined) init = resolveUrl(map, url);
    else if (length !== undefined) seconds = Number(length);
    else if (line && !line.startsWith("#")) {
      if (!(seconds >= 0)) throw new ClipError("INVALID_PLAYLIST", "a part has no duration");
      parts.push({ url: resolveUrl(line, url), start, seconds });
      start += seconds;
    }
  }
  if (!init || parts.length === 0) throw new ClipError("INVALID_PLAYLIST", "the playlist names no media");
  return { init, parts };
}

/**
 * Find the part at a time.
 * @param {{parts: Part[]}} playlist
 * @param {number} at seconds
 * @returns {number} index of the part; the number of parts if the time is after the last one
 */
export function partAt({ parts }, at) {
  return at >= lengthOf({ parts }) ? parts.length : Math.max(0, parts.findLastIndex(({ start }) => start <= at));
}

/**
 * Return the length of a clip.
 * @param {{parts: Part[]}} playlist
 * @returns {number} seconds
 */
export function lengthOf({ parts }) {
  const last = parts.at(-1);
  return last ? last.start + last.seconds : 0;
}

/**
 * @param {string} address
 * @param {string} base
 */
function resolveUrl(address, base) {
  try {
    const url = new URL(address, base);
    if (url.protocol === "https:" || url.protocol === "http:") return url.href;
  } catch {
    // Reported below.
  }
  throw new ClipError("INVALID_PLAYLIST", "the playlist contains an invalid address");
}
