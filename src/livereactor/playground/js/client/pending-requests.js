/** Requests that wait for a reply, matched by id. Each is settled once. */

/**
 * The reply to a command, or to a request for a clip.
 * @typedef {import("./wire.js").ModelMessage | import("./wire.js").ClipReady} Answer
 */
/** @typedef {{resolve: (answer: Answer | null) => void, reject: (error: CommandRefused) => void}} Waiting */

/** A command or request that failed or got no reply; `code` names the cause. */
export class CommandRefused extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

const REPLY_TIMEOUT_MS = 10_000;
/** More unanswered requests mean that the server does not reply. */
const MAX_WAITING = 512;

export class PendingRequests {
  /** @type {Map<string, Waiting>} */
  #waiting = new Map();
  #count = 0;

  /**
   * Send a request and wait for its reply.
   * @param {string} prefix of the id
   * @param {(id: string) => void} send raises if it cannot send
   * @returns {Promise<Answer | null>} null: acknowledged without a message
   * @throws {CommandRefused}
   */
  ask(prefix, send) {
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(new CommandRefused("RATE_LIMITED", `${MAX_WAITING} commands are waiting for a reply; send fewer`));
    }
    const id = `${prefix}_${++this.#count}`;
    return new Promise((resolve, reject) => {
      send(id);
      const timer = setTimeout(() => {
        const text = `no reply in ${REPLY_TIMEOUT_MS / 1000} s; the model may be busy`;
        this.#remove(id)?.reject(new CommandRefused("REQUEST_TIMEOUT", text));
      }, REPLY_TIMEOUT_MS);
      this.#waiting.set(id, {
        resolve: (answer) => (clearTimeout(timer), resolve(answer)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
    });
  }

  /**
   * Settle the request that a reply belongs to.
   * @param {string} id as the reply gives it
   * @param {{answer?: Answer, error?: import("./wire.js").WireFailure}} reply
   * @returns {boolean} whether a request was waiting for it
   */
  settle(id, { answer, error }) {
    const waiting = this.#remove(id);
    if (error) waiting?.reject(new CommandRefused(error.code, error.message));
    else waiting?.resolve(answer ?? null);
    return waiting !== undefined;
  }

  /** Fail all requests: the connection is gone. */
  abandon() {
    for (const id of [...this.#waiting.keys()]) {
      this.#remove(id)?.reject(new CommandRefused("DISCONNECTED", "the connection was lost before the reply"));
    }
  }

  /** @param {string} id */
  #remove(id) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}
