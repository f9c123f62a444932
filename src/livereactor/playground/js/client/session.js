/**
 * The session at its server: started or resumed, followed, and ended. Errors on the way become events for the
 * connection machine, which decides what follows.
 */

import { Emitter } from "../shared/emitter.js";
import { SessionOver } from "./coordinator.js";
import { Refused, Unreachable } from "./http.js";

/** @typedef {import("./connection-machine.js").Event} Event */
/** @typedef {import("./connection-machine.js").Problem} Problem */
/** @typedef {import("./signalling.js").Descriptor} Descriptor */

/** Milliseconds before a session that moves between workers is asked for again. */
const MOVING_MS = 1000;

export class Session {
  /** @type {Emitter<{event: Event, problem?: Problem}>} */
  happened = new Emitter();
  /** @type {Emitter<{descriptor: Descriptor, isNew: boolean}>} `isNew`: every parameter is at its default */
  opened = new Emitter();
  /** @type {Emitter<Descriptor>} the latest view: while it waits for a worker, and whenever it changed */
  described = new Emitter();
  /** @type {Emitter<{what: string, error: unknown}>} an error without consequences */
  noted = new Emitter();
  /** @type {string | null} id of the session; the next attempt returns to it */
  id = null;
  /** Whether this page started the session. A page that joined one leaves it open. */
  owner = true;
  /** @type {Descriptor | null} the latest with capabilities, or the first of a waiting session */
  descriptor = null;

  /** @type {import("./server.js").Server | null} null: not known yet */
  #server = null;
  #stateNow;
  #opening = new AbortController();
  #following = new AbortController();

  /** @param {() => import("./connection-machine.js").State} stateNow returns the state of the machine */
  constructor(stateNow) {
    this.#stateNow = stateNow;
  }

  /** @param {import("./server.js").Server} server that served the page */
  setServer(server) {
    this.#server = server;
  }

  /**
   * Set what the page had before a reload.
   * @param {string | null} id
   * @param {boolean} owner
   */
  restore(id, owner) {
    this.id = id;
    this.owner = owner;
  }

  /** Start or resume the session. @param {number | null} connection id in the known session; null = none */
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

  /** Stop waiting for the session. */
  leave() {
    this.#opening.abort();
  }

  /** Stop following the session. */
  unfollow() {
    this.#following.abort();
  }

  /** Forget the session; the next one is new. */
  forget() {
    this.id = this.descriptor = null;
  }

  /** End the session if this page owns it. */
  async end() {
    const { id, owner } = this;
    this.forget();
    if (!owner || id === null) return;
    try {
      await this.#here.close(id);
    } catch (error) {
      // For this page the session is over; the server ends it by itself once no client is connected.
      this.noted.emit({ what: "stop", error });
    }
  }

  /** End the session while the page unloads. @returns {boolean} whether this page owns it and could end it */
  abandon() {
    const { id, owner } = this;
    if (!owner || id === null || this.#here.kind !== "coordinator") return false;
    this.#here.abandon(id);
    return true;
  }

  /** @returns {Promise<import("../shared/json.js").JsonObject>} schema of the model */
  async schema() {
    return this.#here.schema(this.descriptor?.model?.name);
  }

  /** Raise `Unreachable` if the server does not respond. */
  async probe() {
    await this.#here.probe();
  }

  /**
   * Turn an error into an event for the machine.
   * @param {unknown} error of the server or of WebRTC, while connecting
   * @param {() => boolean} isWanted whether the attempt is still current
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
   * @param {Descriptor} view of a session without a worker
   * @param {boolean} owner
   */
  #waits(view, owner) {
    // From the first view on: a reload of the page must find its place in the queue.
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

  /** Follow the session at its coordinator. @param {Descriptor} view */
  async #follow(view) {
    this.#following.abort();
    this.#following = new AbortController();
    const { signal } = this.#following;
    try {
      await this.#here.follow(view, signal, (now) => signal.aborted || this.#moved(now));
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SessionOver) return this.#reportEnd(error.reason);
      // An expired token does not end a running stream; from here on only the worker reports changes.
      this.noted.emit({ what: "session", error });
    }
  }

  /** @param {Descriptor} view */
  #moved(view) {
    if (view.state === "CLOSED") this.#reportEnd(view.end_reason ?? null);
    else if (view.capabilities) this.#describe(view);
    else this.#report("requeued");
  }

  /** @param {string | null} reason null: unknown */
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
      // 404: the server does not know the session or the connection; 400: it has no session. After a session was open,
      // both mean that it has ended. A connection id from before a restart is invalid, too.
      if ([400, 404].includes(error.status)) return this.#gone(error.message, isWanted);
      // The session has no worker now, or the worker cannot be reached: the coordinator reports when that changes.
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
