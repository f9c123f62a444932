/**
 * The timeline under the stage, if the server records: replay of the last five minutes while the session runs, and
 * clips to keep. A closed timeline sends no requests and has no timer.
 */

import { isForPage } from "../inputs/keyboard.js";
import { ClipError } from "../media/playlist.js";
import { Replay } from "../media/replay.js";
import { element } from "../shared/dom.js";
import { explainClip, inWords } from "../words/clips.js";
import { ClipList, MAX_CLIPS } from "./clip-list.js";

/** Seconds that the timeline shows. */
const WINDOW = 300;
const TICK_MS = 1000;
/** Clip lengths: seconds, and the key that keeps such a clip unless the model uses that key. */
const LENGTHS = /** @type {const} */ ([
  [5, "5"],
  [10, "1"],
  [30, "3"],
]);
/** Seconds within which commands share a mark: dragging a slider sends thirty commands a second. */
const MARK_GAP = 1;
/** Narrower pages start with a closed timeline. */
const WIDE = "(min-width: 761px)";

/** The times of commands within the window of the timeline. Pure. */
export class CommandMarks {
  /** Seconds of the caller's clock, oldest first. @type {number[]} */
  #times = [];
  #window;

  /** @param {number} window seconds */
  constructor(window) {
    this.#window = window;
  }

  /**
   * @param {number} now seconds
   * @returns {boolean} whether this made a new mark
   */
  add(now) {
    if (now - (this.#times.at(-1) ?? -Infinity) < MARK_GAP) return false;
    this.#times.push(now);
    return true;
  }

  /**
   * @param {number} now seconds
   * @returns {number[]} age of each mark as a share of the window, oldest first; older marks are dropped
   */
  seen(now) {
    while (this.#times.length && now - /** @type {number} */ (this.#times[0]) > this.#window) this.#times.shift();
    return this.#times.map((time) => (now - time) / this.#window);
  }

  clear() {
    this.#times = [];
  }
}

export class Timeline {
  #view;
  #root;
  #toggle;
  #clips = new ClipList();
  #marks = new CommandMarks(WINDOW);
  /** @type {Replay | null} */
  #replay = null;
  /** The clip that plays on the stage. @type {HTMLVideoElement | null} */
  #preview = null;
  /** Whether clips can be requested now. */
  #isOffered = false;
  /** Whether this session is recorded; a short loss of the connection must not change the layout. */
  #isRecorded = false;
  #isOpen = window.matchMedia(WIDE).matches;
  #timer = 0;
  /** Time of the first frame, in seconds of the page's clock; NaN: none yet. */
  #began = NaN;

  #recorded = element("div", { class: "recorded" });
  /** @type {HTMLElement[]} */
  #markDots = [];
  #ribbon = element("div", { class: "ribbon", "aria-hidden": "true" }, this.#recorded);
  #slider = element("input", {
    type: "range",
    min: String(-WINDOW),
    max: "0",
    step: "1",
    value: "0",
    "aria-label": "Look back",
    oninput: () => this.#drag(),
    onchange: () => this.#release(),
  });
  #position = element("span", { class: "place" });
  #pauseButton = element("button", { type: "button", hidden: true, onclick: () => this.#pause() });
  #liveButton = element(
    "button",
    { type: "button", hidden: true, title: "Back to live (Escape)", onclick: () => this.#returnToLive() },
    "Back to live",
  );
  #keepButtons = element("div", { class: "keeps", role: "group", "aria-label": "Keep" });
  #error = element("p", { class: "complaint", role: "alert" });

  /**
   * @param {import("./model-view.js").ModelView} view
   * @param {HTMLElement} root
   * @param {HTMLButtonElement} toggle
   */
  constructor(view, root, toggle) {
    this.#view = view;
    this.#root = root;
    this.#toggle = toggle;
    this.#keepButtons.append(
      element("span", { class: "hint", "aria-hidden": "true" }, "Keep"),
      ...LENGTHS.map(([seconds, key]) => {
        const what = `Keep the last ${seconds} s`;
        const settings = { type: "button", title: `${what} (${key})`, "aria-label": what, "aria-keyshortcuts": key };
        return element("button", { ...settings, onclick: () => this.#keep(seconds) }, `${seconds} s`);
      }),
      element("button", { type: "button", "aria-label": "Keep all of the session", onclick: () => this.#keep(null) }, "All"),
    );
    const track = element("div", { class: "track" }, this.#ribbon, this.#slider);
    root.append(
      element("div", { class: "line-of-time" }, this.#keepButtons, track, this.#position, this.#pauseButton, this.#liveButton),
      this.#clips.list,
      this.#error,
    );
    this.#listen();
    this.show();
  }

  /** Update after a change of the view. */
  show() {
    if (!this.#view.isUnderWay) this.#end();
    this.#isOffered = this.#view.isRecorded;
    this.#isRecorded = this.#isOffered || (this.#isRecorded && this.#view.isUnderWay);
    this.#toggle.hidden = !this.#isRecorded && this.#clips.count === 0;
    this.#toggle.setAttribute("aria-expanded", String(this.#isOpen));
    this.#root.hidden = this.#toggle.hidden || !this.#isOpen;
    for (const each of [...this.#keepButtons.querySelectorAll("button"), this.#slider]) each.disabled = !this.#isOffered;
    this.#updateTimer();
    this.#draw();
  }

  #listen() {
    const { client, stage } = this.#view;
    this.#view.changed.listen(() => this.show());
    this.#toggle.addEventListener("click", () => {
      this.#isOpen = !this.#isOpen;
      if (!this.#isOpen) this.#returnToLive();
      this.show();
    });
    stage.firstFrame.listen(() => {
      if (Number.isNaN(this.#began)) this.#began = seconds();
      this.#draw();
    });
    client.traffic.listen(({ way }) => {
      if (way === "out" && this.#marks.add(seconds())) this.#draw();
    });
    client.session.opened.listen(({ isNew }) => isNew && this.#end());
    this.#clips.failed.listen((error) => this.#showError(error));
    this.#clips.picked.listen((video) => this.#watchClip(video));
    this.#clips.removed.listen((video) => video && video === this.#preview && this.#returnToLive());
    this.#clips.changed.listen(() => this.show());
    document.addEventListener("visibilitychange", () => this.#updateTimer());
    window.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Forget the session: it ended, or another one began. */
  #end() {
    this.#began = NaN;
    this.#marks.clear();
    if (this.#replay) this.#returnToLive();
  }

  // --- keeping -------------------------------------------------------------------------------------------------------

  /** Keep a clip. @param {number | null} length seconds; null: the whole session */
  #keep(length) {
    this.#error.textContent = "";
    if (this.#clips.count >= MAX_CLIPS) {
      this.#error.textContent = `You can keep up to ${MAX_CLIPS} clips. Remove one first.`;
      return;
    }
    const time = new Date().toTimeString().slice(0, 8);
    const title = length === null ? `Everything until ${time}` : `Last ${length} s at ${time}`;
    const name = (this.#view.title || "clip").replaceAll(/[^\p{L}\p{N}_-]+/gu, "-");
    const file = `${name}-${length === null ? "all" : `${length}s`}-${time.replaceAll(":", "")}.mp4`;
    void this.#clips.add(title, file, (signal, onProgress) => this.#view.clips.keep(length, signal, onProgress));
  }

  /** Play a clip on the stage. @param {HTMLVideoElement} video */
  #watchClip(video) {
    this.#returnToLive();
    this.#preview = video;
    this.#view.stage.showFilm(video);
    this.#draw();
  }

  // --- replay --------------------------------------------------------------------------------------------------

  #drag() {
    const ago = -this.#slider.valueAsNumber;
    if (ago <= 0) return this.#returnToLive();
    this.#error.textContent = "";
    if (this.#replay) {
      this.#replay.video.pause();
      this.#replay.seek(ago);
    } else this.#begin(ago);
  }

  /** @param {number} ago seconds */
  #begin(ago) {
    this.#returnToLive();
    if (!("MediaSource" in window)) return this.#showError(new ClipError("PLAYBACK_UNSUPPORTED"));
    const replay = new Replay(this.#view.clips, ago);
    this.#replay = replay;
    replay.moved.listen(() => {
      // Until the replay has a frame, the live video stays.
      if (replay.hasFrame && !replay.video.isConnected) this.#view.stage.showFilm(replay.video);
      this.#draw();
    });
    replay.failed.listen((error) => {
      this.#returnToLive();
      this.#showError(error);
    });
    this.#draw();
  }

  #release() {
    void this.#replay?.video.play().catch(() => {}); // closed, or moved on, before playback began
  }

  #pause() {
    const video = this.#replay?.video;
    if (video?.paused) this.#release();
    else video?.pause();
  }

  /** Return to the live video. */
  #returnToLive() {
    const hadFocus = document.activeElement === this.#liveButton || document.activeElement === this.#pauseButton;
    this.#replay?.close();
    this.#replay = this.#preview = null;
    this.#view.stage.showFilm(null);
    this.#draw();
    if (hadFocus) this.#slider.focus();
  }

  // --- drawing --------------------------------------------------------------------------------------------------

  #draw() {
    if (this.#root.hidden) return;
    const now = seconds();
    const length = this.#replay?.length ?? NaN;
    if (!Number.isNaN(length)) this.#began = now - length;
    const recorded = Number.isNaN(this.#began) ? 0 : Math.min(1, (now - this.#began) / WINDOW);
    this.#recorded.style.width = `${100 * recorded}%`;
    const seen = this.#marks.seen(now);
    while (this.#markDots.length > seen.length) this.#markDots.pop()?.remove();
    while (this.#markDots.length < seen.length) {
      const dot = element("i");
      this.#markDots.push(dot);
      this.#ribbon.append(dot);
    }
    this.#markDots.forEach((dot, at) => (dot.style.right = `${100 * (seen[at] ?? 0)}%`));
    this.#drawPosition();
  }

  #drawPosition() {
    const replay = this.#replay;
    const ago = replay ? Math.min(WINDOW, Math.max(1, replay.ago)) : 0;
    if (!this.#slider.matches(":active")) this.#slider.value = String(-ago);
    const words = replay ? `${inWords(ago)} ago` : this.#isRecorded ? "Live" : "";
    this.#slider.setAttribute("aria-valuetext", words);
    const isComing = replay !== null && !replay.video.isConnected;
    this.#position.textContent = this.#preview ? "Clip" : isComing ? "Loading…" : words;
    this.#liveButton.hidden = !replay && !this.#preview;
    this.#liveButton.textContent = this.#isRecorded ? "Back to live" : "Close";
    this.#pauseButton.hidden = !replay;
    this.#pauseButton.textContent = replay?.video.paused ? "Play" : "Pause";
    this.#root.classList.toggle("back", replay !== null);
  }

  /** Start or stop the timer that redraws the open timeline once a second. */
  #updateTimer() {
    const isWanted = !this.#root.hidden && this.#isRecorded && !document.hidden;
    if (isWanted && !this.#timer) this.#timer = setInterval(() => this.#draw(), TICK_MS);
    if (isWanted || !this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  /** @param {unknown} error */
  #showError(error) {
    this.#error.textContent = explainClip(error);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.repeat || isForPage(event, event.key.toLowerCase())) return;
    if (event.key === "Escape" && !this.#liveButton.hidden) return this.#returnToLive();
    const length = LENGTHS.find(([, key]) => key === event.key)?.[0];
    if (length !== undefined && this.#isOffered && this.#isOpen) this.#keep(length);
  }
}

function seconds() {
  return performance.now() / 1000;
}
