/** PendingRequests to the server: what is shown with them, how long they may take, refusals read. */

/**
 * An allowance that is used up, in the server's numbers.
 * @typedef {{type: string, limit: number, current: number}} Quota
 */

/** The server answered, and the answer is no. `step` says at what, in words. */
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

/** Nobody answered: the process has ended, or the network between is down. */
export class Unreachable extends Error {
  /** @param {string} step */
  constructor(step) {
    super(`${step}: no response from the server`);
    this.step = step;
  }
}

/** What the page calls itself. */
export const CLIENT = { sdk_version: "0.1.0", sdk_type: "livereactor-page" };
/** Milliseconds for an answer that is held back while there is nothing to say: 20 or 25 s, and the way. */
export const HELD_MS = 40_000;
const PATIENCE_MS = 10_000;
/** A page that goes away has its requests broken off first, which is no news of the server. */
const LEAVING_MS = 2000;
let leftAt = -Infinity;
globalThis.addEventListener?.("beforeunload", () => (leftAt = performance.now()));

export class Http {
  #base;
  #credentials;
  /** Milliseconds that the server's clock is ahead of this one; it tells whole seconds only. */
  #ahead = 0;

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

  /** @param {string} path as the server gives it */
  url(path) {
    return new URL(path, this.#base).href;
  }

  /** The server's time, in seconds of Unix time. */
  now() {
    return (Date.now() + this.#ahead) / 1000;
  }

  /**
   * @param {string} step what is being done, in words, for the error
   * @param {"GET" | "POST" | "PUT" | "DELETE"} method
   * @param {string} path
   * @param {{body?: object, headers?: Record<string, string>, signal?: AbortSignal, patience?: number,
   *   refuse?: boolean, outlives?: boolean}} [options] `patience` in milliseconds; `refuse: false` hands out answers
   *   that say no; `outlives`: it goes on when the page goes away
   */
  async request(step, method, path, { body, headers, signal, patience, refuse = true, outlives } = {}) {
    const timeout = AbortSignal.timeout(patience ?? PATIENCE_MS);
    /** @type {Response} */
    let response;
    const url = new URL(path, this.#base);
    // What lets in here is not shown to a store elsewhere, whose signed address a server may give.
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
    return this.#judged(step, response, refuse);
  }

  /**
   * Send a file's bytes to an address the server gave, or ask there how many it has.
   * @param {string} address a runtime behind a proxy may not know the name it is reached by: path and query are what
   *   counts (protocol 8)
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
    return this.#judged(step, response, true);
  }

  /**
   * @param {string} step
   * @param {Response} response
   * @param {boolean} refuse
   */
  async #judged(step, response, refuse) {
    const date = Date.parse(response.headers.get("date") ?? "");
    // It is cut to the second: in the middle, half of that.
    if (!Number.isNaN(date)) this.#ahead = date + 500 - Date.now();
    // A proxy in front says so when nobody answers behind it.
    if (response.status === 502 || response.status === 504) throw new Unreachable(step);
    if (refuse && !response.ok) throw await refusal(step, response);
    return response;
  }
}

/**
 * The sentence in an error body, in whichever of the two spellings it came, and what else it says.
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
    // Not JSON: a proxy's page, perhaps. Its beginning is all there is to say.
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
