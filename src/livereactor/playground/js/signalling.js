/** The HTTP side of a runtime's local mode (protocol 1.6 to 1.11, 8). One request a method; no state but the address. */

/** @typedef {{name: string, kind: "video" | "audio", direction: "recvonly" | "sendonly"}} Track */
/**
 * @typedef {{session_id: string, state: string, model?: {name: string}, capabilities?: {tracks: Track[]}}} Descriptor
 */
/** @typedef {{status: string, state: string, detail?: string | null, progress?: number | null}} Health */
/** @typedef {{candidate: string, sdp_mid: string | null, sdp_mline_index: number | null}} Candidate */
/** @typedef {{mid: string, name: string, kind: string, direction: string}} TrackMapping */
/** @typedef {import("./wire.js").UploadReference} UploadReference */

/** The runtime answered, and the answer is no. `step` says at what, in words. */
export class Refused extends Error {
  /**
   * @param {string} step
   * @param {number} status
   * @param {string} reason the server's own sentence
   */
  constructor(step, status, reason) {
    super(`${step}: ${reason || `HTTP ${status}`}`);
    this.step = step;
    this.status = status;
    this.reason = reason;
  }
}

/** Nobody answered: the process has ended, or the network between is down. */
export class Unreachable extends Error {
  /** @param {string} step */
  constructor(step) {
    super(`${step}: no answer from the server`);
    this.step = step;
  }
}

const CLIENT = { sdk_version: "0.1.0", sdk_type: "livereactor-page" };
const PATIENCE_MS = 10_000;
/** The runtime holds start_session and the answer for up to 25 s while there is nothing to say. */
const HELD_MS = 40_000;
const ANSWER_POLLS = 6;
/** A model may load for a long time: one try a second for half an hour. */
const LOADING_TRIES = 1800;

export class Signalling {
  #base;

  /** @param {URL} base the folder the page was served from */
  constructor(base) {
    this.#base = base;
  }

  get address() {
    return this.#base.host;
  }

  /** @returns {Promise<Health>} also where the runtime is unhealthy: then `status` says so */
  async health() {
    const response = await this.#request("health", "GET", "health", { refuse: false });
    return response.json();
  }

  /** @returns {Promise<import("./wire.js").JsonObject>} the model's schema, `{}` before it is loaded */
  async schema() {
    return (await this.#request("reading the model's schema", "GET", "schema")).json();
  }

  /**
   * Open the session, or join the one that is running. Waits while the model is loading.
   * @param {AbortSignal} signal ends the waiting
   * @returns {Promise<Descriptor>}
   */
  async open(signal) {
    for (let attempt = 1; ; attempt++) {
      try {
        const options = { body: {}, signal, patience: HELD_MS };
        return await (await this.#request("starting a session", "POST", "start_session", options)).json();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        // 409: the official runtime has a session already and does not hand it out a second time.
        if (error.status === 409)
          return (await this.#request("joining the session", "GET", "session", { signal })).json();
        if (error.status !== 503 || attempt >= LOADING_TRIES) throw error;
        await pause(1000, signal);
      }
    }
  }

  async close() {
    await this.#request("stopping the session", "POST", "stop_session");
  }

  /**
   * @param {string} session
   * @param {AbortSignal} signal
   * @returns {Promise<RTCIceServer[]>}
   */
  async iceServers(session, signal) {
    const path = `${transport(session)}/ice_servers`;
    /** @type {{ice_servers: {uris: string[], credentials?: {username: string, password: string}}[]}} */
    const { ice_servers } = await (await this.#request("asking for ICE servers", "GET", path, { signal })).json();
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
    const response = await this.#request("registering a connection", "POST", path, { body: {}, signal });
    return (await response.json()).connection_id;
  }

  /**
   * @param {string} session
   * @param {number} connection
   * @param {{sdp: string, tracks: TrackMapping[], replace: boolean}} offer `replace`: an earlier peer of this id goes
   * @param {AbortSignal} signal
   */
  async offer(session, connection, { sdp, tracks, replace }, signal) {
    const body = { sdp_offer: sdp, client_info: CLIENT, track_mapping: tracks };
    const path = `${transport(session)}/connections/${connection}/sdp_params`;
    await this.#request("sending the offer", replace ? "PUT" : "POST", path, { body, signal });
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
      const response = await this.#request(step, "GET", path, { signal, patience: HELD_MS });
      if (response.status === 200) return (await response.json()).sdp_answer;
    }
    throw new Refused(step, 202, `none came in ${ANSWER_POLLS} tries`);
  }

  /**
   * @param {string} session
   * @param {number} connection
   * @param {Candidate[]} candidates
   * @param {boolean} last gathering is over
   * @param {AbortSignal} signal
   */
  async candidates(session, connection, candidates, last, signal) {
    const body = { candidates, is_final: last, client_info: CLIENT };
    const path = `${transport(session)}/connections/${connection}/ice_candidates`;
    await this.#request("sending ICE candidates", "POST", path, { body, signal });
  }

  /**
   * Send a file's bytes; the model hears of it by `file_uploaded`, which is the caller's to send.
   * @param {string} session
   * @param {File} file
   * @returns {Promise<UploadReference>}
   */
  async upload(session, file) {
    const mime_type = file.type || "application/octet-stream";
    const body = { name: file.name || "upload", size: file.size, mime_type };
    const path = `sessions/${encodeURIComponent(session)}/uploads`;
    const slot = await (await this.#request("announcing the file", "POST", path, { body })).json();
    const target = new URL(slot.presigned_url, this.#base);
    // A runtime behind a proxy may not know the name it is reached by: path and query are what counts (protocol 8).
    const url = new URL(target.pathname + target.search, this.#base);
    const response = await fetch(url, { method: "PUT", body: file, headers: { "Content-Type": mime_type } }).catch(
      () => {
        throw new Unreachable("sending the file");
      },
    );
    if (!response.ok) throw new Refused("sending the file", response.status, await reasonOf(response));
    return { upload_id: slot.presigned_id, name: body.name, mime_type, size: file.size };
  }

  /**
   * @param {string} step what is being done, in words, for the error
   * @param {"GET" | "POST" | "PUT"} method
   * @param {string} path
   * @param {{body?: object, signal?: AbortSignal, patience?: number, refuse?: boolean}} [options]
   */
  async #request(step, method, path, { body, signal, patience = PATIENCE_MS, refuse = true } = {}) {
    const timeout = AbortSignal.timeout(patience);
    /** @type {Response} */
    let response;
    try {
      response = await fetch(new URL(path, this.#base), {
        method,
        cache: "no-store",
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        headers: {
          "Reactor-WebRTC-Version": "1.0",
          "Reactor-API-Version": "1",
          ...(body && { "Content-Type": "application/json" }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Unreachable(step);
    }
    // A proxy in front says so when nobody answers behind it.
    if (response.status === 502 || response.status === 504) throw new Unreachable(step);
    if (refuse && !response.ok) throw new Refused(step, response.status, await reasonOf(response));
    return response;
  }
}

/** @param {string} session */
function transport(session) {
  return `sessions/${encodeURIComponent(session)}/transport/webrtc`;
}

/**
 * The sentence in an error body, in whichever of the two spellings it came.
 * @param {Response} response
 * @returns {Promise<string>}
 */
async function reasonOf(response) {
  const text = await response.text().catch(() => "");
  try {
    const body = JSON.parse(text);
    const reason = body.error ?? body.detail;
    return typeof reason === "string" ? reason : JSON.stringify(reason ?? body);
  } catch {
    return text.slice(0, 300);
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
