/**
 * One WebRTC peer: offer, answer, candidates, two data channels and tracks. A Peer is opened and closed once; a
 * reconnect uses a new Peer. It does not retry.
 */

import { Emitter } from "../shared/emitter.js";
import { Refused } from "./http.js";
import { WireError, decodeControl, decodeData } from "./wire.js";

/** @typedef {import("./signalling.js").Track} Track */
/** @typedef {import("./signalling.js").Candidate} Candidate */
/** @typedef {import("./connection-machine.js").Problem} Problem */
/** @typedef {{name: string, kind: "video" | "audio", media: MediaStreamTrack}} ReceivedTrack */

/** Milliseconds. Candidates come in bursts, and one request carries a burst. */
const CANDIDATE_BATCH_MS = 25;
/** Milliseconds. ICE reports a disconnect after one second of Wi-Fi trouble, which often passes. */
const DISCONNECTED_GRACE_MS = 3000;

export class Peer {
  /** @type {Emitter<void>} connected with both channels open; emitted once */
  live = new Emitter();
  /** @type {Emitter<void>} no packets for some seconds */
  shaky = new Emitter();
  /** @type {Emitter<Problem>} failed, or closed by the other side; emitted once, never after `close` */
  broken = new Emitter();
  /** @type {Emitter<ReceivedTrack>} */
  received = new Emitter();
  /** @type {Emitter<import("./wire.js").DataFrame>} */
  data = new Emitter();
  /** @type {Emitter<import("./wire.js").ControlFrame>} */
  control = new Emitter();
  /** @type {Emitter<string>} a frame that could not be read; it is dropped and the channel stays open */
  garbled = new Emitter();

  #signalling;
  #session;
  #connection;
  #over = new AbortController();
  #pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  /** @type {Map<string, RTCRtpTransceiver>} by track name */
  #transceivers = new Map();
  /** @type {RTCDataChannel | null} */
  #data = null;
  /** @type {RTCDataChannel | null} */
  #control = null;
  #isLive = false;
  /** @type {Candidate[]} */
  #candidates = [];
  #candidateTimer = 0;
  #localCandidates = 0;

  /**
   * @param {import("./signalling.js").Signalling} signalling
   * @param {string} session
   * @param {number | null} connection id of an earlier connection whose peer this one replaces; null asks for a new id
   */
  constructor(signalling, session, connection) {
    this.#signalling = signalling;
    this.#session = session;
    this.#connection = connection;
  }

  get connection() {
    return this.#connection;
  }

  /**
   * Negotiate. Resolves when the answer is applied, before `live`.
   * @param {Track[]} tracks as declared, in that order
   */
  async open(tracks) {
    const { signal } = this.#over;
    const replace = this.#connection !== null;
    const [iceServers, connection] = await Promise.all([
      this.#signalling.iceServers(this.#session, signal),
      this.#connection ?? this.#signalling.connect(this.#session, signal),
    ]);
    this.#connection = connection;
    this.#pc.setConfiguration({ iceServers, bundlePolicy: "max-bundle" });
    this.#watch();
    for (const track of tracks) this.#addTrack(track);
    // Control first: some servers take the last channel for the data channel.
    this.#control = this.#openChannel("control", (bytes) => this.control.emit(decodeControl(bytes)));
    this.#data = this.#openChannel("data", (bytes) => this.data.emit(decodeData(bytes)));
    await this.#pc.setLocalDescription();
    const sdp = /** @type {RTCSessionDescription} */ (this.#pc.localDescription).sdp;
    const mapping = tracks.map((track) => ({ ...track, mid: this.#transceivers.get(track.name)?.mid ?? "" }));
    const given = await this.#offer({ sdp, tracks: mapping, replace });
    const answer = given ?? (await this.#signalling.answer(this.#session, this.#connection, signal));
    await this.#pc.setRemoteDescription({ type: "answer", sdp: answer });
  }

  /**
   * @param {{sdp: string, tracks: import("./signalling.js").TrackMapping[], replace: boolean}} offer
   * @returns {Promise<string | undefined>} the answer, if the server gives it at once
   */
  async #offer(offer) {
    const { signal } = this.#over;
    try {
      return await this.#signalling.offer(this.#session, this.#connection ?? 0, offer, signal);
    } catch (error) {
      // The server may have forgotten the old id (404), or it belongs to another token (409): a new id serves as well.
      if (!offer.replace || !(error instanceof Refused) || ![404, 409].includes(error.status)) throw error;
      this.#connection = await this.#signalling.connect(this.#session, signal);
      return await this.#signalling.offer(this.#session, this.#connection, { ...offer, replace: false }, signal);
    }
  }

  close() {
    this.#over.abort();
    clearTimeout(this.#candidateTimer);
    this.#control?.close();
    this.#data?.close();
    this.#pc.close();
  }

  /** @param {Uint8Array<ArrayBuffer>} frame */
  sendData(frame) {
    if (this.#data?.readyState !== "open") throw new DOMException("the data channel is not open", "InvalidStateError");
    this.#data.send(frame);
  }

  /** @param {Uint8Array<ArrayBuffer>} frame dropped if the channel is closed: nothing on it outlives the peer */
  sendControl(frame) {
    if (this.#control?.readyState === "open") this.#control.send(frame);
  }

  /** The largest frame that the other side accepts, in bytes. */
  get maxFrame() {
    return this.#pc.sctp?.maxMessageSize || 262_144;
  }

  /**
   * Send media on an input track; null stops sending.
   * @param {string} name
   * @param {MediaStreamTrack | null} media
   */
  async send(name, media) {
    const transceiver = this.#transceivers.get(name);
    if (!transceiver) throw new Error(`no track ${name} in this connection`);
    await transceiver.sender.replaceTrack(media);
  }

  /** @returns {Promise<RTCStatsReport>} */
  stats() {
    return this.#pc.getStats();
  }

  /** @param {Track} track */
  #addTrack({ name, kind, direction }) {
    const transceiver = this.#pc.addTransceiver(kind, { direction });
    this.#transceivers.set(name, transceiver);
    if (direction === "sendonly") return;
    if (kind === "video") preferVp8(transceiver);
    showAtOnce(transceiver.receiver);
  }

  /**
   * @param {string} label
   * @param {(bytes: Uint8Array) => void} read
   */
  #openChannel(label, read) {
    const channel = this.#pc.createDataChannel(label);
    channel.binaryType = "arraybuffer";
    channel.addEventListener("open", () => this.#checkLive());
    channel.addEventListener("close", () => this.#fail({ kind: "closed", detail: `channel ${label}` }));
    channel.addEventListener("message", ({ data }) => {
      try {
        if (!(data instanceof ArrayBuffer)) throw new WireError("expected bytes, got text");
        read(new Uint8Array(data));
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        this.garbled.emit(`${label}: ${error.message}`);
      }
    });
    return channel;
  }

  #watch() {
    const pc = this.#pc;
    pc.addEventListener("icecandidate", ({ candidate }) => this.#collect(candidate));
    pc.addEventListener("track", ({ transceiver, track }) => {
      for (const [name, known] of this.#transceivers) {
        if (known === transceiver)
          this.received.emit({ name, kind: track.kind === "audio" ? "audio" : "video", media: track });
      }
    });
    pc.addEventListener("connectionstatechange", () => {
      if (pc.connectionState === "connected") this.#checkLive();
      else if (pc.connectionState === "failed") this.#fail(this.#reason());
      else if (pc.connectionState === "disconnected") {
        this.shaky.emit();
        setTimeout(() => this.#stillDisconnected(), DISCONNECTED_GRACE_MS);
      }
    });
  }

  #stillDisconnected() {
    if (this.#pc.connectionState === "disconnected") this.#fail({ kind: "closed", detail: "no packets" });
  }

  /** @returns {Problem} */
  #reason() {
    if (this.#isLive) return { kind: "closed", detail: "no packets" };
    if (["connected", "completed"].includes(this.#pc.iceConnectionState)) return { kind: "dtls", detail: "" };
    const remote = (this.#pc.remoteDescription?.sdp.match(/^a=candidate:/gm) ?? []).length;
    return { kind: "ice", detail: `${this.#localCandidates} candidates here, ${remote} there` };
  }

  #checkLive() {
    const open = this.#data?.readyState === "open" && this.#control?.readyState === "open";
    if (this.#isLive || !open || this.#pc.connectionState !== "connected") return;
    this.#isLive = true;
    this.live.emit();
  }

  /** @param {Problem} problem */
  #fail(problem) {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.broken.emit(problem);
  }

  /** @param {RTCIceCandidate | null} candidate null: gathering has finished */
  #collect(candidate) {
    if (candidate?.candidate) {
      this.#localCandidates++;
      const { sdpMid, sdpMLineIndex } = candidate;
      this.#candidates.push({ candidate: candidate.candidate, sdp_mid: sdpMid, sdp_mline_index: sdpMLineIndex });
      this.#candidateTimer ||= setTimeout(() => this.#sendCandidates(false), CANDIDATE_BATCH_MS);
    } else if (candidate === null) {
      clearTimeout(this.#candidateTimer);
      this.#sendCandidates(true);
    }
  }

  /** @param {boolean} last */
  #sendCandidates(last) {
    this.#candidateTimer = 0;
    const batch = this.#candidates.splice(0);
    const { signal } = this.#over;
    if (signal.aborted || this.#connection === null) return;
    this.#signalling.candidates(this.#session, this.#connection, batch, last, signal).catch((error) => {
      // Not fatal: if the server can be reached, our own checks suffice. If not, ICE fails and reports it.
      if (!signal.aborted) this.garbled.emit(String(error));
    });
  }
}

/**
 * Prefer VP8: one encode then serves every viewer of a session.
 * @param {RTCRtpTransceiver} transceiver
 */
function preferVp8(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  const rank = (/** @type {RTCRtpCodec} */ codec) => (codec.mimeType === "video/VP8" ? 0 : 1);
  if (codecs.length) transceiver.setCodecPreferences([...codecs].sort((one, other) => rank(one) - rank(other)));
}

/**
 * Show each frame as soon as it arrives: no jitter buffer beyond what decoding needs.
 * @param {RTCRtpReceiver} receiver
 */
function showAtOnce(receiver) {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  // The older, Chromium-only name of the same setting, in seconds.
  if ("playoutDelayHint" in receiver) Reflect.set(receiver, "playoutDelayHint", 0);
}
