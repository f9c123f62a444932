/** The lobby before a session: which models can be started, how soon, and what prevents it. */

import { Refused, Unreachable } from "../client/http.js";
import { Emitter } from "../shared/emitter.js";
import { firstLine, sentence } from "../shared/text.js";
import { stateOf } from "./gallery.js";

/** @typedef {import("./stage.js").Card} Card */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */

const SOON_MS = 1000;
/** Milliseconds between two looks while no model is starting. */
const LATER_MS = 5000;
/** The state of a model that can be started. */
const FREE = { text: "", progress: /** @type {number | null} */ (null) };
const UNKNOWN = "Controls appear here after a worker for this model has started.";
const NOT_FOR_IT = "Your token does not grant access to this model.";

/** The common part of both lobbies: poll the server until it is no longer needed, and report what changed. */
class Lobby {
  /** @type {Emitter<void>} the card has changed */
  changed = new Emitter();
  /** @type {Emitter<JsonObject>} the schema of the chosen model */
  described = new Emitter();
  /** @type {Emitter<string>} the server requires a credential; its sentence */
  denied = new Emitter();
  /** Reason why there is no schema; "" = there is one. */
  hint = "";

  #isWatching = false;
  #wake = () => {};

  /** Poll the server. @param {() => boolean} isWanted called after every poll */
  async watch(isWanted) {
    if (this.#isWatching) return;
    this.#isWatching = true;
    do {
      const delay = await this.poll();
      this.changed.emit();
      if (delay === null) break;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, delay);
        this.#wake = () => (clearTimeout(timer), resolve(undefined));
      });
    } while (isWanted());
    this.#isWatching = false;
  }

  /** Poll at once, as after a change of the credential. */
  pollNow() {
    this.#wake();
  }

  /** @returns {Promise<number | null>} milliseconds until the next poll; null: no further poll is needed */
  async poll() {
    return null;
  }
}

export class RuntimeLobby extends Lobby {
  #runtime;
  #address;
  #isThere = false;
  /** Reason why the model is not ready yet. */
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
  async poll() {
    this.loading = await this.#readLoading();
    this.#isThere = this.loading === FREE;
    return this.#isThere ? null : SOON_MS;
  }

  async #readLoading() {
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
      else return { text: explainTrouble(error, this.#address, "Start the server again with “livereactor run”"), progress: null };
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
  /** Names of all models of the server. @type {string[]} */
  #names = [];
  /** @type {import("../client/coordinator.js").Model[] | null} null: not read yet */
  #models = null;
  #trouble = "";
  #described = "";
  #hasCheckedAccess = false;
  loading = FREE;

  /**
   * @param {import("../client/coordinator.js").Coordinator} coordinator its `model` is the current choice
   * @param {string} address
   * @param {{link?: boolean, allowed: () => string[] | null, gallery?: import("./gallery.js").Gallery, only?: string}}
   *   place `link`: the page was opened by a share link; `allowed`: the models that the token grants, null: any;
   *   `gallery`: for choosing a model; `only`: the one model of an element
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
      const text = `It is valid for ${allowed.join(", ") || "no model"}. Ask the person who gave it to you for another token.`;
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
  async poll() {
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
      this.#trouble = explainTrouble(error, this.#address, "Start the server again");
      return SOON_MS;
    }
    return this.#models.some(({ state }) => state === "starting") ? SOON_MS : LATER_MS;
  }

  /** Whether there are several models to choose from. */
  get isChoice() {
    return this.#gallery !== null && !this.#link && (this.#models?.length ?? 0) > 1;
  }

  /** @param {string} model "" = back to the choice */
  choose(model) {
    this.#coordinator.model = model;
    this.changed.emit();
    // Models that are not read yet are described once they are.
    if (this.#models !== null) void this.#describe().catch(() => this.pollNow());
  }

  /** @override */
  pollNow() {
    this.#described = "";
    this.#hasCheckedAccess = false;
    super.pollNow();
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
    const body = this.#gallery?.preview(model);
    return { title: model.name, text, body, ...(isFailed ? {} : { action: { label: "Start", run: start } }) };
  }

  #chosen() {
    return this.#models?.find(({ name }) => name === this.#coordinator.model);
  }

  /**
   * Check the credential before a model is chosen: the list of models is public.
   * @param {string} model any model
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

  /** Read the schema of the chosen model, again and again while it is unknown. */
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
      // Another request would be refused as well.
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
function explainTrouble(error, address, remedy) {
  if (!(error instanceof Unreachable)) return sentence(error instanceof Error ? error.message : String(error));
  return `No response from ${address}. ${remedy}. This page continues by itself.`;
}
