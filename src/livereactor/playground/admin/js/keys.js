/** API keys: create (and show once), list, revoke. */

import { element } from "../../js/shared/dom.js";
import { copy, actionButton } from "./actions.js";
import { moment } from "./format.js";
import { Table } from "./table.js";

/** @typedef {import("./types.js").KeyRow} KeyRow */

const SCOPES = [
  ["view", "watch"],
  ["control", "send commands"],
  ["record", "keep clips"],
  ["upload", "send files"],
  ["admin", "operate the server"],
];

export class Keys {
  #api;
  #table;
  #created = element("div", { class: "created-key", role: "status", hidden: true });

  /**
   * @param {HTMLElement} root
   * @param {import("./api.js").Api} api
   */
  constructor(root, api) {
    this.#api = api;
    root.append(
      element(
        "section",
        { class: "part", "aria-label": "Create a key" },
        element("h2", {}, "Create a key"),
        this.#form(),
        this.#created,
      ),
    );
    const list = element("section", { class: "part", "aria-label": "Keys" }, element("h2", {}, "Keys"));
    root.append(list);
    this.#table = new Table(list, {
      name: "Keys",
      empty: "No keys yet.",
      id: (/** @type {KeyRow} */ row) => row.id,
      columns: [
        { label: "Key", kind: "code", text: ({ prefix }) => `${prefix}…` },
        { label: "Name", text: ({ name }) => name || "–" },
        { label: "Account", text: ({ account }) => account },
        { label: "Scopes", kind: "wide", text: ({ scopes }) => scopes.join(", ") },
        { label: "Created", kind: "wide", text: ({ created_at }) => moment(created_at) },
        {
          label: "Last used",
          kind: "wide",
          text: ({ used_at, revoked_at }) => {
            if (revoked_at) return `revoked ${moment(revoked_at)}`;
            return used_at ? moment(used_at) : "never";
          },
          mark: ({ revoked_at }) => (revoked_at ? "revoked" : ""),
        },
        {
          label: "",
          kind: "actions",
          make: (latest) => actionButton("Revoke", () => this.#revoke(latest().id), { sure: "Confirm revoke" }),
          update: ({ revoked_at }, button) => (button.hidden = revoked_at !== undefined),
        },
      ],
    });
  }

  async show() {
    this.#table.show((await this.#api.get("keys")).keys);
  }

  #form() {
    const name = element("input", { type: "text", maxLength: 128, placeholder: "website" });
    const account = element("input", { type: "text", maxLength: 64, placeholder: "default", pattern: "[\\w.\\-@]+" });
    const boxes = SCOPES.map(([scope, meaning]) => {
      const label = `${scope}: ${meaning}`;
      return element("input", { type: "checkbox", value: scope, checked: scope !== "admin", "aria-label": label });
    });
    const create = actionButton("Create", async () => {
      if (!account.reportValidity()) return;
      const scopes = boxes.filter(({ checked }) => checked).map(({ value }) => value);
      if (scopes.length === 0) throw new Error("select at least one scope");
      const asked = { name: name.value.trim(), scopes, ...(account.value && { account: account.value }) };
      this.#showCreated(await this.#api.send("POST", "keys", asked));
      name.value = "";
      await this.show();
    });
    create.classList.add("primary");
    const form = element(
      "form",
      { class: "row" },
      element("label", { class: "field" }, element("span", { class: "name" }, "Name"), name),
      element("label", { class: "field" }, element("span", { class: "name" }, "Account"), account),
      element(
        "fieldset",
        { class: "field" },
        element("legend", { class: "name" }, "Scopes"),
        element(
          "div",
          { class: "chips" },
          ...boxes.map((box) => element("label", { class: "chip", title: box.ariaLabel ?? "" }, box, box.value)),
        ),
      ),
      create,
    );
    form.addEventListener("submit", (event) => (event.preventDefault(), create.click()));
    return form;
  }

  /** @param {KeyRow & {key: string}} created */
  #showCreated({ key, name }) {
    const button = element("button", { type: "button" }, "Copy");
    button.addEventListener("click", () => void copy(key, button, "Copy"));
    const done = element("button", { type: "button", onclick: () => this.#hideCreated() }, "Done");
    this.#created.replaceChildren(
      element("p", {}, `Copy ${name ? `the key “${name}”` : "the key"} now: it is shown only once. Store it where only your server can read it.`),
      element("code", {}, key),
      element("div", { class: "buttons" }, button, done),
    );
    this.#created.hidden = false;
  }

  #hideCreated() {
    this.#created.replaceChildren();
    this.#created.hidden = true;
  }

  /** @param {string} id */
  async #revoke(id) {
    await this.#api.send("DELETE", `keys/${encodeURIComponent(id)}`);
    await this.show();
  }
}
