/**
 * `<livereactor-view>`: the stage of a model as an element of any page. Attributes: `url` of the server (where this
 * file came from, if not given), `model`, `token`, and `controls` where the panel is to stand beside it.
 *
 * It owns one session at most, of its own, which ends with it. An element that is moved, or taken out and put back at
 * once, keeps its session; one that is put back later begins a new one if it had one.
 */

import { Credential } from "../client/credentials.js";
import { element } from "../shared/dom.js";
import { Http } from "../client/http.js";
import { CoordinatorLobby, RuntimeLobby } from "./lobby.js";
import { findServer } from "../client/server.js";
import { ModelView } from "./model-view.js";
import { STATUS, ViewStore } from "./view-store.js";
import { explain } from "../words/problems.js";
import { firstLine, sentence } from "../shared/text.js";

/** @typedef {import("./stage.js").Card} Card */
/** @typedef {import("./view-store.js").ViewError} ViewError */

const HERE = new URL("../..", import.meta.url);
/** Frameworks take elements out and put them back within a turn; what takes longer was meant. */
const GRACE_MS = 500;
const IDLE = ["idle", "failed", "ended"];
const SHEETS = ["tokens", "inputs", "stage", "panel", "play", "base", "view"];
/** @type {Promise<CSSStyleSheet[]> | null} of all elements: read once */
let sheets = null;

export class LivereactorView extends HTMLElement {
  static observedAttributes = ["url", "model", "token", "controls"];

  store = new ViewStore({
    connect: () => this.#connect(),
    disconnect: () => this.#disconnect(),
    reconnect: () => (this.#isWanted && this.#visit ? this.#visit.view.client.reconnect() : this.#connect()),
  });

  /** @type {Visit | null} null: on no page */
  #visit = null;
  /** A session is wanted as soon as there is a server. */
  #isWanted = false;
  #leaving = 0;

  constructor() {
    super();
    this.attachShadow({ mode: "open" });
  }

  connectedCallback() {
    clearTimeout(this.#leaving);
    this.#visit ??= this.#begin();
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
    if (before === now || !this.#visit) return;
    if (name === "token") this.#visit.show(now ?? "");
    else if (name === "controls") this.#visit.panel.hidden = now === null;
    else {
      this.#leave();
      this.connectedCallback();
    }
  }

  #begin() {
    const place = {
      url: addressed(this.getAttribute("url")),
      model: this.getAttribute("model") ?? "",
      token: this.getAttribute("token") ?? "",
      controls: this.hasAttribute("controls"),
    };
    const visit = new Visit(/** @type {ShadowRoot} */ (this.shadowRoot), place, {
      wanted: () => this.#isWanted,
      changed: (now) => this.#tell(now),
      failed: (error) => this.dispatchEvent(new CustomEvent("error", { detail: error })),
    });
    const { client, clips } = visit.view;
    this.store.attach(client, clips);
    client.status.listen(({ state }) => {
      // A press of the start card's button counts as much as a call.
      if (this.#visit === visit) this.#isWanted = !IDLE.includes(state);
    });
    client.traffic.listen(({ way, type, data }) => {
      if (way === "in") this.dispatchEvent(new CustomEvent("message", { detail: { type, data } }));
    });
    return visit;
  }

  /** For good, or until it is put on a page again. */
  #leave() {
    const visit = this.#visit;
    this.#visit = null;
    visit?.close();
    this.store.attach(null);
    if (visit) this.#tell(visit.snapshot);
  }

  #connect() {
    this.#isWanted = true;
    const client = this.#visit?.view.client;
    if (client && this.#visit?.view.server && IDLE.includes(client.state)) client.start();
  }

  #disconnect() {
    this.#isWanted = false;
    this.#visit?.view.client.stop();
  }

  /** @param {import("./view-store.js").Snapshot} snapshot */
  #tell(snapshot) {
    const before = this.store.getSnapshot();
    this.store.tell(snapshot);
    const now = this.store.getSnapshot();
    if (now !== before) this.dispatchEvent(new CustomEvent("change", { detail: now }));
  }
}

/** One time on a page: a ModelView in the element's shadow, from a server, of a model. */
class Visit {
  view;
  panel;
  #root;
  #http;
  #place;
  #shown;
  #says;
  #closing = new AbortController();
  #stop = element("button", { type: "button", class: "stop", hidden: true }, "Stop");
  #title = element("h2", { class: "name" });
  #text = element("p", { class: "hint" });
  /** Why the server has not answered yet. */
  #silence = "";
  /** Why it wants a token, or another one: its sentence. */
  #denied = "";
  /** @type {ViewError | null} */
  #error = null;
  /** @type {Map<string, MediaStreamTrack>} by output */
  #media = new Map();

  /**
   * @param {ShadowRoot} root
   * @param {{url: URL, model: string, token: string, controls: boolean}} place
   * @param {{wanted: () => boolean, changed: (now: import("./view-store.js").Snapshot) => void,
   *   failed: (error: ViewError) => void}} says
   */
  constructor(root, place, says) {
    this.#root = root;
    this.#place = place;
    this.#says = says;
    this.#shown = new Credential(place.token);
    this.#http = new Http(place.url, this.#shown);
    const header = element("header", {}, this.#title, this.#text);
    const parts = {
      stage: element("section", { class: "stage covered", "aria-label": "Stage", tabIndex: 0 }),
      inputs: element("div", { class: "inputs" }),
      controls: element("fieldset", { class: "controls", disabled: true }),
    };
    this.panel = element("section", { class: "panel", "aria-label": "Controls" }, header, parts.inputs, parts.controls);
    const roots = { ...parts, panel: this.panel };
    this.panel.hidden = !place.controls;
    // Until its looks are there nothing is to be seen of it.
    const whole = element("div", { class: "view", hidden: true }, roots.stage, this.panel);
    root.replaceChildren(whole);
    void dress(root, whole);
    // Keys are the model's while its stage has the focus; else they are the page's.
    const before = (/** @type {"idle" | "failed"} */ state) => this.#before(state);
    this.view = new ModelView(this.#http, this.#shown, roots, { before, keyTarget: roots.stage });
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

  /** Another token: what runs goes on by it, and what was refused is tried again. @param {string} token */
  show(token) {
    const wasDenied = this.#denied !== "";
    this.#shown.kept = { ...this.#shown.kept, shown: token };
    this.#denied = "";
    this.view.lobby?.again();
    if (wasDenied && this.view.client.state === "failed") this.view.client.start();
    else this.view.look();
    this.view.show();
  }

  close() {
    this.#closing.abort();
    this.view.close();
    this.#root.replaceChildren();
  }

  async #find() {
    const { url, model } = this.#place;
    const tell = (/** @type {string} */ trouble) => {
      if (!this.#silence) this.#fail({ code: "unreachable", title: "Cannot reach the server", text: trouble });
      this.#silence = trouble;
      this.view.show();
    };
    const server = await findServer(this.#http, null, tell, this.#closing.signal).catch(() => null);
    if (server === null) return;
    /** @type {RuntimeLobby | CoordinatorLobby} */
    let lobby;
    if (server.kind === "runtime") lobby = new RuntimeLobby(server, url.host);
    else lobby = new CoordinatorLobby(server, url.host, { allowed: () => this.#shown.models, only: model });
    if (server.kind === "coordinator") server.model = model;
    lobby.denied.listen((reason) => this.#deny(reason));
    this.view.setServer(server, lobby);
    if (this.#says.wanted()) this.view.client.start();
  }

  #listen() {
    const { client } = this.view;
    const { signal } = this.#closing;
    this.view.changed.listen(() => {
      this.#stop.hidden = !this.view.isUnderWay;
      this.#says.changed(this.snapshot);
    });
    this.view.described.listen(() => {
      this.#title.textContent = this.view.title;
      this.#text.textContent = this.view.text;
    });
    client.received.listen(({ name, media }) => {
      this.#media.set(name, media);
      this.#says.changed(this.snapshot);
    });
    client.status.listen(({ state, problem }) => {
      if (problem?.kind === "unauthorized") this.#deny(problem.detail);
      else if (problem && !(state === "ended" && this.view.isCalm)) this.#fail(this.#worded(problem));
      else if (state === "starting" || state === "ready") this.#error = null;
      if (IDLE.includes(state)) this.#media.clear();
    });
    this.#stop.addEventListener("click", () => client.stop());
    // Nobody comes back to it: a page that is loaded again has another element. What is not ours to end is left.
    const leave = () => client.session.abandon() || client.leavePage(false);
    window.addEventListener("pagehide", ({ persisted }) => persisted || leave(), { signal });
  }

  /**
   * @param {"idle" | "failed"} state
   * @returns {Card | null}
   */
  #before(state) {
    if (this.#denied) return { ...this.#refusal(), bad: true };
    if (state !== "idle") return null;
    const title = this.view.title || this.#place.model || "livereactor";
    const start = () => this.view.client.start();
    return this.view.lobby?.card(title, firstLine(this.view.text), start) ?? { title, text: this.#silence, busy: true };
  }

  /** @param {string} reason the server's sentence */
  #deny(reason) {
    this.#denied = reason;
    this.#fail({ code: "unauthorized", ...this.#refusal() });
    this.view.show();
  }

  #refusal() {
    const { title } = this.#worded({ kind: "unauthorized", detail: "" });
    const next = "The author of this page must set the attribute “token” of the element.";
    return { title, text: this.#place.token ? `${sentence(this.#denied)} ${next}` : next };
  }

  /**
   * @param {import("../client/connection-machine.js").Problem} problem
   * @returns {ViewError}
   */
  #worded(problem) {
    const kind = this.view.server?.kind ?? "coordinator";
    const { watching } = this.#shown;
    const code = problem.kind === "ended" ? problem.detail : problem.kind;
    return { code, ...explain(problem, { address: this.#place.url.host, kind, watching }) };
  }

  /** @param {ViewError} error */
  #fail(error) {
    this.#error = error;
    this.#says.changed(this.snapshot);
    this.#says.failed(error);
  }
}

/** @param {string | null} given @returns {URL} of a folder */
function addressed(given) {
  const url = given ? new URL(given, document.baseURI) : new URL(HERE);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

/**
 * Its looks, by sheets made here: a page's own rules and its policy for styles do not touch them.
 * @param {ShadowRoot} root
 * @param {HTMLElement} whole
 */
async function dress(root, whole) {
  sheets ??= Promise.all(SHEETS.map(readSheet));
  try {
    root.adoptedStyleSheets = await sheets;
  } catch {
    sheets = null; // asked again by the next; without looks it still works
  }
  whole.hidden = false;
}

/** @param {string} name */
async function readSheet(name) {
  const answer = await fetch(new URL(`css/${name}.css`, HERE));
  return new CSSStyleSheet().replace(await answer.text());
}
