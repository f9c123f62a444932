/** Request clips from the server, wait for them, fetch their parts, and build one MP4. */

import { Refused, Unreachable, pause } from "../client/http.js";
import { CommandRefused } from "../client/pending-requests.js";
import { Mp4Error } from "./mp4-boxes.js";
import { Film } from "./mp4-film.js";
import { ClipError, readPlaylist } from "./playlist.js";

/** @typedef {import("../client/wire.js").ClipReady} ClipReady */
/** @typedef {import("./playlist.js").Playlist} Playlist */
/**
 * A callback for the number of fetched and of all parts.
 * @typedef {(fetched: number, total: number) => void} Progress
 */

/** Parts that are fetched at once: on a slow network, one by one would cost a round trip each. */
const AHEAD = 4;
/** Seconds to wait for a clip. */
const READY_TIMEOUT = 60;
const PART_MS = 60_000;
/** Attempts for a part: a proxy may restart, or the network may fail for a moment. */
const TRIES = 2;
const AGAIN_MS = 500;

export class Clips {
  #http;
  #client;

  /**
   * @param {import("../client/http.js").Http} http
   * @param {import("../client/client.js").Client} client
   */
  constructor(http, client) {
    this.#http = http;
    this.#client = client;
  }

  /**
   * Fetch a clip.
   * @param {number | null} seconds length of the clip up to now; null: the whole session
   * @param {AbortSignal} signal
   * @param {Progress} onProgress
   * @returns {Promise<Blob>} an ordinary MP4
   * @throws {ClipError}
   */
  async keep(seconds, signal, onProgress) {
    return this.#film(await this.ask(seconds), signal, onProgress);
  }

  /**
   * Request a clip.
   * @param {number | null} seconds length of the clip up to now; null: the whole session
   * @returns {Promise<ClipReady>}
   * @throws {ClipError}
   */
  async ask(seconds) {
    if (seconds !== null && !(seconds > 0 && seconds < Infinity)) {
      throw new ClipError("INVALID_DURATION", `a clip cannot last ${seconds} seconds; ask for more than 0`);
    }
    try {
      return await this.#client.clip(seconds);
    } catch (error) {
      throw error instanceof CommandRefused ? new ClipError(error.code, error.message) : error;
    }
  }

  /**
   * Wait for the playlist of a clip.
   * @param {ClipReady} clip
   * @param {AbortSignal} signal
   * @returns {Promise<Playlist>} once the last part is ready
   * @throws {ClipError}
   */
  async playlist({ playlist }, signal) {
    const giveUpAt = performance.now() + READY_TIMEOUT * 1000;
    for (;;) {
      const response = await this.#get("asking for the clip", playlist, signal, "PLAYLIST_FETCH_FAILED");
      if (response.status === 200) return readPlaylist(await response.text(), response.url);
      if (performance.now() > giveUpAt) throw new ClipError("CLIP_NOT_READY");
      // Whatever the server says, wait between 0.2 and 2 s.
      const wait = Number(response.headers.get("retry-after")) || 0;
      await pause(1000 * Math.min(2, Math.max(0.2, wait)), signal);
    }
  }

  /**
   * Fetch one part.
   * @param {string} url
   * @param {AbortSignal} signal
   * @returns {Promise<Uint8Array>}
   * @throws {ClipError}
   */
  async part(url, signal) {
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#get("fetching a part of the clip", url, signal, "CHUNK_FETCH_FAILED");
        return new Uint8Array(await response.arrayBuffer());
      } catch (error) {
        signal.throwIfAborted();
        if (attempt === TRIES || (error instanceof ClipError && error.code === "CLIP_GONE")) {
          throw error instanceof ClipError ? error : new ClipError("UNREACHABLE");
        }
        await pause(AGAIN_MS, signal);
      }
    }
  }

  /**
   * @param {ClipReady} clip
   * @param {AbortSignal} signal
   * @param {Progress} onProgress
   */
  async #film(clip, signal, onProgress) {
    const { init, parts } = await this.playlist(clip, signal);
    const own = new AbortController();
    const either = AbortSignal.any([signal, own.signal]);
    const coming = [init, ...parts.map(({ url }) => url)].values();
    /** @type {Promise<Uint8Array>[]} */
    const under = [];
    const more = () => {
      const { value } = coming.next();
      if (value === undefined) return;
      const part = this.part(value, either);
      part.catch(() => {}); // reported where it is awaited
      under.push(part);
    };
    for (let count = 0; count < AHEAD; count++) more();
    const next = async () => {
      const part = await /** @type {Promise<Uint8Array>} */ (under.shift());
      more();
      return part;
    };
    try {
      const film = new Film(await next());
      /** @type {Blob[]} browsers keep blobs outside the page's memory */
      const bodies = [];
      for (let fetched = 0; fetched < parts.length; onProgress(++fetched, parts.length)) {
        bodies.push(new Blob(/** @type {Uint8Array<ArrayBuffer>[]} */ (film.add(await next()))));
      }
      return new Blob([film.head(), ...bodies], { type: "video/mp4" });
    } catch (error) {
      // The rest is not needed.
      own.abort();
      throw error instanceof Mp4Error ? new ClipError("DOWNLOAD_UNSUPPORTED", error.message) : error;
    }
  }

  /**
   * @param {string} step
   * @param {string} url
   * @param {AbortSignal} signal
   * @param {string} code for errors other than gone and unreachable
   */
  async #get(step, url, signal, code) {
    try {
      return await this.#http.request(step, "GET", url, { signal, patience: PART_MS });
    } catch (error) {
      if (error instanceof Unreachable) throw new ClipError("UNREACHABLE", error.message);
      if (!(error instanceof Refused)) throw error;
      const isGone = error.status === 410 || error.status === 404;
      throw new ClipError(isGone ? "CLIP_GONE" : code, error.message);
    }
  }
}
