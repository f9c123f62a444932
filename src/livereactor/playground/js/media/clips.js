/** Clips from the server: asked for, waited for, fetched, and put together as one MP4. */

import { Mp4Error } from "./mp4-boxes.js";
import { Film } from "./mp4-film.js";
import { Refused, Unreachable, pause } from "../client/http.js";
import { ClipError, readPlaylist } from "./playlist.js";
import { CommandRefused } from "../client/pending-requests.js";

/** @typedef {import("../client/wire.js").ClipReady} ClipReady */
/** @typedef {import("./playlist.js").Playlist} Playlist */
/** Parts fetched, parts in all. @typedef {(fetched: number, total: number) => void} Progress */

/** Parts on their way at once: on a long way each would cost a round trip. */
const AHEAD = 4;
/** Seconds. A clip that is not there then will not come. */
const READY_TIMEOUT = 60;
const PART_MS = 60_000;
/** Once more: a proxy that was started anew, a network that was away for a moment. */
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
   * @param {number | null} seconds the last so many; null: all of the session
   * @param {AbortSignal} signal
   * @param {Progress} tell
   * @returns {Promise<Blob>} an ordinary MP4
   * @throws {ClipError}
   */
  async keep(seconds, signal, tell) {
    return this.#film(await this.ask(seconds), signal, tell);
  }

  /**
   * @param {number | null} seconds the last so many; null: all of the session
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
   * @param {ClipReady} clip
   * @param {AbortSignal} signal
   * @returns {Promise<Playlist>} once its last part is there
   * @throws {ClipError}
   */
  async playlist({ playlist }, signal) {
    const giveUpAt = performance.now() + READY_TIMEOUT * 1000;
    for (;;) {
      const response = await this.#get("asking for the clip", playlist, signal, "PLAYLIST_FETCH_FAILED");
      if (response.status === 200) return readPlaylist(await response.text(), response.url);
      if (performance.now() > giveUpAt) throw new ClipError("CLIP_NOT_READY");
      // 9.2: whatever it says, between 0.2 and 2 s.
      const wait = Number(response.headers.get("retry-after")) || 0;
      await pause(1000 * Math.min(2, Math.max(0.2, wait)), signal);
    }
  }

  /**
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
   * @param {Progress} tell
   */
  async #film(clip, signal, tell) {
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
      part.catch(() => {}); // told where it is waited for
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
      /** @type {Blob[]} of blobs, which browsers keep outside the page's memory */
      const bodies = [];
      for (let fetched = 0; fetched < parts.length; tell(++fetched, parts.length)) {
        bodies.push(new Blob(/** @type {Uint8Array<ArrayBuffer>[]} */ (film.add(await next()))));
      }
      return new Blob([film.head(), ...bodies], { type: "video/mp4" });
    } catch (error) {
      // Nobody wants the rest of it.
      own.abort();
      throw error instanceof Mp4Error ? new ClipError("DOWNLOAD_UNSUPPORTED", error.message) : error;
    }
  }

  /**
   * @param {string} step
   * @param {string} url
   * @param {AbortSignal} signal
   * @param {string} code of what is neither gone nor out of reach
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
