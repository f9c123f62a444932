/** HTTP requests to the server with credential and timeout; error answers become exceptions. */

/**
 * An exhausted quota, in the numbers of the server.
 * @typedef {{type: string, limit: number, current: number}} Quota
 */

/** The server refused a request. `step` names the request in words. */
export class Refused extends Error {
  /**
   * @param {string} step
   * @param {number} status
   * @param {string} reason the server's own sentence
   * @param {{code?: string, quota?: Quota | null, retryAfter?: number | null}} [more] `retryAfter` in seconds
   */
  constructor(step, status, reason, { code = "", quota = null, retryAfter = null } = {}) {
    super(`${step}: ${reason || `HTTP ${status}`}`);
    this.step = step;
    this.status = status;
    this.reason = reason;
    this.code = code;
    this.quota = quota;
    this.retryAfter = retryAfter;
  }
}

/** The server did not respond: its process has ended, or the network is down. */
export class Unreachable extends Error {
  /** @param {string} step */
  constructor(step) {
    super(`${step}: no response from the server`);
    this.step = step;
  }
}

/** The name of this client in requests. */
export const CLIENT = { sdk_version: "0.1.0", sdk_type: "livereactor-page" };
/** Milliseconds for an answer that the server may hold for 20 or 25 s, with time for the network. */
export const HELD_MS = 40_000;
const PATIENCE_MS = 10_000;
/** Milliseconds. Browsers abort requests before a page unloads, which says nothing about the server. */
const LEAVING_MS = 2000;
let leftAt = -Infinity;
globalThis.addEventListener?.("beforeunload", () => (leftAt = performance.now()));

export class Http {
  #base;
  #credentials;
  /** Milliseconds by which the server's clock is ahead; it reports whole seconds. */
  #aheadMs = 0;

  /**
   * @param {URL} base the folder that the server serves its page from
   * @param {import("./credentials.js").Credential} credentials
   */
  constructor(base, credentials) {
    this.#base = base;
    this.#credentials = credentials;
  }

  get address() {
    return this.#base.host;
  }

  /** Return an absolute address. @param {string} path as the server gives it */
  url(path) {
    return new URL(path, this.#base).href;
  }

  /** Return the server's time in Unix seconds. */
  now() {
    return (Date.now() + this.#aheadMs) / 1000;
  }

  /**
   * Send a request.
   * @param {string} step name of the request in words, for errors
   * @param {"GET" | "POST" | "PUT" | "DELETE"} method
   * @param {string} path
   * @param {{body?: object, headers?: Record<string, string>, signal?: AbortSignal, patience?: number,
   *   refuse?: boolean, outlives?: boolean}} [options] `patience`: timeout in milliseconds; `refuse: false` returns
   *   error answers instead of raising; `outlives`: the request continues when the page unloads
   */
  async request(step, method, path, { body, headers, signal, patience, refuse = true, outlives } = {}) {
    const timeout = AbortSignal.timeout(patience ?? PATIENCE_MS);
    /** @type {Response} */
    let response;
    const url = new URL(path, this.#base);
    // The credential is for this server only, not for a store elsewhere whose signed address the server may give.
    const shown = url.origin === this.#base.origin ? this.#credentials.headers : {};
    try {
      response = await fetch(url, {
        method,
        cache: "no-store",
        keepalive: outlives ?? false,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        headers: {
          "Reactor-WebRTC-Version": "1.0",
          "Reactor-API-Version": "1",
          ...(body && { "Content-Type": "application/json" }),
          ...shown,
          ...headers,
        },
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      if (performance.now() - leftAt < LEAVING_MS) await new Promise((resolve) => setTimeout(resolve, LEAVING_MS));
      throw new Unreachable(step);
    }
    return this.#checked(step, response, refuse);
  }

  /**
   * Send a file's bytes to an address that the server gave, or ask there how many it has.
   * @param {string} address only path and query count: a runtime behind a proxy may not know its public name
   * @param {"PUT" | "PATCH" | "HEAD"} method
   * @param {Blob | null} content
   * @param {Record<string, string>} headers
   */
  async send(address, method, content, headers) {
    const step = "sending the file";
    const { pathname, search } = new URL(address, this.#base);
    const url = new URL(pathname + search, this.#base);
    const response = await fetch(url, { method, body: content, headers }).catch(() => {
      throw new Unreachable(step);
    });
    return this.#checked(step, response, true);
  }

  /**
   * @param {string} step
   * @param {Response} response
   * @param {boolean} refuse
   */
  async #checked(step, response, refuse) {
    const date = Date.parse(response.headers.get("date") ?? "");
    // The header is cut to whole seconds: on average, half a second is missing.
    if (!Number.isNaN(date)) this.#aheadMs = date + 500 - Date.now();
    // A proxy answers like this when the server behind it does not.
    if (response.status === 502 || response.status === 504) throw new Unreachable(step);
    if (refuse && !response.ok) throw await refusal(step, response);
    return response;
  }
}

/**
 * Read an error body in either of its two spellings.
 * @param {string} step
 * @param {Response} response
 */
async function refusal(step, response) {
  const text = await response.text().catch(() => "");
  /** @type {Record<string, any>} */
  let body = {};
  let reason = text.slice(0, 300);
  try {
    body = JSON.parse(text) ?? {};
    const said = body.error ?? body.detail;
    reason = typeof said === "string" ? said : JSON.stringify(said ?? body);
  } catch {
    // Not JSON, perhaps a proxy's page: its beginning has to do.
  }
  const { quota_type: type, limit, current } = body;
  const wait = Number(body.retry_after ?? response.headers.get("retry-after") ?? NaN);
  return new Refused(step, response.status, reason, {
    code: String(body.code ?? ""),
    quota: typeof type === "string" && response.status === 429 ? { type, limit, current } : null,
    retryAfter: Number.isFinite(wait) ? wait : null,
  });
}

/**
 * Wait.
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>} rejects when the signal aborts
 */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => (clearTimeout(timer), reject(signal.reason));
    const timer = setTimeout(() => (signal.removeEventListener("abort", abort), resolve()), ms);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
