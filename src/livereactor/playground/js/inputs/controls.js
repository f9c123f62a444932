/** The controls, made from the model's schema: a parameter is an editor, a command a button or a form. */

import { boundIn } from "./bindings.js";
import { CommandRefused } from "../client/pending-requests.js";
import { element } from "../shared/dom.js";
import { caps, editor } from "./fields.js";
import { readSchema } from "./schema.js";
import { Emitter } from "../shared/emitter.js";
import { readable, sentence } from "../shared/text.js";

/** @typedef {import("../shared/json.js").JsonValue} JsonValue */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {import("./fields.js").Editor} Editor */
/** @typedef {import("./schema.js").Command} Command */
/** @typedef {import("./schema.js").Model["parameters"][number]} Parameter */
/** @typedef {import("../client/wire.js").UploadReference} UploadReference */
/** @typedef {{data: JsonObject, uploads: Record<string, File>}} Arguments */
/** What became of a command that a person gave: `fault` empty: it was taken; `isPlaced`: it is said beside its field.
 * @typedef {{fault: string, isPlaced: boolean}} Outcome */

export class Controls {
  /** @type {Emitter<void>} for another schema, or for a new session */
  drawn = new Emitter();

  #client;
  #root;
  /** @type {Map<string, JsonValue>} */
  #accepted = new Map();
  /** @type {JsonObject} */
  #document = {};
  #hint = "";
  /** @type {Command | null} which command a touch of the picture gives */
  #pointer = null;
  /** @type {Map<string, Editor[]>} */
  #forms = new Map();
  /** @type {Map<string, {field: string, editor: Editor}>} by the command that sets them */
  #parameters = new Map();
  /** @type {import("./bindings.js").Bound[]} */
  #bound = [];

  /**
   * @param {import("../client/client.js").Client} client
   * @param {HTMLElement} root
   */
  constructor(client, root) {
    this.#client = client;
    this.#root = root;
    client.schema.listen((document) => this.show(document));
    client.traffic.listen(({ way, type, data }) => {
      if (way === "in" && type.endsWith("_set")) this.#follow(/** @type {JsonObject} */ (data));
    });
  }

  /** The command that a touch of the picture gives, if the model has one. */
  get pointer() {
    return this.#pointer;
  }

  /** What has keys or a place on the gamepad. */
  get bound() {
    return this.#bound;
  }

  /** What the model accepted in this session, by parameter. */
  get accepted() {
    return this.#accepted;
  }

  /** @param {[string, JsonValue][]} values what the model had accepted before the page was loaded again */
  restore(values) {
    for (const [field, value] of values) this.#accepted.set(field, value);
    this.#draw();
  }

  /** A new session: every parameter is back at its default. */
  reset() {
    this.#accepted.clear();
    this.#draw();
  }

  /**
   * @param {JsonObject} document the schema; drawn anew only where it differs from the one on screen
   * @param {string} [hint] what is said instead, where it is not known
   */
  show(document, hint = "") {
    if (JSON.stringify(document) === JSON.stringify(this.#document) && hint === this.#hint) return;
    this.#document = document;
    this.#hint = hint;
    this.#draw();
  }

  /**
   * A touch of the picture: the pointer command with this place and the other arguments as they stand in its form.
   * @param {number} x 0..1
   * @param {number} y 0..1
   * @returns {Promise<string>} why it had no effect; empty: it had
   */
  async touch(x, y) {
    if (!this.#pointer) return "";
    const editors = this.#forms.get(this.#pointer.name) ?? [];
    this.#place(editors, this.#pointer, { x, y });
    return (await this.#send(this.#pointer, editors)).fault;
  }

  /**
   * A hand on a key or a stick sets a parameter.
   * @param {string} name of its command
   * @param {number | boolean} value
   * @returns {Promise<string>} why it had no effect; empty: it had
   */
  async push(name, value) {
    const parameter = this.#parameters.get(name);
    if (!parameter) return "";
    parameter.editor.write(value);
    return this.#set(name, parameter.field, value, parameter.editor);
  }

  /**
   * A key or button gives a command as it is.
   * @param {string} name
   * @returns {Promise<string>} why it had no effect; empty: it had
   */
  async press(name) {
    return this.#client.command(name).then(() => "", inWords);
  }

  /**
   * The model has set parameters itself: a message that is called `…_set` tells them by their names. What a person is
   * about to enter stays.
   * @param {JsonObject} told
   */
  #follow(told) {
    for (const { field, editor } of this.#parameters.values()) {
      const value = told[field];
      if (value === undefined) continue;
      this.#accepted.set(field, value);
      if (!editor.isHeld()) editor.write(value);
    }
  }

  #draw() {
    const model = readSchema(this.#document);
    this.#forms.clear();
    this.#parameters.clear();
    this.#bound = boundIn(model);
    const buttons = model.commands.filter(({ fields }) => fields.length === 0);
    const forms = model.commands.filter(({ fields }) => fields.length > 0);
    this.#pointer = forms.find(({ pointer }) => pointer) ?? null;
    const isPlayed = (/** @type {Parameter} */ { name }) => this.#bound.some((bound) => bound.name === name);
    const parts = [
      this.#parameterGroup("Parameters", model.parameters.filter((parameter) => !isPlayed(parameter))),
      buttons.length
        ? section("Actions", element("div", { class: "buttons" }, ...buttons.map((command) => this.#button(command))))
        : null,
      ...forms.map((command) => this.#form(command)),
      // Last: hands are on the keys, and what they cannot reach is wanted first.
      this.#parameterGroup("Keyboard controls", model.parameters.filter(isPlayed)),
    ];
    this.#root.replaceChildren(...parts.filter((part) => part !== null));
    if (!this.#root.hasChildNodes())
      this.#root.append(element("p", { class: "hint" }, this.#hint || "This model accepts no commands."));
    this.drawn.emit();
  }

  /**
   * @param {string} title
   * @param {Parameter[]} parameters
   */
  #parameterGroup(title, parameters) {
    return parameters.length ? section(title, ...parameters.map((each) => this.#parameter(each))) : null;
  }

  /** @param {Parameter} parameter */
  #parameter({ name, field, description }) {
    let running = false;
    let again = false;
    // While one value is on its way only the newest waits behind it: a slider never queues up its own past.
    const send = async () => {
      const entered = made.read();
      if (entered.bad || entered.value === undefined) return;
      if (running) return void (again = true);
      running = true;
      if (!(await this.#set(name, field.name, entered.value, made))) made.confirm();
      running = false;
      if (again) void ((again = false), send());
    };
    // A runtime that has no words for a parameter says "Set speed.", which the label says too.
    const about = field.description || (/^(set|trigger) /i.test(description) ? "" : description);
    const made = editor({ ...field, description: about }, { changed: () => void send() });
    this.#parameters.set(name, { field: field.name, editor: made });
    const known = this.#accepted.get(field.name);
    if (known !== undefined) made.write(known);
    return made.root;
  }

  /**
   * @param {string} command
   * @param {string} field
   * @param {JsonValue | File} value
   * @param {Editor} made
   * @returns {Promise<string>} what is wrong, which is said beside it too
   */
  async #set(command, field, value, made) {
    try {
      const isFile = value instanceof File;
      const sent = await this.#resolve({
        data: isFile ? {} : { [field]: value },
        uploads: isFile ? { [field]: value } : {},
      });
      const reply = await this.#client.command(command, sent.data, sent.uploads);
      made.complain("");
      if (value instanceof File) return "";
      // The model's own word, where it gives one: it may have rounded or clamped.
      const accepted = reply?.data[field] ?? value;
      if (accepted !== value) made.write(accepted);
      this.#accepted.set(field, accepted);
      return "";
    } catch (error) {
      const words = inWords(error);
      made.complain(besides(words, command, field) ?? words);
      return words;
    }
  }

  /** @param {Command} command */
  #button(command) {
    const complaint = element("p", { class: "complaint", role: "alert" });
    const button = element(
      "button",
      { type: "button", title: command.description },
      readable(command.name),
      caps(command.binding),
    );
    button.addEventListener("click", async () => {
      complaint.textContent = "";
      complaint.textContent = await this.press(command.name);
    });
    return element("div", { class: "action" }, button, complaint);
  }

  /** @param {Command} command */
  #form(command) {
    const entered = () => form.requestSubmit();
    const editors = command.fields.map((field) => editor(field, { changed: () => {}, entered }));
    this.#forms.set(command.name, editors);
    const send = element("button", { type: "submit" }, readable(command.name), caps(command.binding));
    const complaint = element("p", { class: "complaint", role: "alert" });
    const tip = command.pointer ? element("p", { class: "hint tip" }, "Or click or tap the video.") : null;
    const form = element(
      "form",
      { class: "command", noValidate: true },
      ...editors.map(({ root }) => root),
      element("div", { class: "send" }, send, tip),
      complaint,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      complaint.textContent = "";
      const { fault, isPlaced } = await this.#send(command, editors);
      complaint.textContent = isPlaced ? "" : fault;
    });
    const summary = command.description ? element("p", { class: "hint" }, command.description) : null;
    return section(readable(command.name), summary, form);
  }

  /**
   * @param {Command} command
   * @param {Editor[]} editors
   * @returns {Promise<Outcome>}
   */
  async #send(command, editors) {
    const entered = this.#collect(command, editors);
    if (!entered) return { fault: `Fill in the other fields of “${readable(command.name)}” first.`, isPlaced: true };
    try {
      const { data, uploads } = await this.#resolve(entered);
      await this.#client.command(command.name, data, uploads);
      return { fault: "", isPlaced: false };
    } catch (error) {
      const words = inWords(error);
      const at = command.fields.findIndex(({ name }) => besides(words, command.name, name) !== null);
      const name = command.fields[at]?.name ?? "";
      editors[at]?.complain(besides(words, command.name, name) ?? words);
      return { fault: words, isPlaced: at >= 0 };
    }
  }

  /**
   * @param {Command} command
   * @param {Editor[]} editors
   * @returns {Arguments | null} null: something is not fit to send, and says so beside its field
   */
  #collect(command, editors) {
    /** @type {Arguments} */
    const collected = { data: {}, uploads: {} };
    let fit = true;
    command.fields.forEach(({ name }, index) => {
      const entered = /** @type {Editor} */ (editors[index]).read();
      if (entered.bad) fit = false;
      else if (entered.value instanceof File) collected.uploads[name] = entered.value;
      else if (entered.value !== undefined) collected.data[name] = entered.value;
    });
    return fit ? collected : null;
  }

  /**
   * @param {Arguments} entered
   * @returns {Promise<{data: JsonObject, uploads: Record<string, UploadReference>}>}
   */
  async #resolve({ data, uploads }) {
    const references = await Promise.all(
      Object.entries(uploads).map(async ([name, file]) => [name, await this.#client.upload(file)]),
    );
    return { data, uploads: Object.fromEntries(references) };
  }

  /**
   * @param {Editor[]} editors
   * @param {Command} command
   * @param {Record<string, number>} values
   */
  #place(editors, command, values) {
    command.fields.forEach(({ name }, index) => {
      const value = values[name];
      if (value !== undefined) editors[index]?.write(Math.round(value * 1000) / 1000);
    });
  }
}

/**
 * @param {string} title
 * @param {...(Node | null)} children
 */
function section(title, ...children) {
  return element("section", { class: "group" }, element("h2", {}, title), ...children);
}

/**
 * What a sentence of the server says where it stands beside its field. It names the field it is about, as
 * `command.field: …` or `command.field.within[1]: …`.
 * @param {string} words
 * @param {string} command
 * @param {string} field
 * @returns {string | null} null: it is about another field, or about none
 */
function besides(words, command, field) {
  const about = words.charAt(0).toLowerCase() + words.slice(1);
  const rest = [`${command}.${field}`, field].find((prefix) => about.startsWith(prefix));
  if (rest === undefined || !/^[:.[]/.test(about.slice(rest.length))) return null;
  const within = about.slice(rest.length);
  return sentence(within.startsWith(":") ? within.slice(1) : field + within);
}

/** @param {unknown} error */
function inWords(error) {
  if (error instanceof CommandRefused || error instanceof Error) return sentence(error.message);
  return String(error);
}
