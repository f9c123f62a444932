/** The keyboard: presses and releases of bound keys, except keys that are meant for the page or the browser. */

import { Emitter } from "../shared/emitter.js";

/** @typedef {{key: string, code: string}} Stroke */

/**
 * Return the name of a key as bindings write it. An unbound letter or digit is taken by its position on the keyboard,
 * so that WASD works with other layouts and scripts.
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

/** The pressed keys, by position: the name of a key may change while it is held (w, then W). Pure. */
export class PressedKeys {
  /** @type {Map<string, string>} */
  #names = new Map();

  /**
   * @param {string} code
   * @param {string} name
   * @returns {boolean} whether it was released before: false for auto-repeat and for a second Shift key
   */
  press(code, name) {
    const isNew = ![...this.#names.values()].includes(name);
    this.#names.set(code, name);
    return isNew;
  }

  /**
   * @param {string} code
   * @returns {string | null} the name of the released key
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
/** Keys that an element handles itself. @type {readonly (readonly [string, readonly string[] | "all"])[]} */
const OWN_KEYS = [
  ["input:is([type=range], [type=radio])", [...ARROWS, ...PRESSES]],
  ["input:is([type=checkbox], [type=button], [type=submit], [type=file], [type=color])", PRESSES],
  ["input, textarea, select, [contenteditable]", "all"],
  ["button, a, summary", PRESSES],
  [".drawer", ARROWS],
];

/**
 * Return whether a key is not for the model: a shortcut of the browser, letters while typing, arrows on a slider, space
 * on a button.
 * @param {KeyboardEvent} event
 * @param {string} name
 */
export function isForPage(event, name) {
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
  /** @type {Emitter<void>} all keys count as released */
  released = new Emitter();

  #isBound;
  #down = new PressedKeys();

  /**
   * @param {EventTarget} keyTarget receives presses; releases are received everywhere
   * @param {(name: string) => boolean} isBound returns whether the model takes a key now
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

  /** Count all keys as released until they are pressed again. */
  clear() {
    this.#down.clear();
    this.released.emit();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    // macOS reports no releases while Command is down.
    if (event.key === "Meta") return this.clear();
    // Escape leaves a field, and the keys are for the model again.
    if (event.key === "Escape" && !event.isComposing) leaveField(event);
    const name = keyName(event, this.#isBound);
    if (name === null || isForPage(event, name)) return;
    // Otherwise arrows and space would scroll the page.
    event.preventDefault();
    if (!event.repeat && this.#down.press(event.code, name)) this.moved.emit({ key: name, down: true });
  }

  /** @param {string} code */
  #lift(code) {
    const key = this.#down.lift(code);
    if (key !== null) this.moved.emit({ key, down: false });
  }
}
