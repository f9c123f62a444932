/**
 * `<livereactor-view>`: the stage of a model as an element of any page. Attributes: `url` of the server (by default the
 * one that served this file), `model`, `token`, and `controls` to show the panel beside the stage.
 *
 * An element owns at most one session, which ends with it. An element that is moved, or removed and inserted again at
 * once, keeps its session; one that is inserted later starts a new session if it had one.
 */

import { Credential } from "../client/credentials.js";
import { Http } from "../client/http.js";
import { findServer } from "../client/server.js";
import { element } from "../shared/dom.js";
import { firstLine, sentence } from "../shared/text.js";
import { explain } from "../words/problems.js";
import { CoordinatorLobby, RuntimeLobby } from "./lobby.js";
import { ModelView } from "./model-view.js";
import { STATUS, ViewStore } from "./view-store.js";

/** @typedef {import("./stage.js").Card} Card */
/** @typedef {import("./view-store.js").ViewError} ViewError */

const HERE = new URL("../..", import.meta.url);
/** Milliseconds. Frameworks remove elements and insert them again at once; a longer absence is meant. */
const GRACE_MS = 500;
const IDLE = ["idle", "failed", "ended"];
const SHEETS = ["tokens", "inputs", "stage", "panel", "play", "base", "view"];
/** @type {Promise<CSSStyleSheet[]> | null} shared by all elements, loaded once */
let sheets = null;

export class LivereactorView extends HTMLElement {
  static observedAttributes = ["url", "model", "token", "controls"];

  store = new ViewStore({
    connect: () => this.#connect(),
    disconnect: () => this.#disconnect(),
    reconnect: () => (this.#isWanted && this.#content ? this.#content.view.client.reconnect() : this.#connect()),
  });

  /** @type {ElementContent | null} null: the element is not attached */
  #content = null;
  /** Whether a session is to start as soon as the server is known. */
  #isWanted = false;
  #leaving = 0;

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
  }

  connectedCallback() {
    clearTimeout(this.#leaving);
    this.#content ??= this.#begin();
  }

  disconnectedCallback() {
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => this.#leave(), GRACE_MS);
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} now
   */
  attributeChangedCallback(name, before, now) {
    if (before === now || !this.#content) return;
    if (name === "token") this.#content.show(now ?? "");
    else if (name === "controls") this.#content.panel.hidden = now === null;
    else {
      this.#leave();
      this.connectedCallback();
    }
  }

  #begin() {
    const place = {
      url: folderAddress(this.getAttribute("url")),
      model: this.getAttribute("model") ?? "",
      token: this.getAttribute("token") ?? "",
      controls: this.hasAttribute("controls"),
    };
    const content = new ElementContent(/** @type {ShadowRoot} */ (this.shadowRoot), place, {
      wanted: () => this.#isWanted,
      changed: (now) => this.#update(now),
      failed: (error) => this.dispatchEvent(new CustomEvent("error", { detail: error })),
    });
    const { client, clips } = content.view;
    this.store.attach(client, clips);
    client.status.listen(({ state }) => {
      // The Start button counts as much as a call of `connect`.
      if (this.#content === content) this.#isWanted = !IDLE.includes(state);
    });
    client.traffic.listen(({ way, type, data }) => {
      if (way === "in") this.dispatchEvent(new CustomEvent("message", { detail: { type, data } }));
    });
    return content;
  }

  /** Detach for good, or until the element is inserted again. */
  #leave() {
    const content = this.#content;
    this.#content = null;
    content?.close();
    this.store.attach(null);
    if (content) this.#update(content.snapshot);
  }

  #connect() {
    this.#isWanted = true;
    const client = this.#content?.view.client;
    if (client && this.#content?.view.server && IDLE.includes(client.state)) client.start();
  }

  #disconnect() {
    this.#isWanted = false;
    this.#content?.view.client.stop();
  }

  /** @param {import("./view-store.js").Snapshot} snapshot */
  #update(snapshot) {
    const before = this.store.getSnapshot();
    this.store.update(snapshot);
    const now = this.store.getSnapshot();
    if (now !== before) this.dispatchEvent(new CustomEvent("change", { detail: now }));
  }
}

/** The content of an attached element: a ModelView in its shadow. */
class ElementContent {
  view;
  panel;
  #root;
  #http;
  #place;
  #credential;
  #hooks;
  #closing = new AbortController();
  #stop = element("button", { type: "button", class: "stop", hidden: true }, "Stop");
  #title = element("h2", { class: "name" });
  #text = element("p", { class: "hint" });
  /** The reason why there is no server yet. */
  #trouble = "";
  /** The reason why the server requires another token. */
  #denied = "";
  /** @type {ViewError | null} */
  #error = null;
  /** @type {Map<string, MediaStreamTrack>} by output track */
  #media = new Map();

  /**
   * @param {ShadowRoot} root
   * @param {{url: URL, model: string, token: string, controls: boolean}} place
   * @param {{wanted: () => boolean, changed: (now: import("./view-store.js").Snapshot) => void,
   *   failed: (error: ViewError) => void}} hooks
   */
  constructor(root, place, hooks) {
    this.#root = root;
    this.#place = place;
    this.#hooks = hooks;
    this.#credential = new Credential(place.token);
    this.#http = new Http(place.url, this.#credential);
    const header = element("header", {}, this.#title, this.#text);
    const parts = {
      stage: element("section", { class: "stage covered", "aria-label": "Stage", tabIndex: 0 }),
      inputs: element("div", { class: "inputs" }),
      controls: element("fieldset", { class: "controls", disabled: true }),
    };
    this.panel = element("section", { class: "panel", "aria-label": "Controls" }, header, parts.inputs, parts.controls);
    const roots = { ...parts, panel: this.panel };
    this.panel.hidden = !place.controls;
    // Hidden until its style sheets are loaded.
    const container = element("div", { class: "view", hidden: true }, roots.stage, this.panel);
    root.replaceChildren(container);
    void adoptStyles(root, container);
    // The model gets the keys only while its stage has the focus.
    const cardBefore = (/** @type {"idle" | "failed"} */ state) => this.#cardBefore(state);
    this.view = new ModelView(this.#http, this.#credential, roots, { cardBefore, keyTarget: roots.stage });
    roots.stage.append(this.#stop);
    this.#listen();
    this.view.show();
    void this.#find();
  }

  /** @returns {import("./view-store.js").Snapshot} */
  get snapshot() {
    const { client } = this.view;
    const { session, state } = client;
    const isOpen = !IDLE.includes(state);
    return {
      status: STATUS[state],
      tracks: isOpen ? client.tracks.map((track) => ({ ...track, media: this.#media.get(track.name) ?? null })) : [],
      lastError: this.#error,
      sessionId: isOpen ? session.id : null,
      expiresAt: isOpen ? (session.descriptor?.expires_at ?? null) : null,
    };
  }

  /** Use another token: a running session continues, and a refused attempt is repeated. @param {string} token */
  show(token) {
    const wasDenied = this.#denied !== "";
    this.#credential.record = { ...this.#credential.record, shown: token };
    this.#denied = "";
    this.view.lobby?.pollNow();
    if (wasDenied && this.view.client.state === "failed") this.view.client.start();
    else this.view.watchLobby();
    this.view.show();
  }

  close() {
    this.#closing.abort();
    this.view.close();
    this.#root.replaceChildren();
  }

  async #find() {
    const { url, model } = this.#place;
    const onTrouble = (/** @type {string} */ trouble) => {
      if (!this.#trouble) this.#fail({ code: "unreachable", title: "Cannot reach the server", text: trouble });
      this.#trouble = trouble;
      this.view.show();
    };
    const server = await findServer(this.#http, null, onTrouble, this.#closing.signal).catch(() => null);
    if (server === null) return;
    /** @type {RuntimeLobby | CoordinatorLobby} */
    let lobby;
    if (server.kind === "runtime") lobby = new RuntimeLobby(server, url.host);
    else lobby = new CoordinatorLobby(server, url.host, { allowed: () => this.#credential.models, only: model });
    if (server.kind === "coordinator") server.model = model;
    lobby.denied.listen((reason) => this.#deny(reason));
    this.view.setServer(server, lobby);
    if (this.#hooks.wanted()) this.view.client.start();
  }

  #listen() {
    const { client } = this.view;
    const { signal } = this.#closing;
    this.view.changed.listen(() => {
      this.#stop.hidden = !this.view.isUnderWay;
      this.#hooks.changed(this.snapshot);
    });
    this.view.described.listen(() => {
      this.#title.textContent = this.view.title;
      this.#text.textContent = this.view.text;
    });
    client.received.listen(({ name, media }) => {
      this.#media.set(name, media);
      this.#hooks.changed(this.snapshot);
    });
    client.status.listen(({ state, problem }) => {
      if (problem?.kind === "unauthorized") this.#deny(problem.detail);
      else if (problem && !(state === "ended" && this.view.isRegularEnd)) this.#fail(this.#explain(problem));
      else if (state === "starting" || state === "ready") this.#error = null;
      if (IDLE.includes(state)) this.#media.clear();
    });
    this.#stop.addEventListener("click", () => client.stop());
    // A reloaded page has another element, so the session is ended, or left if the element does not own it.
    const leave = () => client.session.abandon() || client.leavePage(false);
    window.addEventListener("pagehide", ({ persisted }) => persisted || leave(), { signal });
  }

  /**
   * @param {"idle" | "failed"} state
   * @returns {Card | null}
   */
  #cardBefore(state) {
    if (this.#denied) return { ...this.#refusal(), bad: true };
    if (state !== "idle") return null;
    const title = this.view.title || this.#place.model || "livereactor";
    const start = () => this.view.client.start();
    return this.view.lobby?.card(title, firstLine(this.view.text), start) ?? { title, text: this.#trouble, busy: true };
  }

  /** @param {string} reason the server's sentence */
  #deny(reason) {
    this.#denied = reason;
    this.#fail({ code: "unauthorized", ...this.#refusal() });
    this.view.show();
  }

  #refusal() {
    const { title } = this.#explain({ kind: "unauthorized", detail: "" });
    const next = "The author of this page must set the attribute “token” of the element.";
    return { title, text: this.#place.token ? `${sentence(this.#denied)} ${next}` : next };
  }

  /**
   * @param {import("../client/connection-machine.js").Problem} problem
   * @returns {ViewError}
   */
  #explain(problem) {
    const kind = this.view.server?.kind ?? "coordinator";
    const { watching } = this.#credential;
    const code = problem.kind === "ended" ? problem.detail : problem.kind;
    return { code, ...explain(problem, { address: this.#place.url.host, kind, watching }) };
  }

  /** @param {ViewError} error */
  #fail(error) {
    this.#error = error;
    this.#hooks.changed(this.snapshot);
    this.#hooks.failed(error);
  }
}

/** @param {string | null} given @returns {URL} of a folder */
function folderAddress(given) {
  const url = given ? new URL(given, document.baseURI) : new URL(HERE);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/**
 * Apply the style sheets. They are constructed, so that the host page's rules and its style policy do not affect them.
 * @param {ShadowRoot} root
 * @param {HTMLElement} container
 */
async function adoptStyles(root, container) {
  sheets ??= Promise.all(SHEETS.map(readSheet));
  try {
    root.adoptedStyleSheets = await sheets;
  } catch {
    sheets = null; // loaded again by the next element; this one works without styles
  }
  container.hidden = false;
}

/** @param {string} name */
async function readSheet(name) {
  const answer = await fetch(new URL(`css/${name}.css`, HERE));
  return new CSSStyleSheet().replace(await answer.text());
}
