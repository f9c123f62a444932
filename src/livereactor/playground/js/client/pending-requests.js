/** PendingRequests that wait for their reply: matched by id, each ends once (protocol 5.7). */

/** What a command gets, or what asks for a clip. @typedef {import("./wire.js").ModelMessage | import("./wire.js").ClipReady} Answer */
/** @typedef {{resolve: (answer: Answer | null) => void, reject: (error: CommandRefused) => void}} Waiting */

/** A command or request that was answered with an error, by its code, or that got no answer. */
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
/** More than this unanswered means that nobody is answering. */
const MAX_WAITING = 512;

export class PendingRequests {
  /** @type {Map<string, Waiting>} */
  #waiting = new Map();
  #count = 0;

  /**
   * @param {string} prefix of the id
   * @param {(id: string) => void} send raises where it cannot
   * @returns {Promise<Answer | null>} null: acknowledged without one
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
        this.#take(id)?.reject(new CommandRefused("REQUEST_TIMEOUT", text));
      }, REPLY_TIMEOUT_MS);
      this.#waiting.set(id, {
        resolve: (answer) => (clearTimeout(timer), resolve(answer)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
    });
  }

  /**
   * @param {string} id as the reply gives it
   * @param {{answer?: Answer, error?: import("./wire.js").WireFailure}} reply
   * @returns {boolean} whether somebody was waiting for it
   */
  settle(id, { answer, error }) {
    const waiting = this.#take(id);
    if (error) waiting?.reject(new CommandRefused(error.code, error.message));
    else waiting?.resolve(answer ?? null);
    return waiting !== undefined;
  }

  /** The connection is gone: nothing will be answered any more. */
  abandon() {
    for (const id of [...this.#waiting.keys()]) {
      this.#take(id)?.reject(new CommandRefused("DISCONNECTED", "the connection was lost before the reply"));
    }
  }

  /** @param {string} id */
  #take(id) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}
