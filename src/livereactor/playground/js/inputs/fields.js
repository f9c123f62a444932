/** An editor for one argument: input, validation, and the reply of the model beside it. */

import { element } from "../shared/dom.js";
import { readable } from "../shared/text.js";
import { keySign } from "./bindings.js";
import { fault } from "./schema.js";

/** @typedef {import("../shared/json.js").JsonValue} JsonValue */
/** @typedef {import("./schema.js").Field} Field */
/**
 * An editor. `read` returns the value, a `File`, or undefined for nothing; for an invalid value it shows why beside the
 * field and returns `{bad: true}`. `write` sets a value without an event. `isHeld`: the user is changing it.
 * @typedef {{root: HTMLElement, read: () => {bad: true} | {bad: false, value: JsonValue | File | undefined},
 *   write: (value: JsonValue) => void, complain: (text: string) => void, confirm: () => void,
 *   isHeld: () => boolean}} Editor
 */
/** @typedef {{root: HTMLElement, get: () => JsonValue | File | undefined, set: (value: JsonValue) => void}} Input */

/** Number of choices up to which they are chips; more choices are a drop-down list. */
const MAX_CHIPS = 5;
const PROMPT_HISTORY = 50;
/** Sent prompts by name of the field, oldest first. @type {Map<string, string[]>} */
const prompts = new Map();
let made = 0;

/**
 * Create an editor.
 * @param {Field} field
 * @param {{changed: () => void, entered?: () => void}} options callbacks for a changed value, and
 *   for Enter in a text
 * @returns {Editor}
 */
export function editor(field, { changed, entered = changed }) {
  const id = `field-${++made}`;
  const complaint = element("p", { class: "complaint", id: `${id}-complaint`, role: "alert" });
  const hint = element("p", { class: "hint", id: `${id}-hint` }, field.description);
  const input = INPUTS[field.kind](field, id, field.kind === "text" ? entered : changed);
  const name = element("label", { class: "name", for: id, id: `${id}-label` }, readable(field.name), caps(field.binding));
  const root = element("div", { class: `field field-${field.kind}` }, name, input.root, hint, complaint);
  hint.hidden = !field.description;
  const complain = (/** @type {string} */ text) => {
    complaint.textContent = text;
    root.classList.toggle("bad", text !== "");
  };
  const read = () => {
    const value = input.get();
    const text =
      value instanceof File
        ? ""
        : Number.isNaN(value)
          ? "must be a number"
          : value === BAD_JSON
            ? "must be valid JSON"
            : fault(field, value);
    complain(text);
    return text ? /** @type {const} */ ({ bad: true }) : /** @type {const} */ ({ bad: false, value });
  };
  const confirm = () => {
    // Removed and added again, to restart the animation.
    root.classList.remove("accepted");
    void root.offsetWidth;
    root.classList.add("accepted");
  };
  if (field.value !== undefined) input.set(field.value);
  const isHeld = () => root.querySelector(":active, textarea:focus, .number:focus") !== null;
  return { root, read, write: input.set, complain, confirm, isHeld };
}

/**
 * Draw the keys of a binding beside its name, hidden from screen readers.
 * @param {import("./schema.js").Binding | null} binding
 */
export function caps(binding) {
  const keys = (binding?.keys ?? []).map((key) => element("kbd", {}, keySign(key)));
  return keys.length ? element("span", { class: "caps", "aria-hidden": "true" }, ...keys) : null;
}

/** The value that `get` returns for invalid JSON; it cannot be entered. */
const BAD_JSON = "\u0000not JSON";

/** @type {Record<import("./schema.js").FieldKind, (field: Field, id: string, changed: () => void) => Input>} */
const INPUTS = { switch: toggle, choice, number, text, color, file, json };

/**
 * @param {Field} _field
 * @param {string} id
 * @param {() => void} changed
 * @returns {Input}
 */
function toggle(_field, id, changed) {
  const box = element("input", {
    type: "checkbox",
    role: "switch",
    id,
    class: "switch",
    onchange: changed,
    "aria-describedby": `${id}-hint`,
  });
  return { root: box, get: () => box.checked, set: (value) => (box.checked = value === true) };
}

/**
 * @param {Field} field
 * @param {string} id
 * @param {() => void} changed
 * @returns {Input}
 */
function choice(field, id, changed) {
  const options = field.nullable ? [...field.options, null] : field.options;
  const words = options.map((option) => (option === null ? "none" : String(option)));
  const same = (/** @type {JsonValue} */ value) =>
    options.findIndex((option) => JSON.stringify(option) === JSON.stringify(value));
  if (options.length > MAX_CHIPS) {
    const list = element("select", { id, onchange: changed }, ...words.map((word) => element("option", {}, word)));
    // A focused list would take the letter keys; after a choice by mouse they are for the model again.
    let byMouse = false;
    list.addEventListener("pointerdown", () => (byMouse = true));
    list.addEventListener("keydown", () => (byMouse = false));
    list.addEventListener("change", () => byMouse && list.blur());
    return { root: list, get: () => options[list.selectedIndex], set: (value) => (list.selectedIndex = same(value)) };
  }
  const radios = words.map(() => element("input", { type: "radio", name: id, onchange: changed }));
  const chips = radios.map((radio, index) => element("label", { class: "chip" }, radio, words[index]));
  const root = element("div", { class: "chips", role: "radiogroup", id, "aria-labelledby": `${id}-label` }, ...chips);
  return {
    root,
    get: () => options[radios.findIndex((radio) => radio.checked)],
    set: (value) => radios.forEach((radio, index) => (radio.checked = index === same(value))),
  };
}

/**
 * @param {Field} field
 * @param {string} id
 * @param {() => void} changed
 * @returns {Input}
 */
function number(field, id, changed) {
  const low = field.minimum ?? field.above;
  const high = field.maximum ?? field.below;
  const span = low !== undefined && high !== undefined ? high - low : 0;
  const step = field.step ?? (field.integer ? 1 : span ? stepFor(span) : 0.1);
  const box = element("input", {
    type: "text",
    inputMode: "decimal",
    id,
    class: "number",
    autocomplete: "off",
    placeholder: field.nullable ? "none" : "",
    "aria-describedby": `${id}-hint ${id}-complaint`,
  });
  /** @type {HTMLInputElement | null} */
  let slider = null;
  const get = () =>
    box.value.trim() === "" ? (field.nullable ? null : undefined) : Number(box.value.replace(",", "."));
  const set = (/** @type {JsonValue} */ value) => {
    box.value = value === null ? "" : String(value);
    if (slider && value !== null) slider.value = String(value);
  };
  box.addEventListener("change", () => {
    if (slider) slider.value = String(get());
    changed();
  });
  box.addEventListener("keydown", (event) => {
    const by = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    const value = get();
    if (!by || typeof value !== "number" || Number.isNaN(value)) return;
    event.preventDefault();
    // Twelve digits hide binary fractions: 0.1 + 0.2 shows as 0.3.
    const next = Number((value + by * step).toPrecision(12));
    set(Math.min(high ?? Infinity, Math.max(low ?? -Infinity, next)));
    changed();
  });
  const root = element("div", { class: "number-row" }, box);
  if (low !== undefined && high !== undefined) {
    slider = element("input", {
      type: "range",
      min: String(low),
      max: String(high),
      step: String(step),
      "aria-labelledby": `${id}-label`,
    });
    const range = slider;
    range.value = String((low + high) / 2);
    // `Number` hides binary fractions of the browser: 0.30000000000000004 shows as 0.3.
    range.addEventListener("input", () => {
      box.value = String(Number(range.value));
      changed();
    });
    root.prepend(range);
  }
  return { root, get, set };
}

/**
 * Return the step of a slider: 100 to 1000 steps, in powers of ten.
 * @param {number} span
 */
function stepFor(span) {
  return span > 0 ? 10 ** Math.floor(Math.log10(span / 100)) : 1;
}

/**
 * Create a prompt field: Enter sends it, and the arrow keys browse what was sent.
 * @param {Field} field
 * @param {string} id
 * @param {() => void} changed
 * @returns {Input}
 */
function text(field, id, changed) {
  const box = element("textarea", {
    id,
    rows: 2,
    spellcheck: false,
    placeholder: "Press Enter to send",
    enterKeyHint: "send",
    "aria-describedby": `${id}-hint ${id}-complaint`,
  });
  // The history outlives the editor, for the next session.
  const history = prompts.get(field.name) ?? [];
  prompts.set(field.name, history);
  let at = history.length;
  const browse = (/** @type {number} */ by) => {
    const next = Math.min(history.length, Math.max(0, at + by));
    if (next === at) return;
    at = next;
    box.value = history[at] ?? "";
  };
  box.addEventListener("keydown", (event) => {
    const oneLine = !box.value.includes("\n");
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      if (history.at(-1) !== box.value) history.push(box.value);
      if (history.length > PROMPT_HISTORY) history.shift();
      at = history.length;
      changed();
    } else if (event.key === "ArrowUp" && oneLine) browse(-1);
    else if (event.key === "ArrowDown" && oneLine) browse(+1);
    else return;
    event.preventDefault();
  });
  const get = () => (box.value === "" && field.nullable ? null : box.value);
  return { root: box, get, set: (value) => (box.value = value === null ? "" : String(value)) };
}

/**
 * @param {Field} _field
 * @param {string} id
 * @param {() => void} changed
 * @returns {Input}
 */
function color(_field, id, changed) {
  const box = element("input", { type: "color", id, oninput: changed, "aria-describedby": `${id}-hint` });
  return { root: box, get: () => box.value, set: (value) => (box.value = String(value)) };
}

/**
 * @param {Field} _field
 * @param {string} id
 * @param {() => void} changed
 * @returns {Input}
 */
function file(_field, id, changed) {
  const box = element("input", {
    type: "file",
    id,
    onchange: changed,
    "aria-describedby": `${id}-hint ${id}-complaint`,
  });
  const root = element("div", { class: "drop" }, box, element("p", { class: "hint" }, "Or drop a file here."));
  root.addEventListener("dragover", (event) => {
    event.preventDefault();
    root.classList.add("over");
  });
  root.addEventListener("dragleave", () => root.classList.remove("over"));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("over");
    if (!event.dataTransfer?.files.length) return;
    box.files = event.dataTransfer.files;
    changed();
  });
  return { root, get: () => box.files?.[0], set: () => (box.value = "") };
}

/**
 * Create a JSON field for lists, mappings and values of any type.
 * @param {Field} field
 * @param {string} id
 * @param {() => void} changed
 * @returns {Input}
 */
function json(field, id, changed) {
  const box = element("textarea", {
    id,
    rows: 2,
    class: "code",
    spellcheck: false,
    placeholder: field.example || "JSON",
    onchange: changed,
    "aria-describedby": `${id}-hint ${id}-complaint`,
  });
  const get = () => {
    if (box.value.trim() === "") return field.nullable ? null : undefined;
    try {
      return /** @type {JsonValue} */ (JSON.parse(box.value));
    } catch {
      return BAD_JSON;
    }
  };
  return { root: box, get, set: (value) => (box.value = JSON.stringify(value)) };
}
