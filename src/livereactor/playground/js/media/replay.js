/** Looking back: the session's recording, played from a place in it and followed as it grows. */

import { element } from "../shared/dom.js";
import { mimeType } from "./mp4-fragments.js";
import { Mp4Error } from "./mp4-boxes.js";
import { pause } from "../client/http.js";
import { ClipError, partAt } from "./playlist.js";
import { Emitter } from "../shared/emitter.js";

/** Seconds of film that are fetched before they are wanted, and kept after they were shown. */
const AHEAD = 10;
const BEHIND = 30;
/** Seconds left to show before the recording is asked for again, and how often that may be. */
const ENOUGH = 3;
const AGAIN_MS = 1000;
/** Seconds. A picture this close is the one that is meant: a part begins where its first picture does. */
const NEAR = 1.5;
/** Seconds, of a session. */
const LONGEST = 1e7;
/** Seconds by which a part may be longer or shorter than its playlist says. */
const ROUNDING = 0.02;

export class Replay {
  /** @type {Emitter<unknown>} it cannot go on, and why */
  failed = new Emitter();
  /** @type {Emitter<void>} it shows a picture, goes on or stands still */
  moved = new Emitter();
  video = element("video", { playsInline: true, "aria-label": "Recording of the session" });

  #clips;
  #over = new AbortController();
  #media = new MediaSource();
  /** @type {SourceBuffer | null} */
  #buffer = null;
  #isReady = false;
  /** @type {import("./playlist.js").Playlist | null} */
  #playlist = null;
  /** Seconds of the recording at a moment of `performance.now()`. */
  #anchor = { now: 0, at: 0 };
  /** The moment that is to be shown as soon as it can be, by `performance.now()`. */
  #wanted;
  /** The part to fetch when more is needed. */
  #next = 0;

  /**
   * @param {import("./clips.js").Clips} clips
   * @param {number} ago seconds
   */
  constructor(clips, ago) {
    this.#clips = clips;
    this.#wanted = performance.now() - ago * 1000;
    this.video.src = URL.createObjectURL(this.#media);
    const { signal } = this.#over;
    for (const type of ["loadeddata", "seeked", "playing", "pause", "timeupdate"]) {
      this.video.addEventListener(type, () => this.moved.emit(), { signal });
    }
    this.#run().catch((error) => signal.aborted || this.failed.emit(error));
  }

  /** Seconds between what is shown and what is made now. */
  get ago() {
    if (!this.hasPicture) return (performance.now() - this.#wanted) / 1000;
    return Math.max(0, this.#now - this.video.currentTime);
  }

  get hasPicture() {
    return this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  /** Seconds recorded so far; NaN: not known yet. */
  get length() {
    return this.#playlist ? this.#now : NaN;
  }

  /** @param {number} ago seconds */
  seek(ago) {
    this.#wanted = performance.now() - ago * 1000;
    if (this.#isReady) this.#aim();
    this.moved.emit();
  }

  close() {
    this.#over.abort();
    this.video.pause();
    URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.load();
  }

  get #now() {
    return this.#anchor.now + (performance.now() - this.#anchor.at) / 1000;
  }

  async #run() {
    const { signal } = this.#over;
    const opened = new Promise((resolve) => this.#media.addEventListener("sourceopen", resolve, { once: true }));
    const { init } = await this.#ask();
    const head = await this.#clips.part(init, signal);
    await opened;
    this.#buffer = this.#open(head);
    // It may be sought where nothing has been fetched yet, and has no end.
    this.#media.duration = Infinity;
    this.#media.setLiveSeekableRange(0, LONGEST);
    await this.#append(head);
    // Before that it would not be told where to begin.
    if (this.video.readyState === 0) await next(this.video, ["loadedmetadata"], signal);
    this.#isReady = true;
    this.#aim();
    await this.#feed(this.#buffer);
  }

  async #ask() {
    const { signal } = this.#over;
    const clip = await this.#clips.ask(null);
    this.#anchor = { now: clip.now, at: performance.now() };
    signal.throwIfAborted();
    this.#playlist = await this.#clips.playlist(clip, signal);
    return this.#playlist;
  }

  /** @param {Uint8Array} init */
  #open(init) {
    try {
      const type = mimeType(init);
      if (!MediaSource.isTypeSupported(type)) throw new Mp4Error(`no decoder for ${type}`);
      return this.#media.addSourceBuffer(type);
    } catch (error) {
      throw error instanceof Mp4Error ? new ClipError("PLAYBACK_UNSUPPORTED", error.message) : error;
    }
  }

  /** @param {SourceBuffer} buffer */
  async #feed(buffer) {
    const { signal } = this.#over;
    const { video } = this;
    for (;;) {
      const part = this.#playlist?.parts[this.#next];
      const until = bufferedTo(buffer, video.currentTime);
      const ahead = until === null ? 0 : until - video.currentTime;
      if (ahead > (part ? AHEAD : ENOUGH)) await next(video, ["timeupdate", "seeking"], signal);
      else if (part) {
        this.#next++;
        await this.#append(await this.#clips.part(part.url, signal));
        this.#settle(buffer);
        await this.#forget(buffer);
      } else await this.#grow(buffer);
      signal.throwIfAborted();
    }
  }

  #aim() {
    const { now, at } = this.#anchor;
    if (this.#buffer) this.#show(this.#buffer, Math.max(0, now + (this.#wanted - at) / 1000));
  }

  /**
   * @param {SourceBuffer} buffer
   * @param {number} at seconds of the recording
   */
  #show(buffer, at) {
    this.video.currentTime = at;
    this.#goOn(buffer, at);
  }

  /**
   * What was the last part may have been the beginning of one: not by its number, but by what there is of it.
   * @param {SourceBuffer} buffer
   * @param {number} at seconds of the recording
   */
  #goOn(buffer, at) {
    const { parts } = /** @type {import("./playlist.js").Playlist} */ (this.#playlist);
    this.#next = partAt({ parts }, (bufferedTo(buffer, at) ?? at) + ROUNDING);
  }

  /** A place just before the first picture of what was fetched for it is that picture. @param {SourceBuffer} buffer */
  #settle(buffer) {
    const { video } = this;
    if (bufferedTo(buffer, video.currentTime) !== null) return;
    for (let range = 0; range < buffer.buffered.length; range++) {
      const start = buffer.buffered.start(range);
      if (start > video.currentTime && start - video.currentTime < NEAR) return this.#show(buffer, start);
    }
  }

  /** The recording has grown meanwhile. @param {SourceBuffer} buffer */
  async #grow(buffer) {
    const quiet = new AbortController();
    const either = AbortSignal.any([this.#over.signal, quiet.signal]);
    const early = Math.max(0, this.#anchor.at + AGAIN_MS - performance.now());
    await Promise.race([pause(early, either), next(this.video, ["seeking"], either)]).finally(() => quiet.abort());
    if (this.#playlist?.parts[this.#next]) return;
    await this.#ask();
    this.#goOn(buffer, this.video.currentTime);
  }

  /** @param {Uint8Array} bytes */
  async #append(bytes) {
    const buffer = /** @type {SourceBuffer} */ (this.#buffer);
    buffer.appendBuffer(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
    await next(buffer, ["updateend"], this.#over.signal);
  }

  /** @param {SourceBuffer} buffer */
  async #forget(buffer) {
    const end = this.video.currentTime - BEHIND;
    if (buffer.buffered.length === 0 || buffer.buffered.start(0) >= end) return;
    buffer.remove(0, end);
    await next(buffer, ["updateend"], this.#over.signal);
  }
}

/**
 * @param {SourceBuffer} buffer
 * @param {number} at seconds
 * @returns {number | null} how far it goes on from there; null: it has not got it
 */
function bufferedTo({ buffered }, at) {
  for (let range = 0; range < buffered.length; range++) {
    if (buffered.start(range) <= at + 0.001 && at < buffered.end(range)) return buffered.end(range);
  }
  return null;
}

/**
 * @param {EventTarget} target
 * @param {readonly string[]} types
 * @param {AbortSignal} signal
 * @returns {Promise<void>} when one of them happens; rejects when the signal aborts
 */
function next(target, types, signal) {
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const end = (/** @type {() => void} */ how) => (done.abort(), how());
    for (const type of types) target.addEventListener(type, () => end(resolve), { signal: done.signal });
    if (signal.aborted) return end(() => reject(signal.reason));
    signal.addEventListener("abort", () => end(() => reject(signal.reason)), { signal: done.signal });
  });
}
