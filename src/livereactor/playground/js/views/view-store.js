/**
 * The store of a `<livereactor-view>` for frameworks: one snapshot that stays the same object until something changes,
 * and functions that stay the same for as long as the element lives (docs/embedding.md).
 */

import { CommandRefused } from "../client/pending-requests.js";

/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {import("../client/signalling.js").Track} Track */
/** @typedef {import("../client/wire.js").UploadReference} UploadReference */
/**
 * A track with its media. `media`: the media of an output once it arrives; null for an input.
 * @typedef {Track & {media: MediaStreamTrack | null}} ViewTrack
 */
/**
 * An error. `code`: stable name of the cause; `title` and `text`: what happened and what to do next.
 * @typedef {{code: string, title: string, text: string}} ViewError
 */
/**
 * - `disconnected` nothing runs: not started, stopped, failed, or ended
 * - `connecting` a session was requested, or a lost connection is being restored
 * - `waiting` the session exists and waits for its worker or for its first connection
 * - `ready` the session runs
 * @typedef {"disconnected" | "connecting" | "waiting" | "ready"} ViewStatus
 */
/**
 * The state of a view. `tracks`: as the model declares them, empty before a session is open. `expiresAt`: the latest
 * end of the session, in Unix seconds.
 * @typedef {Readonly<{status: ViewStatus, tracks: readonly Readonly<ViewTrack>[], lastError: Readonly<ViewError> | null,
 *   sessionId: string | null, expiresAt: number | null}>} Snapshot
 */
/**
 * The functions of an element that may be called at any time.
 * @typedef {{connect: () => void, disconnect: () => void, reconnect: () => void}} Connector
 */

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
  /** Start a session, or resume the current one. Does nothing while one runs. @type {() => void} */
  connect;
  /** End the session, if one runs. @type {() => void} */
  disconnect;
  /** Connect to the same session anew. @type {() => void} */
  reconnect;

  /** @type {Snapshot} */
  #snapshot = NOTHING;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {import("../client/client.js").Client | null} null: the element is not attached */
  #client = null;
  /** @type {import("../media/clips.js").Clips | null} */
  #clips = null;

  /** @param {Connector} connector */
  constructor({ connect, disconnect, reconnect }) {
    this.connect = connect;
    this.disconnect = disconnect;
    this.reconnect = reconnect;
  }

  /** Return the current snapshot. @returns {Snapshot} */
  getSnapshot = () => this.#snapshot;

  /**
   * Listen to changes.
   * @param {() => void} listener called after each change
   * @returns {() => void} ends the subscription
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
   * @returns {Promise<{type: string, data: JsonObject} | null>} the model's reply; null: acknowledged without a message
   */
  send = async (type, data = {}, uploads = {}) => this.#here.command(type, data, uploads);

  /**
   * Publish video or audio on an input track of the model.
   * @param {string} name
   * @param {MediaStreamTrack} media
   */
  publish = async (name, media) => this.#here.publish(name, media);

  /** Stop publishing an input track, if it is published. @param {string} name */
  unpublish = async (name) => this.#here.unpublish(name);

  /**
   * Upload a file.
   * @param {File} file
   * @returns {Promise<UploadReference>} value for `uploads` of `send`
   */
  upload = async (file) => this.#here.upload(file);

  /**
   * Fetch a clip of the session.
   * @param {number | null} seconds length of the clip up to now; null: the whole session
   * @param {{signal?: AbortSignal, onProgress?: (fetched: number, total: number) => void}} [options] `signal` aborts it
   * @returns {Promise<Blob>} an MP4 that starts at 0; rejects with an error that has a `code`
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
   * Set the client to use; called by the element.
   * @param {import("../client/client.js").Client | null} client null: calls are refused
   * @param {import("../media/clips.js").Clips | null} [clips] of the same session
   */
  attach(client, clips = null) {
    this.#client = client;
    this.#clips = clips;
  }

  /** Set the current state; called by the element. @param {Snapshot} now */
  update(now) {
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
 * Return whether two lists of objects have the same values, one level deep.
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
