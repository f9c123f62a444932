/** The gallery: a card for each model with its picture, its line, what it takes, and how soon it would be there. */

import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { placeholderPicture } from "./placeholder.js";
import { firstLine, readable } from "../shared/text.js";

/** @typedef {import("../client/coordinator.js").Model} Model */

const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class Gallery {
  /** @type {Emitter<string>} a model was chosen */
  picked = new Emitter();

  // Not read aloud whole whenever one of the models changes its state.
  root = element("ul", { class: "gallery", role: "list", "aria-live": "off" });
  #url;
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #preview = { model: "", root: element("div", { class: "preview-of", "aria-live": "off" }) };

  /** @param {(path: string) => string} url of what the server has at a path */
  constructor(url) {
    this.#url = url;
  }

  /** @param {Model[]} models cards of those that stay are kept: one may be focused, or its film run */
  show(models) {
    const cards = new Map(
      models.map((model) => {
        const known = this.#cards.get(model.name);
        return [model.name, known?.fits(model) ? known : new Card(model, this.#url, this.picked)];
      }),
    );
    for (const [name, card] of this.#cards) if (cards.get(name) !== card) card.root.remove();
    this.#cards = cards;
    models.forEach((model, at) => {
      const card = /** @type {Card} */ (cards.get(model.name));
      card.show(model);
      if (this.root.children[at] !== card.root) this.root.insertBefore(card.root, this.root.children[at] ?? null);
    });
  }

  /** For who comes back by the keyboard. @param {string} name */
  focus(name) {
    this.#cards.get(name)?.button.focus({ preventScroll: false });
  }

  /**
   * The picture and the tags of one model, for what is said before its start.
   * @param {Model} model
   */
  picture(model) {
    const { root } = this.#preview;
    if (this.#preview.model !== model.name) {
      this.#preview.model = model.name;
      root.replaceChildren(previewOf(model, this.#url).root, tags(model));
    }
    return root;
  }
}

/** One model's. */
class Card {
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
    // Its name is its label; by the sheet it reaches over the whole card.
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

  /** @param {Model} model as it is now */
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
 * The moving picture of a model: a few seconds, once when it comes into view and again and again while it is watched.
 * Whoever asked their system for less motion gets its first picture. Without a film, hills of the model's own stand in.
 */
class ModelPreview {
  #video;
  #isWatched = false;

  /**
   * @param {string} name of the model
   * @param {string | null} address of its film; null: it has none
   */
  constructor(name, address) {
    this.#video = element("video", { muted: true, playsInline: true, preload: "auto", disableRemotePlayback: true });
    this.root = element("span", { class: "loop", "aria-hidden": "true" }, placeholderPicture(name));
    if (address === null) return;
    const video = this.#video;
    this.root.append(video);
    video.addEventListener("loadeddata", () => this.root.classList.add("shown"));
    // None there, or none that this browser plays: the hills stay.
    video.addEventListener("error", () => (video.remove(), observer.disconnect()));
    const observer = new IntersectionObserver(([entry]) => {
      if (!entry?.isIntersecting) return video.pause();
      // Nothing is fetched for a card that nobody scrolls to.
      if (!video.src) video.src = address;
      this.#play();
    });
    observer.observe(this.root);
    CALM.addEventListener("change", () => CALM.matches && this.#rest());
  }

  /** @param {boolean} isWatched pointed at, or focused */
  watch(isWatched) {
    this.#isWatched = isWatched;
    this.#video.loop = isWatched;
    if (isWatched) this.#play();
  }

  #play() {
    this.#video.loop = this.#isWatched;
    // Refused, or given up by a pause that came sooner: then it stands still.
    if (!CALM.matches && this.#video.src) this.#video.play().catch(() => {});
  }

  #rest() {
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

/** How soon a model is there. @param {Model} model */
export function stateOf({ state, in_use, progress, queue_length }) {
  if (queue_length > 0) return `${queue_length} waiting`;
  if (state === "starting") return progress === undefined ? "starting" : `starting, ${Math.round(progress * 100)}%`;
  return { ready: in_use ? "in use" : "ready", cold: "starts on first use", failed: "unavailable" }[state];
}
