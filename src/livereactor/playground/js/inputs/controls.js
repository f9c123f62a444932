/** The controls of a model, built from its schema: an editor for a parameter, a button or a form for a command. */

import { CommandRefused } from "../client/pending-requests.js";
import { element } from "../shared/dom.js";
import { Emitter } from "../shared/emitter.js";
import { readable, sentence } from "../shared/text.js";
import { boundIn } from "./bindings.js";
import { caps, editor } from "./fields.js";
import { readSchema } from "./schema.js";

/** @typedef {import("../shared/json.js").JsonValue} JsonValue */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {import("./fields.js").Editor} Editor */
/** @typedef {import("./schema.js").Command} Command */
/** @typedef {import("./schema.js").Model["parameters"][number]} Parameter */
/** @typedef {import("../client/wire.js").UploadReference} UploadReference */
/** @typedef {{data: JsonObject, uploads: Record<string, File>}} Arguments */
/**
 * The result of a command. `fault`: why it was refused, empty if it was accepted; `isPlaced`: shown beside its field.
 * @typedef {{fault: string, isPlaced: boolean}} Outcome
 */

export class Controls {
  /** @type {Emitter<void>} the controls were drawn anew */
  drawn = new Emitter();

  #client;
  #root;
  /** @type {Map<string, JsonValue>} */
  #accepted = new Map();
  /** @type {JsonObject} */
  #document = {};
  #hint = "";
  /** @type {Command | null} the command that a pointer on the video sends */
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
      if (way === "in" && type.endsWith("_set")) this.#showReported(/** @type {JsonObject} */ (data));
    });
  }

  /** The command that a pointer on the video sends; null if the model has none. */
  get pointer() {
    return this.#pointer;
  }

  /** The bindings to keys and gamepad controls. */
  get bound() {
    return this.#bound;
  }

  /** The values that the model accepted in this session, by parameter. */
  get accepted() {
    return this.#accepted;
  }

  /** Restore accepted values after a reload. @param {[string, JsonValue][]} values */
  restore(values) {
    for (const [field, value] of values) this.#accepted.set(field, value);
    this.#draw();
  }

  /** Reset every parameter to its default, for a new session. */
  reset() {
    this.#accepted.clear();
    this.#draw();
  }

  /**
   * Draw the controls of a schema, if it differs from the one on screen.
   * @param {JsonObject} document
   * @param {string} [hint] shown instead of controls if the schema is unknown
   */
  show(document, hint = "") {
    if (JSON.stringify(document) === JSON.stringify(this.#document) && hint === this.#hint) return;
    this.#document = document;
    this.#hint = hint;
    this.#draw();
  }

  /**
   * Send the pointer command with a position and the other values of its form.
   * @param {number} x 0..1
   * @param {number} y 0..1
   * @returns {Promise<string>} why it was refused; empty if it was accepted
   */
  async touch(x, y) {
    if (!this.#pointer) return "";
    const editors = this.#forms.get(this.#pointer.name) ?? [];
    this.#fillIn(editors, this.#pointer, { x, y });
    return (await this.#send(this.#pointer, editors)).fault;
  }

  /**
   * Set a parameter from a key, stick or gamepad.
   * @param {string} name of its command
   * @param {number | boolean} value
   * @returns {Promise<string>} why it was refused; empty if it was accepted
   */
  async push(name, value) {
    const parameter = this.#parameters.get(name);
    if (!parameter) return "";
    parameter.editor.write(value);
    return this.#set(name, parameter.field, value, parameter.editor);
  }

  /**
   * Send a command without arguments.
   * @param {string} name
   * @returns {Promise<string>} why it was refused; empty if it was accepted
   */
  async press(name) {
    return this.#client.command(name).then(() => "", messageOf);
  }

  /**
   * Show parameters that the model set itself and reported in a message named `…_set`. A field that the user is
   * changing keeps its value.
   * @param {JsonObject} reported
   */
  #showReported(reported) {
    for (const { field, editor } of this.#parameters.values()) {
      const value = reported[field];
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
      // Last: these have keys, while the others need the panel.
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
    // While a value is being sent, only the newest waits: a slider must not queue up old values.
    const send = async () => {
      const entered = made.read();
      if (entered.bad || entered.value === undefined) return;
      if (running) return void (again = true);
      running = true;
      if (!(await this.#set(name, field.name, entered.value, made))) made.confirm();
      running = false;
      if (again) void ((again = false), send());
    };
    // Runtimes describe a parameter without a text as "Set speed.", which repeats the label.
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
   * @returns {Promise<string>} what is wrong, which the field shows as well
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
      // The model may have rounded or clamped the value.
      const accepted = reply?.data[field] ?? value;
      if (accepted !== value) made.write(accepted);
      this.#accepted.set(field, accepted);
      return "";
    } catch (error) {
      const words = messageOf(error);
      made.complain(forField(words, command, field) ?? words);
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
      const words = messageOf(error);
      const at = command.fields.findIndex(({ name }) => forField(words, command.name, name) !== null);
      const name = command.fields[at]?.name ?? "";
      editors[at]?.complain(forField(words, command.name, name) ?? words);
      return { fault: words, isPlaced: at >= 0 };
    }
  }

  /**
   * @param {Command} command
   * @param {Editor[]} editors
   * @returns {Arguments | null} null: a field is invalid and shows why
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
  #fillIn(editors, command, values) {
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
 * Shorten a sentence of the server for the field that it names as `command.field: …` or
 * `command.field.within[1]: …`.
 * @param {string} words
 * @param {string} command
 * @param {string} field
 * @returns {string | null} null: the sentence names another field, or none
 */
function forField(words, command, field) {
  const about = words.charAt(0).toLowerCase() + words.slice(1);
  const rest = [`${command}.${field}`, field].find((prefix) => about.startsWith(prefix));
  if (rest === undefined || !/^[:.[]/.test(about.slice(rest.length))) return null;
  const within = about.slice(rest.length);
  return sentence(within.startsWith(":") ? within.slice(1) : field + within);
}

/** @param {unknown} error */
function messageOf(error) {
  if (error instanceof CommandRefused || error instanceof Error) return sentence(error.message);
  return String(error);
}
