/**
 * The page's client: it drives the connection machine, owns the Peer, and gives the rest of the page commands, tracks
 * and messages. It is the only module that combines the clock, the signalling and the peer.
 */

import { Emitter } from "../shared/emitter.js";
import { ConnectionMachine } from "./connection-machine.js";
import { Unreachable } from "./http.js";
import { Peer } from "./peer.js";
import { CommandRefused, PendingRequests } from "./pending-requests.js";
import { Session } from "./session.js";
import { encodeCommand, encodeControl } from "./wire.js";

/** @typedef {import("./connection-machine.js").Event} Event */
/** @typedef {import("./connection-machine.js").Problem} Problem */
/** @typedef {import("./connection-machine.js").State} State */
/** @typedef {import("./signalling.js").Track} Track */
/** @typedef {import("./wire.js").JsonObject} JsonObject */
/** @typedef {import("./wire.js").ModelMessage} ModelMessage */
/** @typedef {import("./wire.js").UploadReference} UploadReference */
/** @typedef {{state: State, problem: Problem | null}} Status */
/** @typedef {{session: string | null, connection: number | null, owner: boolean}} ResumePoint null stands for none */
/** @typedef {{type: string, sentAt: number, repliedAt: number}} Reply both in milliseconds of `performance.now()` */
/**
 * An entry of the log. `out`: a command; `reply`: its reply, `ms` later; `in`: a message that no command asked for.
 * @typedef {{at: Date, way: "out" | "reply" | "in" | "note", type: string, data?: unknown, ms?: number,
 *   error?: string, to?: Traffic}} Traffic `to`: the command that a reply answers
 */

/** States in which the coordinator is polled for changes of the session. @type {readonly State[]} */
const FOLLOWED = ["connecting", "ready", "lost", "reconnecting"];
/** States in which no session has waited for a worker yet. @type {readonly State[]} */
const BEGINNING = ["idle", "starting", "failed", "ended"];

export class Client {
  /** @type {Emitter<Status>} */
  status = new Emitter();
  /** @type {Emitter<JsonObject>} */
  schema = new Emitter();
  /** @type {Emitter<import("./peer.js").ReceivedTrack>} */
  received = new Emitter();
  /** @type {Emitter<Reply>} */
  replied = new Emitter();
  /** @type {Emitter<Traffic>} */
  traffic = new Emitter();
  /** @type {Emitter<{track: string, error: unknown}>} an input could not be published again after a reconnect */
  unpublished = new Emitter();
  /** Milliseconds from a ping to its pong; NaN before the first pong. */
  pingMs = NaN;

  /** The session at its server: opened, followed and ended there. */
  session = new Session(() => this.state);

  #signalling;
  #machine = new ConnectionMachine();
  #timer = 0;
  /** @type {Peer | null} */
  #peer = null;
  /** @type {number | null} the connection id, which survives the peer: the next peer takes it over */
  #connection = null;
  #requests = new PendingRequests();
  /** @type {number[]} send times of the pings without a pong */
  #pings = [];
  /** @type {Map<string, MediaStreamTrack>} published media by input track */
  #inputs = new Map();
  /** @type {Set<string>} paused output tracks */
  #paused = new Set();
  /** The session had to wait for its worker. */
  #hasWaited = false;

  /** @param {import("./signalling.js").Signalling} signalling */
  constructor(signalling) {
    this.#signalling = signalling;
    this.session.happened.listen(({ event, problem }) => this.#handle(event, problem));
    this.session.noted.listen(({ what, error }) => this.#note(what, error));
    this.session.opened.listen(({ isNew }) => {
      // The id belongs to another worker, or to the previous session.
      if (isNew) this.#connection = null;
    });
  }

  get state() {
    return this.#machine.state;
  }

  /** @returns {Track[]} as declared; empty before a session is open */
  get tracks() {
    return this.session.descriptor?.capabilities?.tracks ?? [];
  }

  /** Open a session, or try again. */
  start() {
    this.#handle("start");
  }

  /** End the session or leave the queue. A session that another client owns is left, not ended. */
  stop() {
    this.#handle("stop");
  }

  /** Connect to the same session with a new peer, or start a session. Does nothing while an attempt is under way. */
  reconnect() {
    if (["starting", "queued", "connecting", "reconnecting"].includes(this.state)) return;
    this.#handle("broken", { kind: "closed", detail: "" });
    this.#handle("start");
  }

  /** Check at once that the server responds, after the page slept or the network was down. */
  wake() {
    this.#handle("woke");
  }

  /**
   * Leave the session as the page unloads. A reload cannot be told from a closed tab, so the session is not ended: the
   * connection is closed at once. Otherwise the server would go on sending frames until a timeout, and the time within
   * which a client may return would begin only then. A session that got its worker without waiting, and has not
   * connected yet, is ended: a client that returns gets a worker as fast, and one that does not return must not keep
   * the worker from others. A session that waited in the queue is kept for a return.
   * @param {boolean} persisted the browser may restore the page as it is: nothing is closed
   * @returns {ResumePoint | undefined} what `resume` takes; undefined: there is nothing to come back to
   */
  leavePage(persisted) {
    if (["idle", "failed", "ended"].includes(this.state)) return undefined;
    const isFresh = ["starting", "connecting"].includes(this.state) && !this.#hasWaited;
    if (!persisted && isFresh && this.session.abandon()) return { session: null, connection: null, owner: true };
    const { id, owner } = this.session;
    const kept = { session: id, connection: this.#peer?.connection ?? this.#connection, owner };
    if (!persisted) this.#peer?.close();
    return kept;
  }

  /** Return to the session after a reload. @param {ResumePoint} point what `leavePage` returned */
  resume({ session, connection, owner }) {
    this.#connection = connection;
    this.session.restore(session, owner);
    this.start();
  }

  /**
   * Send a command and wait for its reply.
   * @param {string} type
   * @param {JsonObject} [data]
   * @param {Record<string, UploadReference>} [uploads]
   * @returns {Promise<ModelMessage | null>} null: acknowledged without a message
   * @throws {CommandRefused}
   */
  async command(type, data = {}, uploads = {}) {
    const sentAt = performance.now();
    /** @type {Traffic} */
    const to = { at: new Date(), way: "out", type, data: { ...data, ...uploads } };
    this.traffic.emit(to);
    try {
      const frame = (/** @type {string} */ id) => encodeCommand(id, type, data, uploads);
      const reply = /** @type {ModelMessage | null} */ (await this.#request("data", frame));
      const repliedAt = performance.now();
      const ms = repliedAt - sentAt;
      this.traffic.emit({ at: new Date(), way: "reply", type: reply?.type ?? type, data: reply?.data, ms, to });
      this.replied.emit({ type, sentAt, repliedAt });
      return reply;
    } catch (error) {
      const refused =
        error instanceof CommandRefused ? error : new CommandRefused("MESSAGE_SEND_FAILED", String(error));
      const text = `${refused.code}: ${refused.message}`;
      this.traffic.emit({ at: new Date(), way: "reply", type, error: text, ms: performance.now() - sentAt, to });
      throw refused;
    }
  }

  /**
   * Upload a file and tell the model of it.
   * @param {File} file
   * @returns {Promise<UploadReference>}
   */
  async upload(file) {
    const { id } = this.session;
    if (id === null) throw new CommandRefused("NOT_READY", "no session to upload to; start one first");
    const reference = await this.#signalling.upload(id, file);
    this.#peer?.sendControl(encodeControl({ fileUploaded: reference }));
    return reference;
  }

  /**
   * Ask for a clip.
   * @param {number | null} seconds length of the clip up to now; null: the whole session
   * @returns {Promise<import("./wire.js").ClipReady>} the clip's address, which may answer before the clip is ready
   * @throws {CommandRefused}
   */
  async clip(seconds) {
    /** @type {import("./wire.js").ControlOrder} */
    const order = seconds === null ? { recording: true } : { clip: seconds };
    const answer = await this.#request("control", (id) => encodeControl(order, id));
    return /** @type {import("./wire.js").ClipReady} */ (answer);
  }

  /**
   * Publish media on an input track, or replace what is published.
   * @param {string} name
   * @param {MediaStreamTrack} media
   * @throws {CommandRefused} another client publishes the track
   */
  async publish(name, media) {
    if (!this.#inputs.has(name)) await this.#request("control", (id) => encodeControl({ publish: name }, id));
    this.#inputs.set(name, media);
    await this.#peer?.send(name, media);
  }

  /** Stop publishing an input track, if it is published. @param {string} name */
  async unpublish(name) {
    if (!this.#inputs.delete(name) || !this.#peer) return;
    this.#peer.sendControl(encodeControl({ unpublish: name }));
    await this.#peer.send(name, null);
  }

  /**
   * Pause or resume an output track.
   * @param {string} name
   * @param {boolean} wanted
   */
  want(name, wanted) {
    if (wanted ? !this.#paused.delete(name) : this.#paused.has(name)) return;
    if (!wanted) this.#paused.add(name);
    this.#peer?.sendControl(encodeControl(wanted ? { resume: name } : { pause: name }));
  }

  /** @returns {Promise<RTCStatsReport> | null} */
  stats() {
    return this.#peer?.stats() ?? null;
  }

  /** Return the server's stage timings of the session; null if there is no session. */
  async stages() {
    const { id } = this.session;
    return id === null ? null : this.#signalling.stages(id);
  }

  // --- the machine ---------------------------------------------------------------------------------------------------

  /**
   * @param {Event} event
   * @param {Problem} [problem]
   */
  #handle(event, problem) {
    const before = this.#machine.state;
    const effects = this.#machine.handle(event, performance.now() / 1000, problem);
    for (const effect of effects) this.#apply(effect);
    this.#schedule();
    const { state } = this.#machine;
    if (!FOLLOWED.includes(state)) this.session.unfollow();
    if (state === "queued") this.#hasWaited = true;
    if (BEGINNING.includes(state)) this.#hasWaited = false;
    if (state !== before) this.status.emit({ state, problem: this.#machine.problem });
  }

  /** @param {import("./connection-machine.js").Effect} effect */
  #apply(effect) {
    switch (effect) {
      case "openSession":
        return void this.session.open(this.#connection);
      case "openPeer":
      case "replacePeer":
        return void this.#openPeer();
      case "closePeer":
        return this.#closePeer();
      case "stopSession":
        this.#connection = null;
        return void this.session.end();
      case "ping":
        this.#pings.push(performance.now());
        return this.#peer?.sendControl(encodeControl({ ping: true }));
    }
  }

  #schedule() {
    clearTimeout(this.#timer);
    const { deadline } = this.#machine;
    if (deadline === null) return;
    this.#timer = setTimeout(() => this.#handle("tick"), Math.max(0, deadline * 1000 - performance.now() + 1));
  }

  async #openPeer() {
    const { id } = this.session;
    if (id === null) throw new Error("no session to connect to");
    if (!("RTCPeerConnection" in window)) {
      const detail =
        "WebRTC is missing, or a setting or an extension blocks it. Allow WebRTC for this page, or use another browser.";
      return this.#handle("broken", { kind: "unsupported", detail });
    }
    const peer = new Peer(this.#signalling, id, this.#connection);
    this.#peer = peer;
    peer.live.listen(() => this.#live(peer));
    peer.broken.listen((problem) => this.#peer === peer && this.#handle("broken", problem));
    peer.shaky.listen(() => void this.#probe(peer));
    peer.received.listen((track) => this.received.emit(track));
    peer.data.listen((frame) => this.#onData(frame));
    peer.control.listen((frame) => this.#onControl(frame));
    peer.garbled.listen((error) => this.#note("garbled", error));
    try {
      await peer.open(this.tracks);
    } catch (error) {
      await this.session.fail(error, () => this.#peer === peer);
    }
  }

  /** Give the peer up if the server does not respond over HTTP either. @param {Peer} peer */
  async #probe(peer) {
    try {
      await this.session.probe();
    } catch (error) {
      if (this.#peer !== peer || !(error instanceof Unreachable)) return;
      this.#handle("broken", { kind: "unreachable", detail: error.step });
    }
  }

  /** @param {Peer} peer */
  #live(peer) {
    this.#connection = peer.connection;
    this.#pings = [];
    for (const { name, direction } of this.tracks) {
      if (direction === "recvonly" && !this.#paused.has(name)) peer.sendControl(encodeControl({ resume: name }));
    }
    this.#handle("live");
    void this.#readSchema();
    void this.#publishAgain();
  }

  /** Read the schema over HTTP, which keeps the author's order of fields; a protobuf map would lose it. */
  async #readSchema() {
    try {
      this.schema.emit(await this.session.schema());
    } catch (error) {
      this.#note("schema", error);
    }
  }

  /** Publish the inputs again: a claim on an input track ends with its connection. */
  async #publishAgain() {
    const inputs = [...this.#inputs];
    this.#inputs.clear();
    for (const [track, media] of inputs) {
      await this.publish(track, media).catch((error) => this.unpublished.emit({ track, error }));
    }
  }

  #closePeer() {
    this.session.leave();
    const peer = this.#peer;
    this.#peer = null;
    this.#connection = peer?.connection ?? this.#connection;
    peer?.close();
    this.#requests.abandon();
    // A connection id is valid only within its session.
    if (!["ended", "starting"].includes(this.#machine.state)) return;
    this.#connection = null;
    this.session.forget();
  }

  // --- requests and what comes back ----------------------------------------------------------------------------------

  /**
   * @param {"data" | "control"} channel
   * @param {(id: string) => Uint8Array<ArrayBuffer>} encode
   * @returns {Promise<import("./pending-requests.js").Answer | null>}
   */
  #request(channel, encode) {
    const peer = this.#peer;
    if (!peer || this.state !== "ready") return Promise.reject(new CommandRefused("NOT_READY", "not connected yet"));
    return this.#requests.ask(channel, (id) => {
      const frame = encode(id);
      if (frame.byteLength > peer.maxFrame) {
        const text = `${frame.byteLength} bytes exceed ${peer.maxFrame}; upload the content as a file`;
        throw new CommandRefused("MESSAGE_TOO_LARGE", text);
      }
      if (channel === "data") peer.sendData(frame);
      else peer.sendControl(frame);
    });
  }

  /** @param {import("./wire.js").DataFrame} frame */
  #onData({ requestId, message, error }) {
    const expected = this.#requests.settle(requestId, { answer: message, error });
    if (message && !expected) this.traffic.emit({ at: new Date(), way: "in", ...message });
  }

  /** @param {import("./wire.js").ControlFrame} frame */
  #onControl({ requestId, schema, ended, clip, moderation, error }) {
    if (this.#requests.settle(requestId, { answer: clip, error })) return;
    if (schema) void this.#readSchema();
    else if (ended !== undefined) this.#handle("ended", { kind: "ended", detail: ended });
    else if (moderation) this.#note(`moderation: ${moderation.action}`, moderation.message);
    else if (requestId === "" && !error) this.#pong();
  }

  #pong() {
    const sentAt = this.#pings.shift();
    if (sentAt !== undefined) this.pingMs = performance.now() - sentAt;
    this.#handle("pong");
  }

  /**
   * @param {string} type
   * @param {unknown} error
   */
  #note(type, error) {
    this.traffic.emit({ at: new Date(), way: "note", type, error: String(error) });
  }
}
