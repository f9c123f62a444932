/** Replay of the running session: play its recording from a given moment, and follow it as it grows. */

import { pause } from "../client/http.js";
import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { Mp4Error } from "./mp4-boxes.js";
import { mimeType } from "./mp4-fragments.js";
import { ClipError, partAt } from "./playlist.js";

/** Seconds of film that are buffered ahead of the shown moment, and kept behind it. */
const AHEAD = 10;
const BEHIND = 30;
/**
 * Seconds of remaining film below which the recording is requested again, and the shortest interval between requests.
 */
const REFILL_BELOW = 3;
const REFILL_INTERVAL_MS = 1000;
/** Seconds. A frame this close is the wanted one: a part begins with its first frame. */
const NEAR = 1.5;
/** Seconds: longest session. */
const LONGEST = 1e7;
/** Seconds by which a part may be longer or shorter than its playlist says. */
const ROUNDING = 0.02;

export class Replay {
  /** @type {Emitter<unknown>} playback failed */
  failed = new Emitter();
  /** @type {Emitter<void>} a frame was shown, or playback started or paused */
  moved = new Emitter();
  video = element("video", { playsInline: true, "aria-label": "Recording of the session" });

  #clips;
  #closing = new AbortController();
  #media = new MediaSource();
  /** @type {SourceBuffer | null} */
  #buffer = null;
  #isReady = false;
  /** @type {import("./playlist.js").Playlist | null} */
  #playlist = null;
  /** Position in the recording, in seconds, at a moment of `performance.now()`. */
  #anchor = { now: 0, at: 0 };
  /** The moment to show as soon as possible, by `performance.now()`. */
  #wanted;
  /** Index of the next part to fetch. */
  #next = 0;

  /**
   * @param {import("./clips.js").Clips} clips
   * @param {number} ago seconds
   */
  constructor(clips, ago) {
    this.#clips = clips;
    this.#wanted = performance.now() - ago * 1000;
    this.video.src = URL.createObjectURL(this.#media);
    const { signal } = this.#closing;
    for (const type of ["loadeddata", "seeked", "playing", "pause", "timeupdate"]) {
      this.video.addEventListener(type, () => this.moved.emit(), { signal });
    }
    this.#run().catch((error) => signal.aborted || this.failed.emit(error));
  }

  /** Seconds between the shown moment and now. */
  get ago() {
    if (!this.hasFrame) return (performance.now() - this.#wanted) / 1000;
    return Math.max(0, this.#now - this.video.currentTime);
  }

  get hasFrame() {
    return this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  /** Seconds recorded so far; NaN if unknown. */
  get length() {
    return this.#playlist ? this.#now : NaN;
  }

  /** @param {number} ago seconds */
  seek(ago) {
    this.#wanted = performance.now() - ago * 1000;
    if (this.#isReady) this.#seekToWanted();
    this.moved.emit();
  }

  close() {
    this.#closing.abort();
    this.video.pause();
    URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.load();
  }

  get #now() {
    return this.#anchor.now + (performance.now() - this.#anchor.at) / 1000;
  }

  async #run() {
    const { signal } = this.#closing;
    const opened = new Promise((resolve) => this.#media.addEventListener("sourceopen", resolve, { once: true }));
    const { init } = await this.#requestPlaylist();
    const head = await this.#clips.part(init, signal);
    await opened;
    this.#buffer = this.#open(head);
    // The user may seek to parts that are not fetched yet, and the recording has no end.
    this.#media.duration = Infinity;
    this.#media.setLiveSeekableRange(0, LONGEST);
    await this.#append(head);
    // The video accepts a position only once it has metadata.
    if (this.video.readyState === 0) await nextEvent(this.video, ["loadedmetadata"], signal);
    this.#isReady = true;
    this.#seekToWanted();
    await this.#feed(this.#buffer);
  }

  async #requestPlaylist() {
    const { signal } = this.#closing;
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
    const { signal } = this.#closing;
    const { video } = this;
    for (;;) {
      const part = this.#playlist?.parts[this.#next];
      const until = bufferedTo(buffer, video.currentTime);
      const ahead = until === null ? 0 : until - video.currentTime;
      if (ahead > (part ? AHEAD : REFILL_BELOW)) await nextEvent(video, ["timeupdate", "seeking"], signal);
      else if (part) {
        this.#next++;
        await this.#append(await this.#clips.part(part.url, signal));
        this.#snapToBuffered(buffer);
        await this.#dropOld(buffer);
      } else await this.#grow(buffer);
      signal.throwIfAborted();
    }
  }

  #seekToWanted() {
    const { now, at } = this.#anchor;
    if (this.#buffer) this.#show(this.#buffer, Math.max(0, now + (this.#wanted - at) / 1000));
  }

  /**
   * @param {SourceBuffer} buffer
   * @param {number} at seconds of the recording
   */
  #show(buffer, at) {
    this.video.currentTime = at;
    this.#continueFrom(buffer, at);
  }

  /**
   * Choose the next part by what is buffered, not by number: the last part may have grown since.
   * @param {SourceBuffer} buffer
   * @param {number} at seconds of the recording
   */
  #continueFrom(buffer, at) {
    const { parts } = /** @type {import("./playlist.js").Playlist} */ (this.#playlist);
    this.#next = partAt({ parts }, (bufferedTo(buffer, at) ?? at) + ROUNDING);
  }

  /** Move on to the first buffered frame if it lies just after the wanted moment. @param {SourceBuffer} buffer */
  #snapToBuffered(buffer) {
    const { video } = this;
    if (bufferedTo(buffer, video.currentTime) !== null) return;
    for (let range = 0; range < buffer.buffered.length; range++) {
      const start = buffer.buffered.start(range);
      if (start > video.currentTime && start - video.currentTime < NEAR) return this.#show(buffer, start);
    }
  }

  /** Wait, then request the grown recording. @param {SourceBuffer} buffer */
  async #grow(buffer) {
    const quiet = new AbortController();
    const either = AbortSignal.any([this.#closing.signal, quiet.signal]);
    const early = Math.max(0, this.#anchor.at + REFILL_INTERVAL_MS - performance.now());
    await Promise.race([pause(early, either), nextEvent(this.video, ["seeking"], either)]).finally(() => quiet.abort());
    if (this.#playlist?.parts[this.#next]) return;
    await this.#requestPlaylist();
    this.#continueFrom(buffer, this.video.currentTime);
  }

  /** @param {Uint8Array} bytes */
  async #append(bytes) {
    const buffer = /** @type {SourceBuffer} */ (this.#buffer);
    buffer.appendBuffer(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
    await nextEvent(buffer, ["updateend"], this.#closing.signal);
  }

  /** @param {SourceBuffer} buffer */
  async #dropOld(buffer) {
    const end = this.video.currentTime - BEHIND;
    if (buffer.buffered.length === 0 || buffer.buffered.start(0) >= end) return;
    buffer.remove(0, end);
    await nextEvent(buffer, ["updateend"], this.#closing.signal);
  }
}

/**
 * @param {SourceBuffer} buffer
 * @param {number} at seconds
 * @returns {number | null} end of the buffered range at that time; null: not buffered
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
 * @returns {Promise<void>} resolves with the first of the events; rejects when the signal aborts
 */
function nextEvent(target, types, signal) {
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const end = (/** @type {() => void} */ how) => (done.abort(), how());
    for (const type of types) target.addEventListener(type, () => end(resolve), { signal: done.signal });
    if (signal.aborted) return end(() => reject(signal.reason));
    signal.addEventListener("abort", () => end(() => reject(signal.reason)), { signal: done.signal });
  });
}
