/** The coordinator's HTTP API with the credential of an operator. */

/** Milliseconds: longer than any answer takes. The stream of events has no timeout. */
const PATIENCE_MS = 20_000;
/** Milliseconds. The coordinator sends something at least every 15 s; a stream silent for longer is broken. */
const SILENCE_MS = 40_000;

/** The coordinator refused a request; `message` is its sentence. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether the credential is invalid, or lacks a scope. */
  get isDenied() {
    return this.status === 401 || this.status === 403;
  }
}

export class Api {
  #credential;
  #base;

  /**
   * @param {string} credential an API key or a token
   * @param {URL} base of the coordinator's routes
   */
  constructor(credential, base) {
    this.#credential = credential;
    this.#base = base;
  }

  /**
   * Read a route.
   * @param {string} path
   * @returns {Promise<any>} the body
   */
  async get(path) {
    return (await this.#request("GET", path)).json();
  }

  /**
   * Send to a route.
   * @param {"POST" | "DELETE"} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>} the body; null if there is none
   */
  async send(method, path, body) {
    const response = await this.#request(method, path, { body });
    return response.status === 204 ? null : response.json();
  }

  /** @param {string} path */
  async blob(path) {
    return (await this.#request("GET", path)).blob();
  }

  /**
   * Call `onEvent` for all events after `since`, until the stream ends or `signal` aborts.
   * @param {number} since
   * @param {() => void} onEvent
   * @param {AbortSignal} signal
   * @returns {Promise<number>} the last event
   */
  async follow(since, onEvent, signal) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const both = AbortSignal.any([signal, silence.signal]);
      const response = await this.#request("GET", `events?since=${since}`, { signal: both });
      const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
      const decoder = new TextDecoder();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return since;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        text += decoder.decode(value, { stream: true });
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        const ids = lines.filter((line) => line.startsWith("id: ")).map((line) => Number(line.slice(4)));
        if (ids.length) {
          since = ids.at(-1) ?? since;
          onEvent();
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: object | undefined, signal?: AbortSignal}} [options]
   */
  async #request(method, path, { body, signal } = {}) {
    const response = await fetch(new URL(path, this.#base), {
      method,
      cache: "no-store",
      signal: signal ?? AbortSignal.timeout(PATIENCE_MS),
      headers: {
        Authorization: `Bearer ${this.#credential}`,
        ...(body && { "Content-Type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Refused(response.status, await reasonOf(response));
    return response;
  }
}

/** @param {Response} response */
async function reasonOf(response) {
  const text = await response.text().catch(() => "");
  try {
    return String(JSON.parse(text).error);
  } catch {
    return `the server answered ${response.status}`;
  }
}
