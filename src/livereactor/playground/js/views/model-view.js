/**
 * A running model: client, stage, controls and sources put together, with the cards shown over the video. The page is
 * one ModelView with a bar below and a gallery in front; `<livereactor-view>` is one alone.
 */

import { Client } from "../client/client.js";
import { Signalling } from "../client/signalling.js";
import { Controls } from "../inputs/controls.js";
import { PlayerInput } from "../inputs/player-input.js";
import { Sources } from "../inputs/sources.js";
import { Clips } from "../media/clips.js";
import { Emitter } from "../shared/emitter.js";
import { cardOf, isRegularEnd } from "./cards.js";
import { CoordinatorLobby, RuntimeLobby } from "./lobby.js";
import { Stage } from "./stage.js";

/** @typedef {import("./stage.js").Card} Card */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/**
 * The elements that a view draws into. `inputs`: for choosing sources; `panel`: scrolls `inputs` and `controls`.
 * @typedef {{stage: HTMLElement, controls: HTMLFieldSetElement, inputs: HTMLElement, panel: HTMLElement}} Roots
 */
/**
 * The hooks of a host page. `cardBefore`: the card before a session, and after a failure; null: the usual card.
 * `allModels`: the action that leads to other models, if there are any. `keyTarget`: receives the keys for the model;
 * the window by default.
 * @typedef {{cardBefore: (state: "idle" | "failed") => Card | null,
 *   allModels?: () => import("./stage.js").Action | undefined, keyTarget?: EventTarget}} Host
 */

/** States in which the session has a worker. @type {readonly string[]} */
const RUNNING = ["connecting", "ready", "lost", "reconnecting"];
/** States in which the lobby is watched: how loading goes, and which models there are. @type {readonly string[]} */
const BEFORE = ["idle", "starting", "failed", "ended"];
/** States in which nothing runs or connects. @type {readonly string[]} */
const AT_REST = ["idle", "queued", "failed", "ended"];
/** Milliseconds without a frame after which the page explains what that may mean. */
const NO_FRAME_MS = 5000;
/** Milliseconds before a hidden tab pauses its video; a short switch of tabs must not cost a new key frame. */
const HIDDEN_MS = 10_000;

export class ModelView {
  /** @type {Emitter<void>} anything that the view shows has changed */
  changed = new Emitter();
  /** @type {Emitter<JsonObject>} the schema of the running or chosen model */
  described = new Emitter();

  client;
  clips;
  stage;
  controls;
  sources;
  /** @type {import("../client/server.js").Server | null} null: it has not responded yet */
  server = null;
  /** @type {RuntimeLobby | CoordinatorLobby | null} */
  lobby = null;
  /** @type {import("../client/connection-machine.js").Problem | null} reason of the states lost, failed and ended */
  problem = null;
  /** Name and description of the model. */
  title = "";
  text = "";

  #http;
  #credentials;
  #roots;
  #play;
  #host;
  #closing = new AbortController();
  /** @type {import("../client/signalling.js").Descriptor | null} the session while it waits for a worker */
  #waiting = null;
  /** Whether the session ran before it waited. */
  #hadWorker = false;
  #isLate = false;
  #lateTimer = 0;
  #hiddenTimer = 0;
  /** The current card, as text. */
  #cardText = "";

  /**
   * @param {import("../client/http.js").Http} http
   * @param {import("../client/credentials.js").Credential} credentials
   * @param {Roots} roots
   * @param {Host} host
   */
  constructor(http, credentials, roots, host) {
    this.#http = http;
    this.#credentials = credentials;
    this.#roots = roots;
    this.#host = host;
    this.client = new Client(new Signalling(http));
    this.clips = new Clips(http, this.client);
    this.stage = new Stage(roots.stage);
    this.controls = new Controls(this.client, roots.controls);
    this.sources = new Sources(this.client, roots.inputs);
    const life = { keyTarget: host.keyTarget ?? window, closing: this.#closing.signal };
    this.#play = new PlayerInput(this.controls, this.stage.touched, roots.stage, life);
    const { client, stage, controls } = this;
    client.status.listen((status) => this.#moved(status));
    client.received.listen((track) => stage.add(track));
    client.schema.listen((document) => this.#describe(document));
    client.session.opened.listen(({ descriptor: { capabilities }, isNew }) => {
      if (isNew) {
        controls.reset();
        this.#play.forget();
      }
      this.sources.show(credentials.watching ? [] : (capabilities?.tracks ?? []));
    });
    client.session.described.listen((view) => {
      this.#waiting = view.capabilities ? null : view;
      this.show();
    });
    stage.firstFrame.listen(() => {
      this.#play.introduce();
      this.show();
    });
    const { signal } = this.#closing;
    document.addEventListener("visibilitychange", () => this.#onVisibility(), { signal });
    window.addEventListener("online", () => client.wake(), { signal });
  }

  /** Whether the session ended without an error. */
  get isRegularEnd() {
    return isRegularEnd(this.problem);
  }

  /** Whether a session starts, runs or reconnects. */
  get isUnderWay() {
    return !AT_REST.includes(this.client.state);
  }

  /** Whether the session is recorded and the credential allows clips. */
  get isRecorded() {
    const { state, session } = this.client;
    return state === "ready" && session.descriptor?.recording?.enabled === true && this.#credentials.mayRecord;
  }

  /** Whether the coordinator does not respond at the moment. */
  get isAway() {
    return this.server?.kind === "coordinator" && this.server.isAway;
  }

  /** Whether the page was opened by a share link. */
  get isJoining() {
    return this.#credentials.session !== null;
  }

  /**
   * @param {import("../client/server.js").Server} server
   * @param {RuntimeLobby | CoordinatorLobby} lobby
   */
  setServer(server, lobby) {
    this.server = server;
    this.lobby = lobby;
    this.client.session.setServer(server);
    if (server.kind === "coordinator") server.changed.listen(() => this.show());
    lobby.changed.listen(() => this.show());
    lobby.described.listen((document) => {
      this.#describe(document);
      this.controls.show(document, lobby.hint);
    });
    this.watchLobby();
  }

  /** Watch the models of the server for as long as nothing runs. */
  watchLobby() {
    const isWanted = () => BEFORE.includes(this.client.state) && !this.#closing.signal.aborted;
    void this.lobby?.watch(isWanted);
  }

  /** Close for good: end the session if this page owns it, and stop all requests. */
  close() {
    this.#closing.abort();
    clearTimeout(this.#hiddenTimer);
    this.client.stop();
    this.lobby?.pollNow();
  }

  /** Update the card and enable the controls that can be used now. */
  show() {
    const { client, stage } = this;
    const card = this.#card();
    // The same card is not drawn twice: a screen reader would read it twice, and a focused button would lose its focus.
    const text = JSON.stringify([card, card?.body?.className]);
    if (text !== this.#cardText) stage.showCard(card);
    this.#cardText = text;
    const mayCommand = client.state === "ready" && !this.#credentials.watching;
    const { controls, inputs, panel } = this.#roots;
    controls.disabled = !mayCommand;
    // Without a focusable element in it, the panel could not be scrolled by keys.
    panel.tabIndex = mayCommand || inputs.hasChildNodes() ? -1 : 0;
    this.#play.setLive(mayCommand);
    stage.touchable = mayCommand && this.controls.pointer !== null;
    this.#roots.stage.classList.toggle("touchable", stage.touchable);
    this.changed.emit();
  }

  #card() {
    const { client, server } = this;
    const { state } = client;
    const own = state === "idle" || state === "failed" ? this.#host.cardBefore(state) : null;
    if (own !== null) return own;
    const { watching } = this.#credentials;
    const viewState = {
      state,
      problem: this.problem,
      page: { address: this.#http.address, kind: server?.kind ?? "runtime", watching },
      isAway: this.isAway,
      owner: client.session.owner,
      isJoining: this.isJoining,
      waiting: this.#waiting,
      hadWorker: this.#hadWorker,
      loading: this.lobby?.loading ?? { text: "", progress: null },
      hasVideo: client.tracks.some(({ kind, direction }) => kind === "video" && direction === "recvonly"),
      hasFrame: this.stage.hasFrame,
      isLate: this.#isLate,
      wanting: this.sources.wanting && !watching,
    };
    const others = this.#host.allModels?.();
    return cardOf(viewState, { start: () => client.start(), stop: () => client.stop(), others });
  }

  /** @param {import("../client/client.js").Status} status */
  #moved({ state, problem }) {
    this.problem = problem ?? (state === "reconnecting" ? this.problem : null);
    clearTimeout(this.#lateTimer);
    this.#isLate = false;
    this.#hadWorker = state === "queued" ? this.#hadWorker : RUNNING.includes(state);
    if (state === "ready") this.#lateTimer = setTimeout(() => ((this.#isLate = true), this.show()), NO_FRAME_MS);
    if (state === "idle") this.controls.reset();
    if (!this.isUnderWay) {
      this.stage.clear();
      this.sources.stop();
    }
    if (BEFORE.includes(state)) this.watchLobby();
    this.show();
  }

  /** @param {JsonObject} document */
  #describe(document) {
    const info = /** @type {{title?: string, description?: string} | undefined} */ (
      /** @type {unknown} */ (document.info)
    );
    if (!info) return;
    this.title = info.title || "livereactor";
    this.text = info.description ?? "";
    this.described.emit(document);
    this.show();
  }

  #onVisibility() {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden) this.#hiddenTimer = setTimeout(() => this.#wantVideo(false), HIDDEN_MS);
    else {
      this.client.wake();
      this.#wantVideo(true);
    }
  }

  /** @param {boolean} wanted */
  #wantVideo(wanted) {
    for (const { name, kind, direction } of this.client.tracks) {
      if (kind === "video" && direction === "recvonly") this.client.want(name, wanted);
    }
  }
}
