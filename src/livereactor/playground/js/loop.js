/**
 * The moving picture of a model: a few seconds, once when it comes into view and again and again while it is watched.
 * Whoever asked their system for less motion gets its first picture. Without a film, hills of the model's own stand in.
 */

import { element } from "./dom.js";
import { standIn } from "./standin.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class Loop {
  #video;
  #isWatched = false;

  /**
   * @param {string} name of the model
   * @param {string | null} address of its film; null: it has none
   */
  constructor(name, address) {
    this.#video = element("video", { muted: true, playsInline: true, preload: "auto", disableRemotePlayback: true });
    this.root = element("span", { class: "loop", "aria-hidden": "true" }, standIn(name));
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
