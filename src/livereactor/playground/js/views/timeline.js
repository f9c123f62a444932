/**
 * The timeline: the last five minutes under the stage, where the server records. Looking back while the session runs,
 * and clips to keep. While it is closed it asks for nothing and has no timer.
 */

import { explainClip, inWords } from "../words/clips.js";
import { element } from "../shared/dom.js";
import { ClipList, MAX_CLIPS } from "./clip-list.js";
import { isForOthers } from "../inputs/keyboard.js";
import { ClipError } from "../media/playlist.js";
import { Replay } from "../media/replay.js";

/** Seconds. */
const WINDOW = 300;
const TICK_MS = 1000;
/** What is kept by one press: seconds, and the key that does it where the model has no other use for it. */
const LENGTHS = /** @type {const} */ ([
  [5, "5"],
  [10, "1"],
  [30, "3"],
]);
/** Commands this close, in seconds, are one mark: a slider that is dragged gives thirty a second. */
const CLOSE = 1;
/** Narrower pages begin with it closed. */
const WIDE = "(min-width: 761px)";

/** When commands were given, in the window that the timeline shows. */
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
   * @returns {boolean} whether it is a new mark
   */
  add(now) {
    if (now - (this.#times.at(-1) ?? -Infinity) < CLOSE) return false;
    this.#times.push(now);
    return true;
  }

  /**
   * @param {number} now seconds
   * @returns {number[]} how long ago each was, as a share of the window, oldest first; older ones are forgotten
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
  /** A clip that was kept is on the stage. @type {HTMLVideoElement | null} */
  #preview = null;
  /** The server records, and can be asked now. */
  #isOffered = false;
  /** It did in this session: a connection that is lost for a moment does not move the page. */
  #isThere = false;
  #isOpen = window.matchMedia(WIDE).matches;
  #timer = 0;
  /** Seconds of our clock at the first picture; NaN: none yet. */
  #began = NaN;

  #recorded = element("div", { class: "recorded" });
  /** @type {HTMLElement[]} */
  #dots = [];
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
  #place = element("span", { class: "place" });
  #still = element("button", { type: "button", hidden: true, onclick: () => this.#pause() });
  #live = element(
    "button",
    { type: "button", hidden: true, title: "Back to live (Escape)", onclick: () => this.#return() },
    "Back to live",
  );
  #keeps = element("div", { class: "keeps", role: "group", "aria-label": "Keep" });
  #fault = element("p", { class: "complaint", role: "alert" });

  /**
   * @param {import("./model-view.js").ModelView} view
   * @param {HTMLElement} root
   * @param {HTMLButtonElement} toggle
   */
  constructor(view, root, toggle) {
    this.#view = view;
    this.#root = root;
    this.#toggle = toggle;
    this.#keeps.append(
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
      element("div", { class: "line-of-time" }, this.#keeps, track, this.#place, this.#still, this.#live),
      this.#clips.list,
      this.#fault,
    );
    this.#listen();
    this.show();
  }

  /** How things stand has changed. */
  show() {
    if (!this.#view.isUnderWay) this.#end();
    this.#isOffered = this.#view.isRecorded;
    this.#isThere = this.#isOffered || (this.#isThere && this.#view.isUnderWay);
    this.#toggle.hidden = !this.#isThere && this.#clips.count === 0;
    this.#toggle.setAttribute("aria-expanded", String(this.#isOpen));
    this.#root.hidden = this.#toggle.hidden || !this.#isOpen;
    for (const each of [...this.#keeps.querySelectorAll("button"), this.#slider]) each.disabled = !this.#isOffered;
    this.#beat();
    this.#draw();
  }

  #listen() {
    const { client, stage } = this.#view;
    this.#view.changed.listen(() => this.show());
    this.#toggle.addEventListener("click", () => {
      this.#isOpen = !this.#isOpen;
      if (!this.#isOpen) this.#return();
      this.show();
    });
    stage.pictured.listen(() => {
      if (Number.isNaN(this.#began)) this.#began = seconds();
      this.#draw();
    });
    client.traffic.listen(({ way }) => {
      if (way === "out" && this.#marks.add(seconds())) this.#draw();
    });
    client.session.opened.listen(({ isNew }) => isNew && this.#end());
    this.#clips.failed.listen((error) => this.#complain(error));
    this.#clips.picked.listen((video) => this.#look(video));
    this.#clips.removed.listen((video) => video && video === this.#preview && this.#return());
    this.#clips.changed.listen(() => this.show());
    document.addEventListener("visibilitychange", () => this.#beat());
    window.addEventListener("keydown", (event) => this.#press(event));
  }

  /** The session is over, or another one. */
  #end() {
    this.#began = NaN;
    this.#marks.clear();
    if (this.#replay) this.#return();
  }

  // --- keeping -----------------------------------------------------------------------------------------------------

  /** @param {number | null} length seconds; null: all of it */
  #keep(length) {
    this.#fault.textContent = "";
    if (this.#clips.count >= MAX_CLIPS) {
      this.#fault.textContent = `You can keep up to ${MAX_CLIPS} clips. Remove one first.`;
      return;
    }
    const time = new Date().toTimeString().slice(0, 8);
    const title = length === null ? `Everything until ${time}` : `Last ${length} s at ${time}`;
    const name = (this.#view.title || "clip").replaceAll(/[^\p{L}\p{N}_-]+/gu, "-");
    const file = `${name}-${length === null ? "all" : `${length}s`}-${time.replaceAll(":", "")}.mp4`;
    void this.#clips.add(title, file, (signal, tell) => this.#view.clips.keep(length, signal, tell));
  }

  /** @param {HTMLVideoElement} video of a clip */
  #look(video) {
    this.#return();
    this.#preview = video;
    this.#view.stage.screen(video);
    this.#draw();
  }

  // --- looking back --------------------------------------------------------------------------------------------------

  #drag() {
    const ago = -this.#slider.valueAsNumber;
    if (ago <= 0) return this.#return();
    this.#fault.textContent = "";
    if (this.#replay) {
      this.#replay.video.pause();
      this.#replay.seek(ago);
    } else this.#begin(ago);
  }

  /** @param {number} ago seconds */
  #begin(ago) {
    this.#return();
    if (!("MediaSource" in window)) return this.#complain(new ClipError("PLAYBACK_UNSUPPORTED"));
    const replay = new Replay(this.#view.clips, ago);
    this.#replay = replay;
    replay.moved.listen(() => {
      // Until then the live picture is better than none.
      if (replay.hasPicture && !replay.video.isConnected) this.#view.stage.screen(replay.video);
      this.#draw();
    });
    replay.failed.listen((error) => {
      this.#return();
      this.#complain(error);
    });
    this.#draw();
  }

  #release() {
    void this.#replay?.video.play().catch(() => {}); // closed, or moved on, before it began
  }

  #pause() {
    const video = this.#replay?.video;
    if (video?.paused) this.#release();
    else video?.pause();
  }

  /** To the pictures that are made now. */
  #return() {
    const hadFocus = document.activeElement === this.#live || document.activeElement === this.#still;
    this.#replay?.close();
    this.#replay = this.#preview = null;
    this.#view.stage.screen(null);
    this.#draw();
    if (hadFocus) this.#slider.focus();
  }

  // --- what is seen --------------------------------------------------------------------------------------------------

  #draw() {
    if (this.#root.hidden) return;
    const now = seconds();
    const length = this.#replay?.length ?? NaN;
    if (!Number.isNaN(length)) this.#began = now - length;
    const recorded = Number.isNaN(this.#began) ? 0 : Math.min(1, (now - this.#began) / WINDOW);
    this.#recorded.style.width = `${100 * recorded}%`;
    const seen = this.#marks.seen(now);
    while (this.#dots.length > seen.length) this.#dots.pop()?.remove();
    while (this.#dots.length < seen.length) {
      const dot = element("i");
      this.#dots.push(dot);
      this.#ribbon.append(dot);
    }
    this.#dots.forEach((dot, at) => (dot.style.right = `${100 * (seen[at] ?? 0)}%`));
    this.#tell();
  }

  #tell() {
    const replay = this.#replay;
    const ago = replay ? Math.min(WINDOW, Math.max(1, replay.ago)) : 0;
    if (!this.#slider.matches(":active")) this.#slider.value = String(-ago);
    const words = replay ? `${inWords(ago)} ago` : this.#isThere ? "Live" : "";
    this.#slider.setAttribute("aria-valuetext", words);
    const isComing = replay !== null && !replay.video.isConnected;
    this.#place.textContent = this.#preview ? "Clip" : isComing ? "Loading…" : words;
    this.#live.hidden = !replay && !this.#preview;
    this.#live.textContent = this.#isThere ? "Back to live" : "Close";
    this.#still.hidden = !replay;
    this.#still.textContent = replay?.video.paused ? "Play" : "Pause";
    this.#root.classList.toggle("back", replay !== null);
  }

  /** Once a second, while there is somebody who sees it. */
  #beat() {
    const isWanted = !this.#root.hidden && this.#isThere && !document.hidden;
    if (isWanted && !this.#timer) this.#timer = setInterval(() => this.#draw(), TICK_MS);
    if (isWanted || !this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  /** @param {unknown} error */
  #complain(error) {
    this.#fault.textContent = explainClip(error);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.repeat || isForOthers(event, event.key.toLowerCase())) return;
    if (event.key === "Escape" && !this.#live.hidden) return this.#return();
    const length = LENGTHS.find(([, key]) => key === event.key)?.[0];
    if (length !== undefined && this.#isOffered && this.#isOpen) this.#keep(length);
  }
}

function seconds() {
  return performance.now() / 1000;
}
