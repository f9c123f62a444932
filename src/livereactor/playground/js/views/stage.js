/** The stage: the model's video and audio, the card over them, and pointer input on the video. */

import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { readable } from "../shared/text.js";

/** @typedef {{label: string, run: () => void}} Action */
/**
 * A card over the video. `body` stands between text and actions and needs room.
 * @typedef {{title: string, text?: string, busy?: boolean, progress?: number | null, bad?: boolean,
 *   body?: HTMLElement, action?: Action, second?: Action}} Card
 */
/** @typedef {{name: string, video: HTMLVideoElement, figure: HTMLElement, tab: HTMLButtonElement}} Screen */

/** The ways in which the video fills the stage; a click selects the next. */
const FITS = /** @type {const} */ (["contain", "cover", "none"]);
const FIT_WORDS = { contain: "Fit", cover: "Fill", none: "1 : 1" };

export class Stage {
  /** @type {Emitter<{x: number, y: number}>} a position on the video, 0..1 each */
  touched = new Emitter();
  /** @type {Emitter<HTMLVideoElement>} another video is shown */
  shown = new Emitter();
  /** @type {Emitter<void>} the first frame since `clear` is on screen */
  firstFrame = new Emitter();
  hasFrame = false;

  #root;
  #tabs = element("div", { class: "tabs", role: "tablist", "aria-label": "Outputs" });
  #screens = element("div", { class: "screens" });
  #tools = element("div", { class: "tools" });
  #card = element("div", { class: "card", role: "status", "aria-live": "polite" });
  #fit = element("button", {
    type: "button",
    title: "Change how the video fills the window",
    onclick: () => this.#nextFit(),
  });
  #sound = element("button", { type: "button", hidden: true, onclick: () => this.#setMuted(!this.#muted) });
  #volume = element("input", {
    type: "range",
    min: "0",
    max: "1",
    step: "0.01",
    value: "1",
    hidden: true,
    "aria-label": "Volume",
    oninput: () => this.#setVolume(),
  });
  /** @type {Map<string, Screen>} */
  #videos = new Map();
  /** @type {Map<string, HTMLAudioElement>} */
  #audios = new Map();
  #current = "";
  /** @type {(typeof FITS)[number]} */
  #fitted = "contain";
  #muted = false;
  /** The film that is shown instead of the live video. @type {HTMLVideoElement | null} */
  #film = null;
  #lastTouch = "";
  touchable = false;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    const full = element(
      "button",
      { type: "button", title: "Full screen (or double-click)", onclick: () => this.#fullScreen() },
      "Full screen",
    );
    const shot = element(
      "button",
      { type: "button", title: "Save the current frame as an image", onclick: () => this.#save() },
      "Snapshot",
    );
    this.#tools.append(this.#sound, this.#volume, this.#fit, shot, full);
    root.append(this.#screens, this.#tabs, this.#tools, this.#card);
    this.#setFit("contain");
    this.#setMuted(false);
  }

  /** The name of the visible track; empty if there is none. */
  get current() {
    return this.#current;
  }

  /** The visible video; null if there is none. */
  get video() {
    return this.#videos.get(this.#current)?.video ?? null;
  }

  /** Show a card, or uncover the video. @param {Card | null} card */
  showCard(card) {
    const hadFocus = this.#card.matches(":focus-within");
    this.#root.classList.toggle("covered", card !== null);
    this.#root.classList.toggle("roomy", card?.body !== undefined);
    this.#card.hidden = card === null;
    if (!card) return this.#card.replaceChildren();
    this.#card.className = card.bad ? "card bad" : "card";
    const buttons = [pressed(card.action, "primary"), pressed(card.second, "second")].filter((each) => each !== null);
    this.#card.replaceChildren(
      ...(card.busy ? [progress(card.progress ?? null)] : []),
      element(card.body ? "h1" : "h2", {}, card.title),
      ...(card.text ? [element("p", {}, card.text)] : []),
      ...(card.body ? [card.body] : []),
      ...(buttons.length ? [element("div", { class: "actions" }, ...buttons)] : []),
    );
    // Keyboard users continue where the pressed button was.
    if (hadFocus && !this.#card.matches(":focus-within")) buttons[0]?.focus();
  }

  /** @param {import("../client/peer.js").ReceivedTrack} track */
  add({ name, kind, media }) {
    const stream = new MediaStream([media]);
    if (kind === "audio") return this.#addAudio(name, stream);
    const known = this.#videos.get(name);
    if (known) return void (known.video.srcObject = stream);
    this.#addVideo(name, stream);
  }

  /**
   * Show a film instead of the live video, which goes on beneath without sound.
   * @param {HTMLVideoElement | null} film null: show the live video
   */
  showFilm(film) {
    this.#film?.parentElement?.remove();
    this.#film = film;
    if (film) this.#screens.append(element("figure", { class: "screen film" }, film));
    this.#root.classList.toggle("screening", film !== null);
    this.#setMuted(this.#muted);
    this.#setVolume();
  }

  /** Remove all tracks. */
  clear() {
    for (const { video, figure, tab } of this.#videos.values()) {
      video.srcObject = null;
      figure.remove();
      tab.remove();
    }
    for (const audio of this.#audios.values()) audio.srcObject = null;
    this.#videos.clear();
    this.#audios.clear();
    this.#current = "";
    this.hasFrame = false;
    this.#tabs.hidden = this.#sound.hidden = this.#volume.hidden = true;
    this.#root.classList.remove("playing");
  }

  /**
   * @param {string} name
   * @param {MediaStream} stream
   */
  #addVideo(name, stream) {
    const video = element("video", {
      autoplay: true,
      muted: true,
      playsInline: true,
      srcObject: stream,
      "aria-label": readable(name),
    });
    const figure = element("figure", { class: "screen", hidden: true }, video);
    const tab = element("button", { type: "button", role: "tab", onclick: () => this.#show(name) }, readable(name));
    video.addEventListener("playing", () => this.#root.classList.add("playing"));
    video.addEventListener("dblclick", () => this.#fullScreen());
    video.requestVideoFrameCallback(() => this.#onFirstFrame(video));
    for (const type of /** @type {const} */ (["pointerdown", "pointermove", "pointerup"])) {
      video.addEventListener(type, (event) => this.#touch(video, event));
    }
    this.#videos.set(name, { name, video, figure, tab });
    this.#screens.append(figure);
    this.#tabs.append(tab);
    this.#tabs.hidden = this.#videos.size < 2;
    if (!this.#current) this.#show(name);
  }

  /**
   * @param {string} name
   * @param {MediaStream} stream
   */
  #addAudio(name, stream) {
    const audio = this.#audios.get(name) ?? new Audio();
    audio.autoplay = true;
    audio.srcObject = stream;
    this.#audios.set(name, audio);
    this.#sound.hidden = this.#volume.hidden = false;
    this.#setMuted(this.#muted);
    // Browsers keep a reloaded page silent until it is clicked.
    audio.play().catch((error) => {
      if (error instanceof DOMException && error.name === "NotAllowedError") this.#setMuted(true);
    });
  }

  /** @param {HTMLVideoElement} video its first frame is on screen */
  #onFirstFrame(video) {
    if (this.hasFrame || !video.srcObject) return;
    this.hasFrame = true;
    this.firstFrame.emit();
  }

  /** @param {string} name */
  #show(name) {
    this.#current = name;
    for (const { name: other, figure, tab, video } of this.#videos.values()) {
      figure.hidden = other !== name;
      tab.setAttribute("aria-selected", String(other === name));
      if (other === name) this.shown.emit(video);
    }
  }

  /**
   * @param {HTMLVideoElement} video
   * @param {PointerEvent} event
   */
  #touch(video, event) {
    if (!this.touchable) return;
    const { type, pointerId } = event;
    const position = positionOn(video, event, this.#fitted);
    const isOnVideo = position.x >= 0 && position.x <= 1 && position.y >= 0 && position.y <= 1;
    if (type === "pointerdown" ? event.button !== 0 || !isOnVideo : !video.hasPointerCapture(pointerId)) return;
    if (type === "pointerdown") video.setPointerCapture(pointerId);
    // A drag that leaves the video continues along its edge. Its end is always reported.
    const within = { x: Math.min(1, Math.max(0, position.x)), y: Math.min(1, Math.max(0, position.y)) };
    if (type !== "pointerup" || this.#lastTouch !== JSON.stringify(within)) this.touched.emit(within);
    this.#lastTouch = JSON.stringify(within);
  }

  #nextFit() {
    this.#setFit(/** @type {(typeof FITS)[number]} */ (FITS[(FITS.indexOf(this.#fitted) + 1) % FITS.length]));
  }

  /** @param {(typeof FITS)[number]} fit */
  #setFit(fit) {
    this.#fitted = fit;
    this.#screens.dataset.fit = fit;
    this.#fit.textContent = FIT_WORDS[fit];
  }

  /** @param {boolean} muted */
  #setMuted(muted) {
    this.#muted = muted;
    for (const audio of this.#audios.values()) audio.muted = muted || this.#film !== null;
    if (this.#film) this.#film.muted = muted;
    if (!muted) for (const audio of this.#audios.values()) void audio.play().catch(() => this.#setMuted(true));
    this.#sound.textContent = muted ? "Sound off" : "Sound on";
    this.#sound.setAttribute("aria-pressed", String(!muted));
  }

  #setVolume() {
    const heard = [...this.#audios.values(), ...(this.#film ? [this.#film] : [])];
    for (const each of heard) each.volume = Number(this.#volume.value);
  }

  #fullScreen() {
    void (document.fullscreenElement ? document.exitFullscreen() : this.#root.requestFullscreen());
  }

  #save() {
    const { video } = this;
    if (!video?.videoWidth) return;
    const canvas = element("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      if (!blob) return;
      const url = URL.createObjectURL(blob);
      element("a", { href: url, download: `${this.#current}.png` }).click();
      URL.revokeObjectURL(url);
    });
  }
}

/**
 * Return the position of a pointer on the video, which need not fill its element.
 * @param {HTMLVideoElement} video
 * @param {PointerEvent} event
 * @param {(typeof FITS)[number]} fit
 * @returns {{x: number, y: number}} 0..1 each on the video, other values beside it
 */
function positionOn(video, event, fit) {
  const { left, top, width, height } = video.getBoundingClientRect();
  const across = width / video.videoWidth;
  const down = height / video.videoHeight;
  const scale = fit === "contain" ? Math.min(across, down) : fit === "cover" ? Math.max(across, down) : 1;
  return {
    x: (event.clientX - left - width / 2) / (video.videoWidth * scale) + 0.5,
    y: (event.clientY - top - height / 2) / (video.videoHeight * scale) + 0.5,
  };
}

/**
 * @param {Action | undefined} action
 * @param {string} rank
 */
function pressed(action, rank) {
  return action ? element("button", { type: "button", class: rank, onclick: action.run }, action.label) : null;
}

/** @param {number | null} fraction null: unknown */
function progress(fraction) {
  return element("progress", { "aria-label": "Progress", max: 1, ...(fraction !== null && { value: fraction }) });
}
