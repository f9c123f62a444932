/** The choice of a model: a row each with its name, its line, and how soon it would be there. */

import { element } from "./dom.js";
import { Signal } from "./signal.js";

/** @typedef {import("./coordinator.js").Model} Model */

export class Picker {
  /** @type {Signal<string>} another model was chosen by hand */
  picked = new Signal();

  root = element("div", { class: "picker", role: "radiogroup", "aria-label": "Models" });
  #drawn = "";

  /**
   * @param {Model[]} models
   * @param {string} chosen
   */
  show(models, chosen) {
    const drawn = JSON.stringify([models, chosen]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const hadFocus = this.root.contains(document.activeElement);
    this.root.replaceChildren(...models.map((model, at) => this.#row(model, at, model.name === chosen)));
    const input = this.root.querySelector("input:checked");
    if (hadFocus && input instanceof HTMLInputElement) input.focus();
  }

  /**
   * @param {Model} model
   * @param {number} at
   * @param {boolean} isChosen
   */
  #row(model, at, isChosen) {
    const [name, about] = [`model-${at}-name`, `model-${at}-about`];
    const input = element("input", {
      type: "radio",
      name: "model",
      value: model.name,
      checked: isChosen,
      "aria-labelledby": name,
      "aria-describedby": about,
    });
    input.addEventListener("change", () => this.picked.emit(model.name));
    return element(
      "label",
      { class: "model" },
      input,
      element("b", { id: name }, model.name),
      element("span", { class: "model-state" }, stateOf(model)),
      element("span", { class: "model-line", id: about }, firstLine(model.description)),
    );
  }
}

/** How soon a model is there. @param {Model} model */
export function stateOf({ state, in_use, progress, queue_length }) {
  if (queue_length > 0) return `${queue_length} waiting`;
  if (state === "starting") return progress === undefined ? "starting" : `starting, ${Math.round(progress * 100)} %`;
  return { ready: in_use ? "in use" : "ready", cold: "starts on first use", failed: "not to be had" }[state];
}

/** @param {string} text */
export function firstLine(text) {
  return text.split("\n")[0] ?? "";
}
