/** The keyboard: which bound key goes down and up, and when it is not meant for the model. */

import { Emitter } from "../shared/emitter.js";

/** @typedef {{key: string, code: string}} Stroke */

/**
 * The name of a key as bindings write it. A letter or digit that is not bound is taken by its place on the keyboard, so
 * that WASD works under other layouts and scripts too.
 * @param {Stroke} stroke
 * @param {(name: string) => boolean} isBound
 * @returns {string | null} null: not bound
 */
export function keyName({ key, code }, isBound) {
  const name = key === " " ? "space" : key.toLowerCase();
  if (isBound(name)) return name;
  const place = /^(?:Key|Digit)(.)$/.exec(code)?.[1]?.toLowerCase();
  return place !== undefined && isBound(place) ? place : null;
}

/** Which keys are down, by where they are: a key's name may change while it is held (w, then W). Pure. */
export class Down {
  /** @type {Map<string, string>} */
  #names = new Map();

  /**
   * @param {string} code
   * @param {string} name
   * @returns {boolean} whether it was up: false for auto-repeat and for the other shift
   */
  press(code, name) {
    const isNew = ![...this.#names.values()].includes(name);
    this.#names.set(code, name);
    return isNew;
  }

  /**
   * @param {string} code
   * @returns {string | null} the name of the key that is up now
   */
  lift(code) {
    const name = this.#names.get(code);
    if (name === undefined) return null;
    this.#names.delete(code);
    return [...this.#names.values()].includes(name) ? null : name;
  }

  clear() {
    this.#names.clear();
  }
}

const ARROWS = ["arrowup", "arrowdown", "arrowleft", "arrowright", "home", "end", "pageup", "pagedown"];
const PRESSES = ["space", "enter"];
/** What an element does with keys itself. @type {readonly (readonly [string, readonly string[] | "all"])[]} */
const OWN_KEYS = [
  ["input:is([type=range], [type=radio])", [...ARROWS, ...PRESSES]],
  ["input:is([type=checkbox], [type=button], [type=submit], [type=file], [type=color])", PRESSES],
  ["input, textarea, select, [contenteditable]", "all"],
  ["button, a, summary", PRESSES],
  [".drawer", ARROWS],
];

/**
 * Whether a key is meant for something else: a shortcut of the browser, letters while typing, arrows on a slider, space
 * on a button.
 * @param {KeyboardEvent} event
 * @param {string} name
 */
export function isForOthers(event, name) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return true;
  if (document.querySelector("dialog[open]")) return true;
  const [target] = event.composedPath();
  if (!(target instanceof Element)) return false;
  const [, keys] = OWN_KEYS.find(([selector]) => target.closest(selector)) ?? [];
  return keys === "all" || (keys?.includes(name) ?? false);
}

/** @param {KeyboardEvent} event */
function leaveField(event) {
  const [target] = event.composedPath();
  if (target instanceof HTMLElement && target.matches("input, textarea, select")) target.blur();
}

export class Keyboard {
  /** @type {Emitter<{key: string, down: boolean}>} */
  moved = new Emitter();
  /** @type {Emitter<void>} nobody can tell any more which keys are down */
  left = new Emitter();

  #isBound;
  #down = new Down();

  /**
   * @param {EventTarget} keyTarget where keys are heard going down; coming up they are heard everywhere
   * @param {(name: string) => boolean} isBound whether the model takes a key now
   * @param {AbortSignal} closing
   */
  constructor(keyTarget, isBound, closing) {
    this.#isBound = isBound;
    const life = { signal: closing };
    keyTarget.addEventListener("keydown", (event) => this.#press(/** @type {KeyboardEvent} */ (event)), life);
    window.addEventListener("keyup", ({ code }) => this.#lift(code), life);
    window.addEventListener("blur", () => this.clear(), life);
    window.addEventListener("pagehide", () => this.clear(), life);
    document.addEventListener("visibilitychange", () => document.hidden && this.clear(), life);
  }

  /** All keys count as up until they are pressed again. */
  clear() {
    this.#down.clear();
    this.left.emit();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    // macOS tells of no key that comes up while Command is down.
    if (event.key === "Meta") return this.clear();
    // Out of the field, back to the model.
    if (event.key === "Escape" && !event.isComposing) leaveField(event);
    const name = keyName(event, this.#isBound);
    if (name === null || isForOthers(event, name)) return;
    // Or arrows and space would scroll the page.
    event.preventDefault();
    if (!event.repeat && this.#down.press(event.code, name)) this.moved.emit({ key: name, down: true });
  }

  /** @param {string} code */
  #lift(code) {
    const key = this.#down.lift(code);
    if (key !== null) this.moved.emit({ key, down: false });
  }
}
