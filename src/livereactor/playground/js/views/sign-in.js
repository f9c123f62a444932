/** The form that asks for a credential: a token at a coordinator, a key at a stand-alone runtime. */

import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";

const WORDS = {
  token: {
    label: "Token",
    hint: "The operator of this server gives you a token, or a link that contains one. The token stays in this tab.",
  },
  key: { label: "Key", hint: "Enter the key that the server was started with. The key stays in this tab." },
};

export class SignInForm {
  /** @type {Emitter<string>} */
  entered = new Emitter();

  #kind;
  #input = element("input", { type: "password", id: "credential", class: "code", autocomplete: "off", spellcheck: false });
  #complaint = element("p", { class: "complaint", role: "alert" });

  /** @param {"token" | "key"} kind */
  constructor(kind) {
    this.#kind = kind;
    const { label, hint } = WORDS[kind];
    this.root = element(
      "form",
      { class: "sign-in-form", noValidate: true },
      element("label", { for: "credential" }, label),
      element("div", { class: "entry" }, this.#input, element("button", { type: "submit", class: "primary" }, "Continue")),
      this.#complaint,
      element("p", { class: "hint" }, hint),
    );
    this.root.addEventListener("submit", (event) => (event.preventDefault(), this.#enter()));
  }

  /** @param {string} words why the last one was refused; "" = none was entered */
  complain(words) {
    this.#complaint.textContent = words;
  }

  /** Focus the field. */
  focus() {
    this.#input.focus();
  }

  #enter() {
    const shown = this.#input.value.trim();
    if (!shown) return this.complain(`Paste the ${this.#kind} here.`);
    // A header can carry no other characters.
    if (!/^[\x20-\x7e]+$/.test(shown)) {
      return this.complain(`Not a valid ${this.#kind}: it contains characters that ${this.#kind}s cannot contain.`);
    }
    if (this.#kind === "token" && /\s/.test(shown)) return this.complain("Not a valid token: it contains spaces.");
    if (this.#kind === "token" && shown.startsWith("rk_")) {
      return this.complain("This is an API key, which grants access to a whole account. Create a token with “livereactor token” and enter that.");
    }
    this.#input.value = "";
    this.complain("");
    this.entered.emit(shown);
  }
}
