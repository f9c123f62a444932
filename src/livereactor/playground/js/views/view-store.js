/**
 * What an element on another page tells its framework, and does for it: one snapshot that is the same object until
 * something changes, and functions that are the same for as long as the element lives (behaviour 28.6).
 */

import { CommandRefused } from "../client/pending-requests.js";

/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {import("../client/signalling.js").Track} Track */
/** @typedef {import("../client/wire.js").UploadReference} UploadReference */
/** `media`: what comes of an output, once it comes; null for an input. @typedef {Track & {media: MediaStreamTrack | null}} ViewTrack */
/** `code`: stable name of the cause; `title` and `text`: what happened and what to do next, for people.
 * @typedef {{code: string, title: string, text: string}} ViewError */
/**
 * - `disconnected` nothing runs: not started, stopped, failed, or over
 * - `connecting` a session is asked for, or a connection that was lost is made anew
 * - `waiting` the session is there: it waits for its worker, or for its first connection
 * - `ready` it runs
 * @typedef {"disconnected" | "connecting" | "waiting" | "ready"} ViewStatus
 */
/**
 * `tracks`: as the model declares them; empty before a session is open. `expiresAt`: when the session ends at the
 * latest, in seconds of Unix time.
 * @typedef {Readonly<{status: ViewStatus, tracks: readonly Readonly<ViewTrack>[], lastError: Readonly<ViewError> | null,
 *   sessionId: string | null, expiresAt: number | null}>} Snapshot
 */
/** What connects; whoever asks may ask at any time. @typedef {{connect: () => void, disconnect: () => void, reconnect: () => void}} Doings */

/** @type {Snapshot} */
const NOTHING = Object.freeze({
  status: "disconnected",
  tracks: Object.freeze([]),
  lastError: null,
  sessionId: null,
  expiresAt: null,
});

/** @type {Record<import("../client/connection-machine.js").State, ViewStatus>} */
export const STATUS = {
  idle: "disconnected",
  starting: "connecting",
  queued: "waiting",
  connecting: "waiting",
  ready: "ready",
  lost: "connecting",
  reconnecting: "connecting",
  failed: "disconnected",
  ended: "disconnected",
};

export class ViewStore {
  /** Begin a session, or go on with the one there is; nothing where one runs. @type {() => void} */
  connect;
  /** End it; nothing where none runs. @type {() => void} */
  disconnect;
  /** The same session by a new connection. @type {() => void} */
  reconnect;

  /** @type {Snapshot} */
  #snapshot = NOTHING;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {import("../client/client.js").Client | null} null: the element is on no page */
  #client = null;
  /** @type {import("../media/clips.js").Clips | null} */
  #clips = null;

  /** @param {Doings} doings */
  constructor({ connect, disconnect, reconnect }) {
    this.connect = connect;
    this.disconnect = disconnect;
    this.reconnect = reconnect;
  }

  /** As things stand: the same object until they change. @returns {Snapshot} */
  getSnapshot = () => this.#snapshot;

  /**
   * @param {() => void} listener called after each change
   * @returns {() => void} ends that
   */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /**
   * Send a command.
   * @param {string} type
   * @param {JsonObject} [data]
   * @param {Record<string, UploadReference>} [uploads]
   * @returns {Promise<{type: string, data: JsonObject} | null>} the model's reply; null: acknowledged without one
   */
  send = async (type, data = {}, uploads = {}) => this.#here.command(type, data, uploads);

  /**
   * Send a picture or sound into an input of the model's.
   * @param {string} name
   * @param {MediaStreamTrack} media
   */
  publish = async (name, media) => this.#here.publish(name, media);

  /** @param {string} name silent where it is not published */
  unpublish = async (name) => this.#here.unpublish(name);

  /**
   * @param {File} file
   * @returns {Promise<UploadReference>} for `send`
   */
  upload = async (file) => this.#here.upload(file);

  /**
   * What was just seen, or all of it, as a file.
   * @param {number | null} seconds the last so many; null: all of the session
   * @param {{signal?: AbortSignal, onProgress?: (fetched: number, total: number) => void}} [options] `signal` calls it off
   * @returns {Promise<Blob>} an MP4 that starts at 0; rejects with a `code` where there is none
   */
  clip = async (seconds, { signal = new AbortController().signal, onProgress = () => {} } = {}) => {
    if (!this.#clips) throw new CommandRefused("NOT_READY", "the element is not attached to a page");
    return this.#clips.keep(seconds, signal, onProgress);
  };

  get #here() {
    if (!this.#client) throw new CommandRefused("NOT_READY", "the element is not attached to a page");
    return this.#client;
  }

  /**
   * For the element.
   * @param {import("../client/client.js").Client | null} client null: nothing can be sent
   * @param {import("../media/clips.js").Clips | null} [clips] of the same session
   */
  attach(client, clips = null) {
    this.#client = client;
    this.#clips = clips;
  }

  /** For the element: how things stand now. @param {Snapshot} now */
  tell(now) {
    const before = this.#snapshot;
    const tracks = alike(before.tracks, now.tracks) ? before.tracks : now.tracks;
    const lastError = alike([before.lastError], [now.lastError]) ? before.lastError : now.lastError;
    const next = { ...now, tracks, lastError };
    if (alike([before], [next])) return;
    this.#snapshot = Object.freeze(next);
    for (const listener of [...this.#listeners]) listener();
  }
}

/**
 * Whether two rows of objects have the same values, one level deep.
 * @param {readonly (object | null)[]} ones
 * @param {readonly (object | null)[]} others
 */
function alike(ones, others) {
  const same = (/** @type {object | null} */ one, /** @type {object | null} */ other) => {
    if (one === null || other === null) return one === other;
    return Object.entries(one).every(([name, value]) => Reflect.get(other, name) === value);
  };
  return ones.length === others.length && ones.every((one, at) => same(one, others[at] ?? null));
}
