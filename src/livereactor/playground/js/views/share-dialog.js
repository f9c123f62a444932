/** A dialog that creates, shows and copies a link for viewers. */

import { element } from "../shared/dom.js";
import { sentence } from "../shared/text.js";

/** @typedef {import("../client/coordinator.js").Share} Share */

export class ShareDialog {
  #link = element("input", { type: "text", class: "code", readOnly: true, "aria-label": "Link" });
  #title = element("h2", { id: "share-title" });
  #text = element("p", { role: "status" });
  #copy = element("button", { type: "button", class: "primary", onclick: () => void this.#copyLink() }, "Copy");
  #entry = element("div", { class: "entry" }, this.#link, this.#copy);
  #root = element("dialog", { class: "dialog", "aria-labelledby": "share-title" });

  constructor() {
    const close = element("button", { type: "button", onclick: () => this.#root.close() }, "Close");
    this.#root.append(this.#title, this.#text, this.#entry, close);
    // A click on the backdrop closes the dialog: only the backdrop has the dialog itself as its target.
    this.#root.addEventListener("click", ({ target }) => target === this.#root && this.#root.close());
    document.body.append(this.#root);
  }

  /**
   * @param {() => Promise<Share>} make requests the link
   * @param {number} [ends] latest end of the session in Unix seconds, if it is known
   */
  async open(make, ends = Infinity) {
    try {
      const { url, expires_at } = await make();
      this.#link.value = url;
      const last = new Date(Math.min(expires_at, ends) * 1000);
      const until = last.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      const lasts = `The link works while the session runs, until ${until} at the latest.`;
      const where = isLoopback(url) ? " It works on this machine only." : "";
      this.#showText("Link for viewers", `Anyone with this link can watch the session but cannot control it. ${lasts}${where}`);
      this.#entry.hidden = false;
    } catch (error) {
      this.#showText("Could not create a link", sentence(error instanceof Error ? error.message : String(error)));
      this.#entry.hidden = true;
    }
    if (!this.#root.open) this.#root.showModal();
    if (!this.#entry.hidden) await this.#copyLink();
  }

  async #copyLink() {
    this.#link.select();
    // Browsers have no clipboard on plain http from another machine.
    const done = await (navigator.clipboard?.writeText(this.#link.value) ?? Promise.reject()).then(
      () => true,
      () => false,
    );
    this.#copy.textContent = done ? "Copied" : "Copy";
    if (!done) this.#text.append(" The browser does not allow this page to copy. Copy the link yourself.");
    setTimeout(() => (this.#copy.textContent = "Copy"), 2000);
  }

  /**
   * @param {string} title
   * @param {string} text
   */
  #showText(title, text) {
    this.#title.textContent = title;
    this.#text.textContent = text;
  }
}

/** @param {string} url */
function isLoopback(url) {
  return /^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);
}
