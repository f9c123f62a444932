/** Before a session: what there is to start, how soon it is there, and what stands in the way. */

import { Refused, Unreachable } from "../client/http.js";
import { stateOf } from "./gallery.js";
import { Emitter } from "../shared/emitter.js";
import { firstLine, sentence } from "../shared/text.js";

/** @typedef {import("./stage.js").Card} Card */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */

const SOON_MS = 1000;
/** Who waits in front of models that nobody starts need not know of every worker at once. */
const LATER_MS = 5000;
/** Nothing in the way. */
const FREE = { text: "", progress: /** @type {number | null} */ (null) };
const UNKNOWN = "Controls appear here after a worker for this model has started.";
const NOT_FOR_IT = "Your token does not grant access to this model.";

/** What both kinds have: it looks until it is told to stop, and tells what it saw. */
class Lobby {
  /** @type {Emitter<void>} what `card` says has changed */
  changed = new Emitter();
  /** @type {Emitter<JsonObject>} the schema of the model that would be started */
  described = new Emitter();
  /** @type {Emitter<string>} the server wants a token or a key; its sentence */
  denied = new Emitter();
  /** Why there is no schema; "" = there is one. */
  hint = "";

  #isWatching = false;
  #wake = () => {};

  /** @param {() => boolean} isWanted asked after every look */
  async watch(isWanted) {
    if (this.#isWatching) return;
    this.#isWatching = true;
    do {
      const delay = await this.look();
      this.changed.emit();
      if (delay === null) break;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, delay);
        this.#wake = () => (clearTimeout(timer), resolve(undefined));
      });
    } while (isWanted());
    this.#isWatching = false;
  }

  /** Something is different on our side: look at once. */
  again() {
    this.#wake();
  }

  /** @returns {Promise<number | null>} milliseconds until the next look; null: what is known stays */
  async look() {
    return null;
  }
}

export class RuntimeLobby extends Lobby {
  #runtime;
  #address;
  #isThere = false;
  /** Why it is not there yet. */
  loading = FREE;

  /**
   * @param {import("../client/runtime.js").Runtime} runtime
   * @param {string} address
   */
  constructor(runtime, address) {
    super();
    this.#runtime = runtime;
    this.#address = address;
  }

  /**
   * @param {string} title
   * @param {string} line what the model does
   * @param {() => void} start
   * @returns {Card}
   */
  card(title, line, start) {
    if (!this.#isThere) return { title, ...this.loading, busy: true };
    return { title, text: line, action: { label: "Start", run: start } };
  }

  /** @override */
  async look() {
    this.loading = await this.#hindrance();
    this.#isThere = this.loading === FREE;
    return this.#isThere ? null : SOON_MS;
  }

  async #hindrance() {
    try {
      const { state, detail, progress } = await this.#runtime.health();
      if (state === "loading") {
        const percent = typeof progress === "number" ? `, ${Math.round(progress * 100)}%` : "";
        return { text: `Loading the model${percent}${detail ? `: ${detail}` : ""}`, progress: progress ?? null };
      }
      if (state === "terminated") {
        const text = detail || "the model failed to load; its terminal shows why";
        return { text: sentence(text), progress: null };
      }
      this.described.emit(await this.#runtime.schema());
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.denied.emit(error.reason);
      else return { text: trouble(error, this.#address, "Start the server again with “livereactor run”"), progress: null };
    }
    return FREE;
  }
}

export class CoordinatorLobby extends Lobby {
  #coordinator;
  #address;
  #link;
  #allowed;
  #gallery;
  #only;
  /** Of all that is served here. @type {string[]} */
  #names = [];
  /** @type {import("../client/coordinator.js").Model[] | null} null: not read yet */
  #models = null;
  #trouble = "";
  #described = "";
  #hasCheckedAccess = false;
  loading = FREE;

  /**
   * @param {import("../client/coordinator.js").Coordinator} coordinator its `model` is the one that was chosen before
   * @param {string} address
   * @param {{link?: boolean, allowed: () => string[] | null, gallery?: import("./gallery.js").Gallery, only?: string}}
   *   place `link`: it is for one session that is there; `allowed`: the models that may be started, null: any;
   *   `gallery`: where one is chosen; `only`: the one that the place is for
   */
  constructor(coordinator, address, { link = false, allowed, gallery, only = "" }) {
    super();
    this.#coordinator = coordinator;
    this.#address = address;
    this.#link = link;
    this.#allowed = allowed;
    this.#gallery = gallery ?? null;
    this.#only = only;
  }

  /**
   * @param {string} title
   * @param {string} _line
   * @param {() => void} start
   * @returns {Card}
   */
  card(title, _line, start) {
    if (this.#models === null) return { title, text: this.#trouble, busy: true };
    if (this.#link) return { title, action: { label: "Join", run: start } };
    const allowed = this.#allowed();
    if (this.#only && this.#names.length && !this.#names.includes(this.#only)) {
      return { title: `This server has no model “${this.#only}”`, text: `Available models: ${this.#names.join(", ")}.` };
    }
    if (this.#models.length === 0 && allowed !== null) {
      const text = `It is for ${allowed.join(", ") || "no model"}. Ask the person who gave it to you for another token.`;
      return { title: "Your token does not grant access to any model here", text };
    }
    if (this.#models.length === 0) {
      const text = "Pass a model to “livereactor serve”, or connect a worker from another machine.";
      return { title: "This server has no models yet", text, busy: true };
    }
    const chosen = this.#chosen();
    if (chosen) return this.#startCard(chosen, start);
    if (this.#gallery) return { title: "Choose a model", body: this.#gallery.root };
    return { title: "No model selected", text: `Set the attribute “model” to one of these: ${this.#names.join(", ")}.` };
  }

  /** @override */
  async look() {
    try {
      const models = await this.#coordinator.models();
      const allowed = this.#allowed();
      const mayBe = (/** @type {string} */ name) => (allowed?.includes(name) ?? true) && (this.#only || name) === name;
      this.#names = models.map(({ name }) => name);
      this.#models = models.filter(({ name }) => mayBe(name));
      this.#trouble = "";
      const [only, ...others] = this.#models;
      if (!this.#chosen()) this.#coordinator.model = others.length ? "" : (only?.name ?? "");
      this.#gallery?.show(this.#models);
      if (only && others.length) await this.#checkAccess(only.name);
      await this.#describe();
    } catch (error) {
      this.#models = null;
      this.#trouble = trouble(error, this.#address, "Start the server again");
      return SOON_MS;
    }
    return this.#models.some(({ state }) => state === "starting") ? SOON_MS : LATER_MS;
  }

  /** Whether there are several to choose from. */
  get isChoice() {
    return this.#gallery !== null && !this.#link && (this.#models?.length ?? 0) > 1;
  }

  /** @param {string} model "" = back to the choice */
  choose(model) {
    this.#coordinator.model = model;
    this.changed.emit();
    // What is not read yet is looked at anyhow.
    if (this.#models !== null) void this.#describe().catch(() => this.again());
  }

  /** @override */
  again() {
    this.#described = "";
    this.#hasCheckedAccess = false;
    super.again();
  }

  /**
   * @param {import("../client/coordinator.js").Model} model
   * @param {() => void} start
   * @returns {Card}
   */
  #startCard(model, start) {
    const isFailed = model.state === "failed";
    const soon = stateOf(model) === "ready" ? "" : stateOf(model);
    const why = isFailed ? (model.text ?? "no worker for it is connected") : soon;
    const text = [firstLine(model.description), why && sentence(why)].filter(Boolean).join("\n");
    const body = this.#gallery?.picture(model);
    return { title: model.name, text, body, ...(isFailed ? {} : { action: { label: "Start", run: start } }) };
  }

  #chosen() {
    return this.#models?.find(({ name }) => name === this.#coordinator.model);
  }

  /**
   * Names are for everybody: whether whoever is here is let in should be known before a model is chosen.
   * @param {string} model any
   */
  async #checkAccess(model) {
    if (this.#hasCheckedAccess || this.#link) return;
    try {
      await this.#coordinator.schema(model);
    } catch (error) {
      if (!(error instanceof Refused) || ![401, 403].includes(error.status)) throw error;
      if (error.status === 401) this.denied.emit(error.reason);
    }
    this.#hasCheckedAccess = true;
  }

  /** Once for a model, or again while its schema is not known. */
  async #describe() {
    const { model } = this.#coordinator;
    if (this.#link || !model || model === this.#described) return;
    const about = { title: model, description: this.#chosen()?.description ?? "" };
    try {
      const schema = await this.#coordinator.schema(model);
      if (model !== this.#coordinator.model) return;
      this.#described = "paths" in schema ? model : "";
      this.hint = "paths" in schema ? "" : UNKNOWN;
      this.described.emit("paths" in schema ? schema : { info: about });
    } catch (error) {
      if (!(error instanceof Refused) || ![401, 403].includes(error.status)) throw error;
      // The same would be refused again.
      this.#described = model;
      if (error.status === 401) return this.denied.emit(error.reason);
      this.hint = NOT_FOR_IT;
      this.described.emit({ info: about });
    }
  }
}

/**
 * @param {unknown} error
 * @param {string} address
 * @param {string} remedy
 */
function trouble(error, address, remedy) {
  if (!(error instanceof Unreachable)) return sentence(error instanceof Error ? error.message : String(error));
  return `No response from ${address}. ${remedy}. This page continues by itself.`;
}
