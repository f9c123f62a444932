/** The tables of the queue and of the sessions. */

import { actionButton, idButton } from "./actions.js";
import { span } from "./format.js";
import { Table } from "./table.js";

/** @typedef {import("./types.js").Overview} Overview */
/** @typedef {import("./types.js").SessionRow} SessionRow */
/** @typedef {import("./types.js").TicketRow} TicketRow */

export class Queue {
  #table;

  /**
   * @param {HTMLElement} root
   * @param {(session: string) => Promise<unknown>} serveNext
   */
  constructor(root, serveNext) {
    this.#table = new Table(root, {
      name: "Queue",
      empty: "The queue is empty.",
      id: (/** @type {TicketRow} */ row) => row.session_id,
      columns: [
        { label: "Position", text: ({ position }) => String(position ?? "–") },
        { label: "Session", make: (latest) => idButton(latest().session_id) },
        { label: "Model", text: ({ model }) => model },
        { label: "Account", text: ({ account }) => account },
        { label: "Waiting", kind: "number", text: ({ waiting_s }) => span(waiting_s) },
        { label: "Estimate", kind: "number", text: ({ estimated_wait: wait }) => (wait == null ? "?" : span(wait)) },
        { label: "Last seen", kind: "number", text: ({ silent_s }) => `${span(silent_s)} ago` },
        {
          label: "",
          kind: "actions",
          make: (latest) => actionButton("Serve next", () => serveNext(latest().session_id)),
          update: ({ position }, button) => (button.hidden = position === 1),
        },
      ],
    });
  }

  /** @param {Overview} overview */
  show({ queue }) {
    this.#table.show(queue);
  }
}

export class Sessions {
  #now = 0;
  #open;
  #ended;

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} ended for sessions that have ended
   * @param {(session: string) => Promise<unknown>} end
   */
  constructor(root, ended, end) {
    const id = (/** @type {SessionRow} */ row) => row.session_id;
    /** @type {import("./table.js").Column<SessionRow>[]} */
    const who = [
      { label: "Model", text: ({ model }) => model },
      { label: "Account", text: ({ account }) => account },
      { label: "Client", text: ({ client }) => client ?? "–" },
    ];
    this.#open = new Table(root, {
      name: "Sessions",
      empty: "No sessions are open.",
      id,
      columns: [
        { label: "Session", make: (latest) => idButton(latest().session_id) },
        { label: "State", kind: "badge", text: stateOf, mark: ({ state }) => state },
        ...who,
        { label: "Worker", kind: "code", text: ({ worker }) => (worker ? `…${worker.slice(-6)}` : "–") },
        { label: "Age", kind: "number", text: ({ created_at }) => span(this.#now - created_at) },
        {
          label: "",
          kind: "actions",
          make: (latest) => actionButton("End", () => end(latest().session_id), { sure: "Confirm end" }),
        },
      ],
    });
    this.#ended = new Table(ended, {
      name: "Recently ended sessions",
      empty: "No sessions ended recently.",
      id,
      columns: [
        { label: "Session", make: (latest) => idButton(latest().session_id) },
        { label: "Reason", text: ({ end_reason }) => end_reason ?? "–" },
        ...who,
        { label: "Ended", kind: "number", text: ({ ended_at }) => `${span(this.#now - (ended_at ?? 0))} ago` },
        {
          label: "Duration",
          kind: "number",
          text: ({ created_at, ended_at }) => span((ended_at ?? created_at) - created_at),
        },
      ],
    });
  }

  /** @param {Overview} overview */
  show({ sessions, now_at }) {
    this.#now = now_at;
    this.#open.show(sessions.filter(({ state }) => state !== "CLOSED"));
    this.#ended.show(sessions.filter(({ state }) => state === "CLOSED"));
  }
}

/** Labels of the session states. */
const STATES = /** @type {Record<string, string>} */ ({
  SUSPENDED: "queued",
  PENDING: "starting",
  WAITING: "no client yet",
  ACTIVE: "live",
  INACTIVE: "client away",
});

/** @param {SessionRow} row */
function stateOf({ state }) {
  return STATES[state] ?? state.toLowerCase();
}
