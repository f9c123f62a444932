/** The log of commands, replies and messages with their times, and a field for a command as JSON. */

import { CommandRefused } from "../client/pending-requests.js";
import { element } from "../shared/dom.js";
import { asJavaScript, asPython } from "./code-export.js";

/** @typedef {import("../client/client.js").Traffic} Traffic */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {(entries: Traffic[]) => string} Writing */

/** Older entries are removed: a model that sends messages all day must not fill the tab. */
const MAX_LINES = 500;
const WAY_SIGNS = { out: "→", reply: "↩", in: "←", note: "·" };
const WAY_WORDS = { out: "sent", reply: "reply", in: "message", note: "note" };

export class Log {
  #client;
  /** @type {Traffic[]} */
  #entries = [];
  #list = element("ol", { class: "lines", tabIndex: 0, "aria-label": "Commands and messages" });
  #filter = element("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter the log",
    oninput: () => this.#draw(),
  });
  #box = element("input", {
    type: "text",
    class: "code",
    spellcheck: false,
    autocomplete: "off",
    placeholder: '{"type": "drop", "data": {"x": 0.5, "y": 0.5}}',
    "aria-label": "Command as JSON",
  });
  #complaint = element("p", { class: "complaint", role: "alert" });
  #setup;
  /** @type {string[]} */
  #history = [];
  #at = 0;

  /**
   * @param {import("../client/client.js").Client} client
   * @param {HTMLElement} root
   * @param {() => import("./code-export.js").Setup} setup for exported programs
   */
  constructor(client, root, setup) {
    this.#client = client;
    this.#setup = setup;
    const clear = element("button", { type: "button", onclick: () => ((this.#entries = []), this.#draw()) }, "Clear");
    const form = element("form", { class: "raw" }, this.#box, element("button", { type: "submit" }, "Send"));
    form.addEventListener("submit", (event) => (event.preventDefault(), void this.#send()));
    this.#box.addEventListener("keydown", (event) => this.#browseHistory(event));
    root.append(
      element(
        "div",
        { class: "log-tools" },
        this.#filter,
        clear,
        element(
          "div",
          { class: "copies" },
          element("span", { id: "copy-as", class: "hint" }, "Copy as"),
          this.#copier("Text", (entries) => entries.map(asText).join("\n")),
          this.#copier("Python", (entries) => asPython(this.#setup(), this.#steps(entries))),
          this.#copier("JavaScript", (entries) => asJavaScript(this.#setup(), this.#steps(entries))),
        ),
      ),
      this.#list,
      form,
      this.#complaint,
    );
    client.traffic.listen((entry) => this.add(entry));
    this.#draw();
  }

  /** @param {Traffic} entry */
  add(entry) {
    this.#entries.push(entry);
    if (this.#entries.length > MAX_LINES) this.#entries.shift();
    if (!this.#matches(entry)) return;
    if (this.#entries.length === 1) this.#list.replaceChildren();
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    this.#list.append(line(entry));
    if (this.#list.childElementCount > MAX_LINES) this.#list.firstElementChild?.remove();
    if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  #draw() {
    const entries = this.#entries.filter((entry) => this.#matches(entry));
    this.#list.replaceChildren(...entries.map(line));
    if (entries.length === 0) {
      const text = this.#entries.length ? "No entries match this filter." : "Commands and messages appear here.";
      this.#list.append(element("li", { class: "hint" }, text));
    }
  }

  /** @param {Traffic} entry */
  #matches(entry) {
    const wanted = this.#filter.value.trim().toLowerCase();
    return !wanted || asText(entry).toLowerCase().includes(wanted);
  }

  /**
   * @param {string} label
   * @param {Writing} write turns the filtered entries into text
   */
  #copier(label, write) {
    const button = element("button", { type: "button", id: `copy-${label}` }, label);
    button.setAttribute("aria-labelledby", `copy-as copy-${label}`);
    button.addEventListener("click", async () => {
      const text = write(this.#entries.filter((entry) => this.#matches(entry)));
      // Browsers have no clipboard on plain http from another machine.
      button.textContent = await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
        () => "Copied",
        () => "Copy blocked",
      );
      setTimeout(() => (button.textContent = label), 1500);
    });
    return button;
  }

  /**
   * Return the commands that the model accepted.
   * @param {Traffic[]} entries
   * @returns {import("./code-export.js").Step[]}
   */
  #steps(entries) {
    const refused = new Set(this.#entries.filter(({ error }) => error !== undefined).map(({ to }) => to));
    return entries
      .filter((entry) => entry.way === "out" && !refused.has(entry))
      .map(({ at, type, data }) => ({ at, type, data: /** @type {JsonObject} */ (data) }));
  }

  async #send() {
    this.#complaint.textContent = "";
    const text = this.#box.value.trim();
    if (!text) return;
    if (this.#history.at(-1) !== text) this.#history.push(text);
    if (this.#history.length > 50) this.#history.shift();
    this.#at = this.#history.length;
    try {
      const { type, data } = parse(text);
      await this.#client.command(type, data);
      this.#box.value = "";
    } catch (error) {
      this.#complaint.textContent =
        error instanceof CommandRefused
          ? `${error.code}: ${error.message}`
          : String(error instanceof Error ? error.message : error);
    }
  }

  /** @param {KeyboardEvent} event */
  #browseHistory(event) {
    const by = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
    if (!by) return;
    event.preventDefault();
    this.#at = Math.min(this.#history.length, Math.max(0, this.#at + by));
    this.#box.value = this.#history[this.#at] ?? "";
  }
}

/**
 * @param {string} text
 * @returns {{type: string, data: JsonObject}}
 */
function parse(text) {
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`Not valid JSON: ${error instanceof Error ? error.message : error}`);
  }
  const command = /** @type {{type?: unknown, data?: unknown} | null} */ (value);
  const shape = 'Write the command as {"type": "name", "data": {…}}.';
  if (typeof command !== "object" || typeof command?.type !== "string") throw new Error(shape);
  const data = command.data ?? {};
  if (typeof data !== "object" || Array.isArray(data)) throw new Error(shape);
  return { type: command.type, data: /** @type {JsonObject} */ (data) };
}

/** @param {Traffic} entry */
function asText({ at, way, type, data, error }) {
  return [clock(at), WAY_SIGNS[way], type, data === undefined ? "" : JSON.stringify(data), error ?? ""]
    .filter(Boolean)
    .join(" ");
}

/** @param {Traffic} entry */
function line({ at, way, type, data, ms, error }) {
  return element(
    "li",
    { class: error ? `line ${way} bad` : `line ${way}` },
    element("time", {}, clock(at)),
    element("span", { class: "way", title: WAY_WORDS[way] }, WAY_SIGNS[way]),
    element("b", {}, type),
    element("span", { class: "content" }, error ?? content(data)),
    element("span", { class: "ms" }, ms === undefined ? "" : `${ms.toFixed(1)} ms`),
  );
}

/** Return data as text; empty data gives an empty text. @param {unknown} data */
function content(data) {
  const text = JSON.stringify(data ?? {});
  return text === "{}" ? "" : text;
}

/** @param {Date} at */
function clock(at) {
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}
