/** WebRTC signalling and uploads of a session, the same at a runtime and at a coordinator (see docs/protocol.md). */

import { CLIENT, HELD_MS, Refused, pause } from "./http.js";
import { sendFile } from "./uploads.js";

/** @typedef {{name: string, kind: "video" | "audio", direction: "recvonly" | "sendonly"}} Track */
/**
 * A place in the queue. `position` 1 is next; times in seconds; `loading` 0..1 is the progress of a starting worker.
 * @typedef {{position: number, length: number, estimated_wait?: number, estimate_error?: number, loading?: number,
 *   loading_text?: string}} Queue
 */
/**
 * A session as its server describes it. Only coordinators set `queue` and later; `expires_at` in Unix seconds.
 * @typedef {{session_id: string, state: string, model?: {name: string}, capabilities?: {tracks: Track[]},
 *   recording?: {enabled: boolean}, queue?: Queue, expires_at?: number, end_reason?: string,
 *   version?: string}} Descriptor
 */
/** @typedef {{candidate: string, sdp_mid: string | null, sdp_mline_index: number | null}} Candidate */
/** @typedef {{mid: string, name: string, kind: string, direction: string}} TrackMapping */
/** @typedef {import("./wire.js").UploadReference} UploadReference */
/**
 * The time that frames spent at one stage since the session began, as `GET sessions/{id}/stages` gives it.
 * @typedef {{stage: string, track?: string, count: number, total_ms: number, p50_ms: number}} StageTiming
 */

const ANSWER_POLLS = 6;

export class Signalling {
  #http;

  /** @param {import("./http.js").Http} http */
  constructor(http) {
    this.#http = http;
  }

  /**
   * @param {string} session
   * @param {AbortSignal} signal
   * @returns {Promise<RTCIceServer[]>}
   */
  async iceServers(session, signal) {
    const path = `${transport(session)}/ice_servers`;
    /** @type {{ice_servers: {uris: string[], credentials?: {username: string, password: string}}[]}} */
    const { ice_servers } = await (await this.#http.request("asking for ICE servers", "GET", path, { signal })).json();
    return ice_servers.map(({ uris, credentials }) => ({
      urls: uris,
      ...(credentials && { username: credentials.username, credential: credentials.password }),
    }));
  }

  /**
   * @param {string} session
   * @param {AbortSignal} signal
   * @returns {Promise<number>} the new connection's id
   */
  async connect(session, signal) {
    const path = `${transport(session)}/connections`;
    const response = await this.#http.request("registering a connection", "POST", path, { body: {}, signal });
    return (await response.json()).connection_id;
  }

  /**
   * @param {string} session
   * @param {number} connection
   * @param {{sdp: string, tracks: TrackMapping[], replace: boolean}} offer `replace`: it replaces an earlier peer
   * @param {AbortSignal} signal
   * @returns {Promise<string | undefined>} the answer's SDP, if the server returned it at once
   */
  async offer(session, connection, { sdp, tracks, replace }, signal) {
    const body = { sdp_offer: sdp, client_info: CLIENT, track_mapping: tracks, want_answer: true };
    const path = `${transport(session)}/connections/${connection}/sdp_params`;
    const how = { body, signal, patience: HELD_MS };
    const response = await this.#http.request("sending the offer", replace ? "PUT" : "POST", path, how);
    return (await response.json()).sdp_answer;
  }

  /**
   * @param {string} session
   * @param {number} connection
   * @param {AbortSignal} signal
   * @returns {Promise<string>} the answer's SDP
   */
  async answer(session, connection, signal) {
    const path = `${transport(session)}/connections/${connection}/sdp_params`;
    const step = "waiting for the answer to the offer";
    for (let poll = 0; poll < ANSWER_POLLS; poll++) {
      if (poll) await pause(100 * 2 ** poll, signal);
      const response = await this.#http.request(step, "GET", path, { signal, patience: HELD_MS });
      if (response.status === 200) return (await response.json()).sdp_answer;
    }
    throw new Refused(step, 202, `no answer after ${ANSWER_POLLS} tries`);
  }

  /**
   * @param {string} session
   * @param {number} connection
   * @param {Candidate[]} candidates
   * @param {boolean} last whether gathering has finished
   * @param {AbortSignal} signal
   */
  async candidates(session, connection, candidates, last, signal) {
    const body = { candidates, is_final: last, client_info: CLIENT };
    const path = `${transport(session)}/connections/${connection}/ice_candidates`;
    await this.#http.request("sending ICE candidates", "POST", path, { body, signal });
  }

  /**
   * Read the stage timings of the session, as its server measures them.
   * @param {string} session
   * @returns {Promise<StageTiming[]>}
   */
  async stages(session) {
    const path = `sessions/${encodeURIComponent(session)}/stages`;
    return (await (await this.#http.request("reading the stage timings", "GET", path)).json()).stages;
  }

  /**
   * Upload a file. The caller then announces it to the model by `file_uploaded`.
   * @param {string} session
   * @param {File} file
   * @returns {Promise<UploadReference>}
   */
  async upload(session, file) {
    const mime_type = file.type || "application/octet-stream";
    const body = { name: file.name || "upload", size: file.size, mime_type };
    const path = `sessions/${encodeURIComponent(session)}/uploads`;
    const answer = await this.#http.request("announcing the file", "POST", path, { body });
    const slot = await answer.json();
    await sendFile(this.#http, slot.presigned_url, file, mime_type, answer.headers.has("upload-offset"));
    return { upload_id: slot.presigned_id, name: body.name, mime_type, size: file.size };
  }
}

/** @param {string} session */
function transport(session) {
  return `sessions/${encodeURIComponent(session)}/transport/webrtc`;
}
