/** The stage: the model's pictures and sound, what is said over them, and touches of them. */

import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { readable } from "../shared/text.js";

/** @typedef {{label: string, run: () => void}} Action */
/**
 * What is said over the picture. `body` stands between text and actions, needs room, and is what the page is then about.
 * @typedef {{title: string, text?: string, busy?: boolean, progress?: number | null, bad?: boolean,
 *   body?: HTMLElement, action?: Action, second?: Action}} Card
 */
/** @typedef {{name: string, video: HTMLVideoElement, figure: HTMLElement, tab: HTMLButtonElement}} Screen */

/** How a picture fills its place; a click goes to the next. */
const FITS = /** @type {const} */ (["contain", "cover", "none"]);
const FIT_WORDS = { contain: "Fit", cover: "Fill", none: "1 : 1" };

export class Stage {
  /** @type {Emitter<{x: number, y: number}>} a place on the picture, 0..1 each */
  touched = new Emitter();
  /** @type {Emitter<HTMLVideoElement>} the video that is looked at has changed */
  shown = new Emitter();
  /** @type {Emitter<void>} the first picture since `clear` is on screen */
  pictured = new Emitter();
  hasPicture = false;

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
  /** What is shown over the pictures. @type {HTMLVideoElement | null} */
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

  /** The name of the track that is looked at; empty before there is one. */
  get current() {
    return this.#current;
  }

  /** The video that is looked at, or null before there is one. */
  get video() {
    return this.#videos.get(this.#current)?.video ?? null;
  }

  /** @param {Card | null} card null: nothing is in the way of the picture */
  say(card) {
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
    // Who works it by the keyboard goes on where the pressed button was.
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

  /** Show a film in place of the pictures, which go on beneath, unheard. @param {HTMLVideoElement | null} film null: none */
  screen(film) {
    this.#film?.parentElement?.remove();
    this.#film = film;
    if (film) this.#screens.append(element("figure", { class: "screen film" }, film));
    this.#root.classList.toggle("screening", film !== null);
    this.#setMuted(this.#muted);
    this.#setVolume();
  }

  /** Forget all pictures and sounds. */
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
    this.hasPicture = false;
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
    video.requestVideoFrameCallback(() => this.#picture(video));
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
    // A page that came back by itself after a reload has seen no click: then browsers keep it silent.
    audio.play().catch((error) => {
      if (error instanceof DOMException && error.name === "NotAllowedError") this.#setMuted(true);
    });
  }

  /** @param {HTMLVideoElement} video its first picture is on screen */
  #picture(video) {
    if (this.hasPicture || !video.srcObject) return;
    this.hasPicture = true;
    this.pictured.emit();
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
    const place = placeOn(video, event, this.#fitted);
    const isOnPicture = place.x >= 0 && place.x <= 1 && place.y >= 0 && place.y <= 1;
    if (type === "pointerdown" ? event.button !== 0 || !isOnPicture : !video.hasPointerCapture(pointerId)) return;
    if (type === "pointerdown") video.setPointerCapture(pointerId);
    // A drag that leaves the picture goes along its edge. Where it ends is always told, whatever came just before.
    const within = { x: Math.min(1, Math.max(0, place.x)), y: Math.min(1, Math.max(0, place.y)) };
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
 * Where on the picture a pointer is: the picture need not fill its element.
 * @param {HTMLVideoElement} video
 * @param {PointerEvent} event
 * @param {(typeof FITS)[number]} fit
 * @returns {{x: number, y: number}} 0..1 each; beyond that it is beside the picture
 */
function placeOn(video, event, fit) {
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

/** @param {number | null} fraction null: how long it takes is not known */
function progress(fraction) {
  return element("progress", { "aria-label": "Progress", max: 1, ...(fraction !== null && { value: fraction }) });
}
