/** The gallery: a card for each model with its preview, description, tags and state. */

import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { firstLine, readable } from "../shared/text.js";
import { placeholderPicture } from "./placeholder.js";

/** @typedef {import("../client/coordinator.js").Model} Model */

const REDUCED_MOTION = matchMedia("(prefers-reduced-motion: reduce)");

export class Gallery {
  /** @type {Emitter<string>} a model was chosen */
  picked = new Emitter();

  // Not live: screen readers would read the whole list whenever a state changes.
  root = element("ul", { class: "gallery", role: "list", "aria-live": "off" });
  #url;
  /** @type {Map<string, ModelCard>} */
  #cards = new Map();
  #preview = { model: "", root: element("div", { class: "preview-of", "aria-live": "off" }) };

  /** @param {(path: string) => string} url returns the address of a path at the server */
  constructor(url) {
    this.#url = url;
  }

  /** @param {Model[]} models cards of known models stay the same elements, which keeps focus and films */
  show(models) {
    const cards = new Map(
      models.map((model) => {
        const known = this.#cards.get(model.name);
        return [model.name, known?.fits(model) ? known : new ModelCard(model, this.#url, this.picked)];
      }),
    );
    for (const [name, card] of this.#cards) if (cards.get(name) !== card) card.root.remove();
    this.#cards = cards;
    models.forEach((model, at) => {
      const card = /** @type {ModelCard} */ (cards.get(model.name));
      card.show(model);
      if (this.root.children[at] !== card.root) this.root.insertBefore(card.root, this.root.children[at] ?? null);
    });
  }

  /** Focus the card of a model, for keyboard users who return to the gallery. @param {string} name */
  focus(name) {
    this.#cards.get(name)?.button.focus({ preventScroll: false });
  }

  /**
   * Return the preview and the tags of one model, for its start card.
   * @param {Model} model
   */
  preview(model) {
    const { root } = this.#preview;
    if (this.#preview.model !== model.name) {
      this.#preview.model = model.name;
      root.replaceChildren(previewOf(model, this.#url).root, tags(model));
    }
    return root;
  }
}

/** The card of one model. */
class ModelCard {
  #loop;
  #source;
  #state = element("span", { class: "model-state" });
  #line = element("span", { class: "model-line" });
  #tags = element("span");

  /**
   * @param {Model} model
   * @param {(path: string) => string} url
   * @param {Emitter<string>} picked
   */
  constructor(model, url, picked) {
    const { name } = model;
    this.#loop = previewOf(model, url);
    this.#source = model.loop;
    const [about, state] = [`model-${name}-about`, `model-${name}-state`];
    this.#state.id = state;
    this.#line.id = about;
    // The style sheet stretches the button over the whole card.
    const described = { "aria-describedby": `${state} ${about}` };
    this.button = element("button", { type: "button", onclick: () => picked.emit(name), ...described }, name);
    this.root = element("li", { class: "model" }, this.#loop.root, this.button, this.#state, this.#line, this.#tags);
    const watch = (/** @type {boolean} */ isWatched) => () => this.#loop.watch(isWatched);
    for (const type of ["pointerenter", "focusin"]) this.root.addEventListener(type, watch(true));
    for (const type of ["pointerleave", "focusout"]) this.root.addEventListener(type, watch(false));
  }

  /** @param {Model} model */
  fits({ loop }) {
    return loop === this.#source;
  }

  /** @param {Model} model its current state */
  show(model) {
    const state = stateOf(model);
    if (this.#state.textContent !== state) this.#state.textContent = state;
    this.#state.dataset.state = model.in_use ? "busy" : model.state;
    this.#line.textContent = firstLine(model.description);
    const shown = tags(model);
    if (this.#tags.textContent === shown.textContent) return;
    this.#tags.replaceWith(shown);
    this.#tags = shown;
  }
}

/**
 * The preview of a model: a film of a few seconds that plays once when it comes into view, and repeats while it is
 * pointed at. With reduced motion it shows the first frame. A model without a film gets a placeholder.
 */
class ModelPreview {
  #video;
  #isWatched = false;

  /**
   * @param {string} name of the model
   * @param {string | null} address of the film; null: there is none
   */
  constructor(name, address) {
    this.#video = element("video", { muted: true, playsInline: true, preload: "auto", disableRemotePlayback: true });
    this.root = element("span", { class: "model-preview", "aria-hidden": "true" }, placeholderPicture(name));
    if (address === null) return;
    const video = this.#video;
    this.root.append(video);
    video.addEventListener("loadeddata", () => this.root.classList.add("shown"));
    // No film, or none that this browser plays: the placeholder stays.
    video.addEventListener("error", () => (video.remove(), observer.disconnect()));
    const observer = new IntersectionObserver(([entry]) => {
      if (!entry?.isIntersecting) return video.pause();
      // Nothing is fetched for a card that is never scrolled to.
      if (!video.src) video.src = address;
      this.#play();
    });
    observer.observe(this.root);
    REDUCED_MOTION.addEventListener("change", () => REDUCED_MOTION.matches && this.#stop());
  }

  /** @param {boolean} isWatched pointed at, or focused */
  watch(isWatched) {
    this.#isWatched = isWatched;
    this.#video.loop = isWatched;
    if (isWatched) this.#play();
  }

  #play() {
    this.#video.loop = this.#isWatched;
    // The browser may refuse to play, or a pause may come first: the film then stands still.
    if (!REDUCED_MOTION.matches && this.#video.src) this.#video.play().catch(() => {});
  }

  #stop() {
    this.#video.pause();
    this.#video.currentTime = 0;
  }
}

/**
 * @param {Model} model
 * @param {(path: string) => string} url
 */
function previewOf({ name, loop }, url) {
  return new ModelPreview(name, loop === undefined ? null : url(loop));
}

/** @param {Model} model */
function tags({ tags: given = [] }) {
  const shown = given.map((tag) => element("span", { class: "tag" }, readable(tag)));
  return element("span", { class: "tags" }, ...shown);
}

/** Return the state of a model in words. @param {Model} model */
export function stateOf({ state, in_use, progress, queue_length }) {
  if (queue_length > 0) return `${queue_length} waiting`;
  if (state === "starting") return progress === undefined ? "starting" : `starting, ${Math.round(progress * 100)}%`;
  return { ready: in_use ? "in use" : "ready", cold: "starts on first use", failed: "unavailable" }[state];
}
