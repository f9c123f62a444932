/** The list of kept clips: each shows its progress, and can then be watched, downloaded and removed. */

import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { inBytes } from "../words/clips.js";

/** Largest number of clips: the browser holds each until it is removed. */
export const MAX_CLIPS = 12;

export class ClipList {
  /** @type {Emitter<unknown>} a clip failed */
  failed = new Emitter();
  /** @type {Emitter<HTMLVideoElement>} a clip is to be watched */
  picked = new Emitter();
  /** @type {Emitter<HTMLVideoElement | null>} a clip was removed, with its video if it was watched */
  removed = new Emitter();
  /** @type {Emitter<void>} the number of clips has changed */
  changed = new Emitter();

  list = element("ul", { class: "clip-list", "aria-label": "Clips" });

  get count() {
    return this.list.childElementCount;
  }

  /**
   * Add a clip and fetch it.
   * @param {string} title
   * @param {string} file name of the download
   * @param {(signal: AbortSignal, onProgress: import("../media/clips.js").Progress) => Promise<Blob>} fetch
   */
  async add(title, file, fetch) {
    const calling = new AbortController();
    const bar = element("progress", { "aria-label": `${title}: progress`, max: 1 });
    const cancel = button("Cancel", title, () => (calling.abort(), this.#remove(line)));
    const line = element("li", { class: "clip" }, element("span", {}, title), bar, cancel);
    this.list.append(line);
    this.changed.emit();
    try {
      const film = await fetch(calling.signal, (fetched, total) => (bar.value = fetched / total));
      calling.signal.throwIfAborted();
      this.#fill(line, { title, file, film });
    } catch (error) {
      if (calling.signal.aborted) return;
      this.#remove(line);
      this.failed.emit(error);
    }
  }

  /**
   * @param {HTMLElement} line
   * @param {{title: string, file: string, film: Blob}} clip
   */
  #fill(line, { title, file, film }) {
    const url = URL.createObjectURL(film);
    const hadFocus = line.matches(":focus-within");
    /** @type {HTMLVideoElement | null} */
    let video = null;
    const look = button("Watch", title, () => {
      const settings = { src: url, controls: true, autoplay: true, loop: true, playsInline: true, "aria-label": title };
      video = element("video", settings);
      this.picked.emit(video);
    });
    const remove = button("Remove", title, () => {
      this.#remove(line);
      this.removed.emit(video);
      URL.revokeObjectURL(url);
    });
    line.replaceChildren(
      element("span", {}, title, " ", element("span", { class: "hint" }, inBytes(film.size))),
      look,
      element("a", { href: url, download: file, "aria-label": `Download: ${title}` }, "Download"),
      remove,
    );
    if (hadFocus) look.focus();
  }

  /** @param {HTMLElement} line */
  #remove(line) {
    line.remove();
    this.changed.emit();
  }
}

/**
 * @param {string} label
 * @param {string} title of the clip, for screen readers
 * @param {() => void} run
 */
function button(label, title, run) {
  return element("button", { type: "button", "aria-label": `${label}: ${title}`, onclick: run }, label);
}
