/**
 * The page's connection as a pure machine: no clock, no network. The shell (`client.js`) passes `now`, carries out the
 * effects in order, and delivers `tick` at `deadline`.
 */

/**
 * - `idle` nothing is open
 * - `starting` a session is asked for; the model may still be loading
 * - `queued` the session exists and waits for a worker
 * - `connecting` the first peer of the session is being made
 * - `ready` channels and media are up
 * - `lost` the peer went away by itself; the session is kept and the next try is at `deadline`
 * - `reconnecting` a further peer for the same session is being made
 * - `failed` it did not work; the person decides what is next
 * - `ended` the session is over
 * @typedef {"idle" | "starting" | "queued" | "connecting" | "ready" | "lost" | "reconnecting" | "failed"
 *   | "ended"} State
 */
/**
 * - `start` / `stop` the person asks
 * - `queued` the session waits for a worker
 * - `opened` the session exists, and has its worker
 * - `requeued` the session lost its worker and waits for another
 * - `live` the peer is connected and both channels are open
 * - `broken` the peer failed or closed (`problem` says how)
 * - `unreachable` no HTTP answer
 * - `over` the runtime does not know the session any more
 * - `refused` the server said no (`problem.detail` is its sentence)
 * - `denied` the server wants a token, or another one
 * - `ended` the runtime said that the session ends (`problem.detail` is its reason)
 * - `pong` a ping was answered
 * - `woke` the page can be seen again, or the network is back
 * - `tick` the deadline passed
 * @typedef {"start" | "stop" | "queued" | "opened" | "requeued" | "live" | "broken" | "unreachable" | "over"
 *   | "refused" | "denied" | "ended" | "pong" | "woke" | "tick"} Event
 */
/**
 * What went wrong; `words.js` turns it into sentences.
 * @typedef {{kind: "unreachable" | "refused" | "forbidden" | "unauthorized" | "capacity" | "quota" | "ice" | "dtls"
 *   | "channels" | "timeout" | "closed" | "silent" | "over" | "ended" | "unsupported", detail: string,
 *   quota?: import("./http.js").Quota | null, retryAfter?: number | null}} Problem
 */
/** @typedef {"openSession" | "openPeer" | "replacePeer" | "closePeer" | "stopSession" | "ping"} Effect */

/**
 * What a state lacks is illegal and changes nothing. `tick`, `pong` and `woke` are not here: they follow the clock.
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

/** Seconds. A peer on one host is up in 0.2 s; 30 s is the runtime's own patience. */
export const CONNECT_TIMEOUT = 30;
export const PING_INTERVAL = 5;
/** Two pings lost and the third on its way. */
export const SILENCE = 12;
/** Who was asleep asks at once: the clock may have slept too, and the other side's farewell went to nobody. */
export const WAKING = 3;
/** Waits before the tries to come back; the last one repeats until GIVE_UP. */
export const RETRY_DELAYS = /** @type {const} */ ([0.3, 1, 2, 4, 5]);
/** A runtime that is started again within five minutes finds its page waiting. */
export const GIVE_UP = 300;
/** A model that is reloaded while its page starts a session ends that session at once, once. */
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
  /** Sessions that were over before they were reached, in a row. */
  #misses = 0;
  #lastPong = 0;
  /** Without an answer by then there will be none. */
  #silentAt = 0;
  #pongs = false;

  get state() {
    return this.#state;
  }

  /** When `tick` is due, in the seconds of `now`; null: never. */
  get deadline() {
    return this.#deadline;
  }

  /** Why the state is `lost`, `failed` or `ended`; null elsewhere. */
  get problem() {
    return this.#problem;
  }

  /**
   * @param {Event} event
   * @param {number} now seconds, monotonic
   * @param {Problem} [problem] with `broken`, `unreachable`, `over`, `refused`, `denied` and `ended`
   * @returns {Effect[]} what the shell has to do, in order; empty where the event is illegal
   */
  handle(event, now, problem) {
    if (event === "tick") return this.#tick(now);
    if (event === "pong") return this.#pong(now);
    if (event === "woke") return this.#wake(now);
    // A runtime that came back knows nothing of the session it had: that is a restart, not an end.
    if (event === "over" && this.#serverWasGone) return this.#restart();
    // It ended between its start and our first word to it: ask for another, but not for ever.
    if (event === "over" && this.#state === "connecting" && this.#misses++ < MAX_MISSES) return this.#restart();
    // Its author saved the model's file: the new version is what everybody waits for.
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
        // Not through `handle`: the reason of the loss stays on screen while the try runs.
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
    // Official runtimes never answer a ping: silence means something only after the first answer.
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
