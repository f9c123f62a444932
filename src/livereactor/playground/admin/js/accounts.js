/** Usage and quotas of accounts, and the limits of the coordinator. */

import { element } from "../../js/shared/dom.js";
import { actionButton } from "./actions.js";
import { limit, span, used } from "./format.js";
import { Table } from "./table.js";

/** @typedef {import("./types.js").AccountRow} AccountRow */
/** @typedef {import("./types.js").UsageRow} UsageRow */
/** @typedef {import("./api.js").Api} Api */

const DAY_MS = 86_400_000;

export class Usage {
  #api;
  #table;
  #from = element("input", { type: "date", required: true });
  #to = element("input", { type: "date", required: true });
  #sum = element("p", { class: "hint" });

  /**
   * @param {HTMLElement} root
   * @param {Api} api
   */
  constructor(root, api) {
    this.#api = api;
    this.#from.value = day(Date.now());
    this.#to.value = day(Date.now());
    for (const input of [this.#from, this.#to]) input.addEventListener("change", () => void this.show());
    const part = element(
      "section",
      { class: "part", "aria-label": "Usage" },
      element("h2", {}, "Usage"),
      element(
        "div",
        { class: "row" },
        element("label", { class: "field" }, element("span", { class: "name" }, "From"), this.#from),
        element("label", { class: "field" }, element("span", { class: "name" }, "To (inclusive)"), this.#to),
        actionButton("Download CSV", () => this.#download()),
      ),
      element(
        "p",
        { class: "hint" },
        "Days are in UTC. A session counts on the day it ends. Records expire (see Limits), so export them daily.",
      ),
    );
    root.append(part);
    this.#table = new Table(part, {
      name: "Usage",
      empty: "No sessions ended in this period.",
      id: (/** @type {UsageRow} */ { account, model }) => JSON.stringify([account, model]),
      columns: [
        { label: "Account", text: ({ account }) => account },
        { label: "Model", text: ({ model }) => model },
        { label: "Sessions", kind: "number", text: ({ sessions }) => sessions.toLocaleString("en") },
        { label: "Worker time", kind: "number", text: ({ seconds }) => span(seconds) },
      ],
    });
    part.append(this.#sum);
  }

  async show() {
    if (!this.#from.value || !this.#to.value) return;
    /** @type {UsageRow[]} */
    const rows = (await this.#api.get(`admin/usage?${this.#query()}`)).usage;
    this.#table.show(rows);
    const total = (/** @type {(row: UsageRow) => number} */ of) => rows.reduce((sum, row) => sum + of(row), 0);
    const [sessions, seconds] = [total((row) => row.sessions), total((row) => row.seconds)];
    this.#sum.textContent = rows.length ? `${sessions.toLocaleString("en")} sessions, ${span(seconds)} in total` : "";
  }

  #query() {
    const until = day(Date.parse(this.#to.value) + DAY_MS);
    return new URLSearchParams({ from: this.#from.value, to: until }).toString();
  }

  async #download() {
    const url = URL.createObjectURL(await this.#api.blob(`admin/usage?format=csv&${this.#query()}`));
    element("a", { href: url, download: `usage-${this.#from.value}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

export class Limits {
  #api;
  #accounts;
  #limits = element("dl", { class: "facts wide" });

  /**
   * @param {HTMLElement} root
   * @param {Api} api
   */
  constructor(root, api) {
    this.#api = api;
    const accounts = element("section", { class: "part", "aria-label": "Accounts" }, element("h2", {}, "Accounts"));
    const limits = element(
      "section",
      { class: "part", "aria-label": "Limits" },
      element("h2", {}, "Current limits"),
      element("p", { class: "hint" }, "Values are seconds, bytes or counts. Change them in the coordinator's settings."),
      this.#limits,
    );
    root.append(accounts, limits);
    const quota = (/** @type {string} */ wanted) => (/** @type {AccountRow} */ { quotas }) => {
      const found = quotas.find(({ quota_type }) => quota_type === wanted);
      return found ? used(found.limit, found.current) : "–";
    };
    this.#accounts = new Table(accounts, {
      name: "Accounts",
      empty: "No accounts yet. Your first key creates one.",
      id: (/** @type {AccountRow} */ { account }) => account,
      columns: [
        { label: "Account", kind: "wide", text: ({ account }) => account },
        { label: "Open sessions", kind: "wide", text: quota("concurrent_sessions") },
        { label: "New per minute", kind: "wide", text: quota("sessions_per_minute") },
        {
          label: "Queue share",
          kind: "wide",
          text: ({ weight }) => String(weight ?? "first come, first served"),
        },
      ],
    });
  }

  async show() {
    const [{ accounts }, limits] = await Promise.all([this.#api.get("admin/accounts"), this.#api.get("limits")]);
    this.#accounts.show(accounts);
    const lines = Object.entries(limits).map(([name, value]) =>
      element("div", {}, element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, limit(name, value))),
    );
    this.#limits.replaceChildren(...lines);
  }
}

/** @param {number} ms Unix milliseconds */
function day(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}
