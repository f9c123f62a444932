/**
 * The page's connection as a pure machine without clock or network. The shell (`client.js`) passes `now`, applies the
 * effects in order, and delivers `tick` at `deadline`.
 */

/**
 * - `idle` nothing is open
 * - `starting` a session was requested; the model may still be loading
 * - `queued` the session exists and waits for a worker
 * - `connecting` the first peer of the session is connecting
 * - `ready` channels are open and media flows
 * - `lost` the peer failed or closed; the session is kept and the next attempt is at `deadline`
 * - `reconnecting` another peer for the same session is connecting
 * - `failed` the attempt failed; the user decides what happens next
 * - `ended` the session is over
 * @typedef {"idle" | "starting" | "queued" | "connecting" | "ready" | "lost" | "reconnecting" | "failed"
 *   | "ended"} State
 */
/**
 * - `start` / `stop` the user asks for it
 * - `queued` the session waits for a worker
 * - `opened` the session exists and has its worker
 * - `requeued` the session lost its worker and waits for another
 * - `live` the peer is connected and both channels are open
 * - `broken` the peer failed or closed (`problem` says how)
 * - `unreachable` no HTTP answer
 * - `over` the runtime no longer knows the session
 * - `refused` the server refused (`problem.detail` is its sentence)
 * - `denied` the server wants a token, or another one
 * - `ended` the server reported the end of the session (`problem.detail` is its reason)
 * - `pong` a pong arrived
 * - `woke` the page is visible again, or the network is back
 * - `tick` the deadline passed
 * @typedef {"start" | "stop" | "queued" | "opened" | "requeued" | "live" | "broken" | "unreachable" | "over"
 *   | "refused" | "denied" | "ended" | "pong" | "woke" | "tick"} Event
 */
/**
 * A problem of the connection; `words/problems.js` turns it into sentences.
 * @typedef {{kind: "unreachable" | "refused" | "forbidden" | "unauthorized" | "capacity" | "quota" | "ice" | "dtls"
 *   | "channels" | "timeout" | "closed" | "silent" | "over" | "ended" | "unsupported", detail: string,
 *   quota?: import("./http.js").Quota | null, retryAfter?: number | null}} Problem
 */
/** @typedef {"openSession" | "openPeer" | "replacePeer" | "closePeer" | "stopSession" | "ping"} Effect */

/**
 * The legal events of each state; an illegal event changes nothing. `tick`, `pong` and `woke` follow the clock instead.
 * @type {Readonly<Record<State, Partial<Record<Event, State>>>>}
 */
export const LEGAL = {
  idle: { start: "starting" },
  starting: {
    queued: "queued",
    opened: "connecting",
    refused: "failed",
    denied: "failed",
    unreachable: "failed",
    ended: "ended",
    stop: "idle",
  },
  queued: {
    opened: "connecting",
    refused: "failed",
    denied: "failed",
    unreachable: "failed",
    ended: "ended",
    stop: "idle",
  },
  connecting: {
    live: "ready",
    requeued: "queued",
    broken: "failed",
    refused: "failed",
    denied: "failed",
    unreachable: "failed",
    over: "ended",
    ended: "ended",
    stop: "idle",
  },
  ready: { broken: "lost", requeued: "queued", ended: "ended", stop: "idle" },
  lost: { start: "reconnecting", requeued: "queued", ended: "ended", stop: "idle" },
  reconnecting: {
    live: "ready",
    requeued: "queued",
    broken: "lost",
    refused: "lost",
    denied: "failed",
    unreachable: "lost",
    over: "ended",
    ended: "ended",
    stop: "idle",
  },
  failed: { start: "starting", stop: "idle" },
  ended: { start: "starting", stop: "idle" },
};

/** Seconds. A peer on one host connects in 0.2 s; the runtime gives up after 30 s, too. */
export const CONNECT_TIMEOUT = 30;
export const PING_INTERVAL = 5;
/** Seconds without a pong: two pings were lost and the third is under way. */
export const SILENCE = 12;
/** Seconds to wait for a pong after the page slept: the clock may have stopped, and a close may have been missed. */
export const WAKING = 3;
/** Seconds before each reconnect attempt; the last one repeats until GIVE_UP. */
export const RETRY_DELAYS = /** @type {const} */ ([0.3, 1, 2, 4, 5]);
/** Seconds. A runtime that restarts within five minutes finds its page waiting. */
export const GIVE_UP = 300;
/** Sessions in a row that may end before they connect, as when the model reloads while a session starts. */
export const MAX_MISSES = 3;

export class ConnectionMachine {
  /** @type {State} */
  #state = "idle";
  /** @type {number | null} */
  #deadline = null;
  /** @type {Problem | null} */
  #problem = null;
  #retries = 0;
  #lostAt = 0;
  #serverWasGone = false;
  /** Sessions in a row that ended before they connected. */
  #misses = 0;
  #lastPong = 0;
  /** When the server counts as silent unless a pong arrives. */
  #silentAt = 0;
  #pongs = false;

  get state() {
    return this.#state;
  }

  /** The time at which `tick` is due, in the seconds of `now`; null: never. */
  get deadline() {
    return this.#deadline;
  }

  /** The reason of the states `lost`, `failed` and `ended`; null in other states. */
  get problem() {
    return this.#problem;
  }

  /**
   * Apply an event.
   * @param {Event} event
   * @param {number} now seconds, monotonic
   * @param {Problem} [problem] with `broken`, `unreachable`, `over`, `refused`, `denied` and `ended`
   * @returns {Effect[]} what the shell has to do, in order; empty if the event is illegal
   */
  handle(event, now, problem) {
    if (event === "tick") return this.#tick(now);
    if (event === "pong") return this.#pong(now);
    if (event === "woke") return this.#wake(now);
    // A runtime that restarted knows nothing of its earlier session: begin another one.
    if (event === "over" && this.#serverWasGone) return this.#restart();
    // The session ended before the page connected to it: ask for another one, a few times.
    if (event === "over" && this.#state === "connecting" && this.#misses++ < MAX_MISSES) return this.#restart();
    // The author saved the model's file: the new version is wanted.
    if (event === "ended" && problem?.detail === "reloaded" && LEGAL[this.#state].ended) return this.#restart();
    const target = LEGAL[this.#state][event];
    return target ? this.#enter(target, event, now, problem ?? null) : [];
  }

  /**
   * @param {State} target
   * @param {Event} event
   * @param {number} now
   * @param {Problem | null} problem
   * @returns {Effect[]}
   */
  #enter(target, event, now, problem) {
    const origin = this.#state;
    this.#state = target;
    this.#problem = problem;
    this.#deadline = null;
    if (problem?.kind === "unreachable") this.#serverWasGone = true;
    switch (target) {
      case "starting":
        this.#serverWasGone = false;
        return ["openSession"];
      case "queued":
        return event === "requeued" ? ["closePeer", "openSession"] : [];
      case "connecting":
        this.#deadline = now + CONNECT_TIMEOUT;
        return ["openPeer"];
      case "reconnecting":
        this.#deadline = now + CONNECT_TIMEOUT;
        return ["replacePeer"];
      case "ready":
        this.#serverWasGone = false;
        this.#retries = this.#misses = 0;
        this.#pong(now);
        this.#pongs = false;
        this.#deadline = now + PING_INTERVAL;
        return ["ping"];
      case "lost":
        return this.#lose(origin, now);
      case "idle":
        return origin === "ended" ? ["closePeer"] : ["closePeer", "stopSession"];
      default:
        return ["closePeer"];
    }
  }

  /**
   * @param {State} origin
   * @param {number} now
   * @returns {Effect[]}
   */
  #lose(origin, now) {
    if (origin === "ready") this.#lostAt = now;
    if (now - this.#lostAt > GIVE_UP) {
      this.#state = "failed";
      return ["closePeer"];
    }
    const last = RETRY_DELAYS.length - 1;
    this.#deadline = now + /** @type {number} */ (RETRY_DELAYS[Math.min(this.#retries++, last)]);
    return ["closePeer"];
  }

  /** @returns {Effect[]} */
  #restart() {
    this.#state = "starting";
    this.#problem = null;
    this.#deadline = null;
    this.#serverWasGone = false;
    return ["closePeer", "openSession"];
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  #tick(now) {
    if (this.#deadline === null || now < this.#deadline) return [];
    switch (this.#state) {
      case "connecting":
      case "reconnecting":
        return this.handle("broken", now, { kind: "timeout", detail: `${CONNECT_TIMEOUT} s` });
      case "lost":
        // Not through `handle`: the reason of the loss stays on screen during the attempt.
        return this.#enter("reconnecting", "start", now, this.#problem);
      case "ready":
        if (this.#pongs && now >= this.#silentAt) {
          return this.handle("broken", now, { kind: "silent", detail: `${Math.round(now - this.#lastPong)} s` });
        }
        this.#deadline = now + PING_INTERVAL;
        return ["ping"];
      default:
        return [];
    }
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  #pong(now) {
    // Official runtimes never answer a ping: silence counts only after the first pong.
    this.#pongs = true;
    this.#lastPong = now;
    this.#silentAt = now + SILENCE;
    return [];
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  #wake(now) {
    if (this.#state === "lost") {
      this.#deadline = now;
      return this.#tick(now);
    }
    if (this.#state !== "ready") return [];
    this.#silentAt = Math.min(this.#silentAt, now + WAKING);
    if (this.#pongs) this.#deadline = this.#silentAt;
    return ["ping"];
  }
}
