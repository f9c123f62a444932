/**
 * The session at its server: begun or come back to, followed, ended, and what an error on the way to it means. It tells
 * the machine what happened; what follows from that is the machine's.
 */

import { SessionOver } from "./coordinator.js";
import { Refused, Unreachable } from "./http.js";
import { Emitter } from "../shared/emitter.js";

/** @typedef {import("./connection-machine.js").Event} Event */
/** @typedef {import("./connection-machine.js").Problem} Problem */
/** @typedef {import("./signalling.js").Descriptor} Descriptor */

/** Who says no to a session that is said to be ready is not asked again at once. */
const MOVING_MS = 1000;

export class Session {
  /** @type {Emitter<{event: Event, problem?: Problem}>} */
  happened = new Emitter();
  /** @type {Emitter<{descriptor: Descriptor, isNew: boolean}>} `isNew`: every parameter is at its default */
  opened = new Emitter();
  /** @type {Emitter<Descriptor>} as it is now: while it waits for a worker, and whenever it changed */
  described = new Emitter();
  /** @type {Emitter<{what: string, error: unknown}>} what went wrong and changes nothing */
  noted = new Emitter();
  /** @type {string | null} what is begun or joined; a new try comes back to it */
  id = null;
  /** Whether this page began it; who joined one that others use leaves it to them. */
  owner = true;
  /** @type {Descriptor | null} the last with capabilities, or the first of one that waits */
  descriptor = null;

  /** @type {import("./server.js").Server | null} null: not known yet, and nothing can be started */
  #server = null;
  #stateNow;
  #opening = new AbortController();
  #following = new AbortController();

  /** @param {() => import("./connection-machine.js").State} stateNow of the machine */
  constructor(stateNow) {
    this.#stateNow = stateNow;
  }

  /** @param {import("./server.js").Server} server where the page came from, now that it is known */
  setServer(server) {
    this.#server = server;
  }

  /**
   * What the page had before it was loaded again.
   * @param {string | null} id
   * @param {boolean} owner
   */
  restore(id, owner) {
    this.id = id;
    this.owner = owner;
  }

  /** @param {number | null} connection the page's, in the session that is known; null = none */
  async open(connection) {
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    const known = { session: this.id, connection, owner: this.owner };
    try {
      const opened = await this.#here.open(known, signal, (view, owner) => signal.aborted || this.#waits(view, owner));
      if (signal.aborted) return;
      this.#describe(opened.descriptor);
      this.owner = opened.owner;
      this.opened.emit(opened);
      void this.#follow(opened.descriptor);
      this.happened.emit({ event: "opened" });
    } catch (error) {
      await this.fail(error, () => !signal.aborted);
    }
  }

  /** Wait for it no longer. */
  leave() {
    this.#opening.abort();
  }

  /** Ask what becomes of it no longer. */
  unfollow() {
    this.#following.abort();
  }

  /** The next is another one. */
  forget() {
    this.id = this.descriptor = null;
  }

  /** End it where it is ours. */
  async end() {
    const { id, owner } = this;
    this.forget();
    if (!owner || id === null) return;
    try {
      await this.#here.close(id);
    } catch (error) {
      // The person wanted it over and for this page it is; the server ends it by itself when nobody is connected.
      this.noted.emit({ what: "stop", error });
    }
  }

  /** End it while the page goes away. @returns {boolean} whether it could: it is ours, and may be ended by itself */
  abandon() {
    const { id, owner } = this;
    if (!owner || id === null || this.#here.kind !== "coordinator") return false;
    this.#here.abandon(id);
    return true;
  }

  /** @returns {Promise<import("../shared/json.js").JsonObject>} of its model */
  async schema() {
    return this.#here.schema(this.descriptor?.model?.name);
  }

  /** Raise `Unreachable` where nobody answers. */
  async probe() {
    await this.#here.probe();
  }

  /**
   * @param {unknown} error from the server or WebRTC, on the way to a connection
   * @param {() => boolean} isWanted whether it still matters to anybody
   */
  async fail(error, isWanted) {
    if (!isWanted()) return;
    if (error instanceof Unreachable) return this.#report("unreachable", { kind: "unreachable", detail: error.step });
    if (error instanceof SessionOver) return this.#reportEnd(error.reason);
    if (error instanceof Refused) return this.#refused(error, isWanted);
    const detail = error instanceof Error ? error.message : String(error);
    this.#report("broken", { kind: "channels", detail });
  }

  get #here() {
    if (this.#server === null) throw new Error("a session cannot start before the server is known");
    return this.#server;
  }

  /**
   * @param {Event} event
   * @param {Problem} [problem]
   */
  #report(event, problem) {
    this.happened.emit({ event, problem });
  }

  /**
   * @param {Descriptor} view of a session that has no worker yet
   * @param {boolean} owner
   */
  #waits(view, owner) {
    // From the first word on: a reload of the page must find its place in the queue.
    this.owner = owner;
    this.#describe(view);
    if (view.state === "SUSPENDED") this.#report("queued");
  }

  /** @param {Descriptor} view */
  #describe(view) {
    this.id = view.session_id;
    if (view.capabilities || this.descriptor === null) this.descriptor = view;
    this.described.emit(view);
  }

  /** What becomes of it, told by its coordinator. @param {Descriptor} view */
  async #follow(view) {
    this.#following.abort();
    this.#following = new AbortController();
    const { signal } = this.#following;
    try {
      await this.#here.follow(view, signal, (now) => signal.aborted || this.#moved(now));
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SessionOver) return this.#reportEnd(error.reason);
      // A token that ends does not end the stream (behaviour 16.9); from here on only the worker tells.
      this.noted.emit({ what: "session", error });
    }
  }

  /** @param {Descriptor} view */
  #moved(view) {
    if (view.state === "CLOSED") this.#reportEnd(view.end_reason ?? null);
    else if (view.capabilities) this.#describe(view);
    else this.#report("requeued");
  }

  /** @param {string | null} reason null: nobody knows */
  #reportEnd(reason) {
    this.#report("ended", reason === null ? { kind: "over", detail: "" } : { kind: "ended", detail: reason });
  }

  /**
   * @param {Refused} error
   * @param {() => boolean} isWanted
   */
  async #refused(error, isWanted) {
    const state = this.#stateNow();
    if (error.status === 401) return this.#report("denied", { kind: "unauthorized", detail: error.reason });
    if (state !== "starting" && state !== "queued") {
      // 404: the server knows neither session nor connection; 400: it has no session at all. Once a session was open
      // both mean that it is over. A connection id from before a restart is of no use either.
      if ([400, 404].includes(error.status)) return this.#gone(error.message, isWanted);
      // It has no worker at the moment, or its worker is not to be reached: its coordinator tells when it has.
      const isMoving = error.status === 409 || (error.status === 503 && state === "connecting");
      if (isMoving && this.#here.kind === "coordinator") {
        await new Promise((resolve) => setTimeout(resolve, MOVING_MS));
        return isWanted() ? this.#report("requeued") : undefined;
      }
    }
    const { quota, retryAfter, message, reason } = error;
    const kind = quota ? "quota" : error.code === "NO_CAPACITY" ? "capacity" : "refused";
    if (error.status === 403) return this.#report("refused", { kind: "forbidden", detail: message });
    this.#report("refused", { kind, detail: kind === "refused" ? message : reason, quota, retryAfter });
  }

  /**
   * @param {string} detail the server's sentence
   * @param {() => boolean} isWanted
   */
  async #gone(detail, isWanted) {
    const here = this.#here;
    if (here.kind === "runtime" || this.id === null) return this.#report("over", { kind: "over", detail });
    try {
      const reason = await here.endReason(this.id);
      if (!isWanted()) return;
      if (reason === null) this.#report("broken", { kind: "closed", detail });
      else this.#reportEnd(reason);
    } catch (error) {
      await this.fail(error, isWanted);
    }
  }
}
