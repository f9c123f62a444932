/**
 * A model on a stage: client, stage, controls and sources put together, and what is said over the picture. The page is
 * one of these with a bar below and a gallery in front; `<livereactor-view>` is one alone.
 */

import { cardOf, isCalm } from "./cards.js";
import { Client } from "../client/client.js";
import { Clips } from "../media/clips.js";
import { Controls } from "../inputs/controls.js";
import { CoordinatorLobby, RuntimeLobby } from "./lobby.js";
import { PlayerInput } from "../inputs/player-input.js";
import { Emitter } from "../shared/emitter.js";
import { Signalling } from "../client/signalling.js";
import { Sources } from "../inputs/sources.js";
import { Stage } from "./stage.js";

/** @typedef {import("./stage.js").Card} Card */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/**
 * `stage` and `controls` as the page's; `inputs` where sources are chosen; `panel` what scrolls both.
 * @typedef {{stage: HTMLElement, controls: HTMLFieldSetElement, inputs: HTMLElement, panel: HTMLElement}} Roots
 */
/**
 * What the place of a view says for itself. `before`: what is said in front of a session, and after a failure instead
 * of the usual; null: the usual. `others`: the way to another model, where there is one. `keyTarget`: where keys for the
 * model are heard; the whole window unless said.
 * @typedef {{before: (state: "idle" | "failed") => Card | null, others?: () => import("./stage.js").Action | undefined,
 *   keyTarget?: EventTarget}} Place
 */

/** In these the session has a worker. @type {readonly string[]} */
const RUNNING = ["connecting", "ready", "lost", "reconnecting"];
/** In these it is of interest how loading goes, and what else there is. @type {readonly string[]} */
const BEFORE = ["idle", "starting", "failed", "ended"];
/** In these nothing is under way but, at most, the waiting for a place. @type {readonly string[]} */
const AT_REST = ["idle", "queued", "failed", "ended"];
/** Connected and still no picture: after this it is said what that may mean. */
const NO_PICTURE_MS = 5000;
/** A hidden tab needs no pictures; a short look at another one must not cost a new key frame. */
const HIDDEN_MS = 10_000;

export class ModelView {
  /** @type {Emitter<void>} how things stand has changed */
  changed = new Emitter();
  /** @type {Emitter<JsonObject>} the schema of the model that runs, or would be started */
  described = new Emitter();

  client;
  clips;
  stage;
  controls;
  sources;
  /** @type {import("../client/server.js").Server | null} null: it has not answered yet */
  server = null;
  /** @type {RuntimeLobby | CoordinatorLobby | null} */
  lobby = null;
  /** @type {import("../client/connection-machine.js").Problem | null} why it is lost, failed or over */
  problem = null;
  /** The model's name and what it does. */
  title = "";
  text = "";

  #http;
  #credentials;
  #roots;
  #play;
  #place;
  #closing = new AbortController();
  /** @type {import("../client/signalling.js").Descriptor | null} the session, while it waits for a worker */
  #waiting = null;
  /** The session was running before it waited. */
  #hadWorker = false;
  #isLate = false;
  #lateTimer = 0;
  #hiddenTimer = 0;
  /** The card that is drawn. */
  #said = "";

  /**
   * @param {import("../client/http.js").Http} http
   * @param {import("../client/credentials.js").Credential} credentials
   * @param {Roots} roots
   * @param {Place} place
   */
  constructor(http, credentials, roots, place) {
    this.#http = http;
    this.#credentials = credentials;
    this.#roots = roots;
    this.#place = place;
    this.client = new Client(new Signalling(http));
    this.clips = new Clips(http, this.client);
    this.stage = new Stage(roots.stage);
    this.controls = new Controls(this.client, roots.controls);
    this.sources = new Sources(this.client, roots.inputs);
    const life = { keyTarget: place.keyTarget ?? window, closing: this.#closing.signal };
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
    stage.pictured.listen(() => {
      this.#play.introduce();
      this.show();
    });
    const { signal } = this.#closing;
    document.addEventListener("visibilitychange", () => this.#onVisibility(), { signal });
    window.addEventListener("online", () => client.wake(), { signal });
  }

  /** Whether it ended as sessions do. */
  get isCalm() {
    return isCalm(this.problem);
  }

  /** It starts, runs or comes back: there is something to stop. */
  get isUnderWay() {
    return !AT_REST.includes(this.client.state);
  }

  /** The session is recorded, and clips of it can be had here. */
  get isRecorded() {
    const { state, session } = this.client;
    return state === "ready" && session.descriptor?.recording?.enabled === true && this.#credentials.mayRecord;
  }

  /** Its coordinator does not answer at the moment. */
  get isAway() {
    return this.server?.kind === "coordinator" && this.server.isAway;
  }

  /** Whether it is for a session that somebody else began. */
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
    this.look();
  }

  /** How the model is, and what else there is, for as long as nothing runs. */
  look() {
    const isWanted = () => BEFORE.includes(this.client.state) && !this.#closing.signal.aborted;
    void this.lobby?.watch(isWanted);
  }

  /** Leave for good: the session is ended where it is ours, and nothing is asked any more. */
  close() {
    this.#closing.abort();
    clearTimeout(this.#hiddenTimer);
    this.client.stop();
    this.lobby?.again();
  }

  /** Say what there is to say, and let be touched what may be. */
  show() {
    const { client, stage } = this;
    const card = this.#card();
    // The same card is not drawn twice: a screen reader would read it twice, and a focused button would lose its focus.
    const text = JSON.stringify([card, card?.body?.className]);
    if (text !== this.#said) stage.say(card);
    this.#said = text;
    const mayCommand = client.state === "ready" && !this.#credentials.watching;
    const { controls, inputs, panel } = this.#roots;
    controls.disabled = !mayCommand;
    // With nothing in it that takes the focus it could not be scrolled by keys.
    panel.tabIndex = mayCommand || inputs.hasChildNodes() ? -1 : 0;
    this.#play.setLive(mayCommand);
    stage.touchable = mayCommand && this.controls.pointer !== null;
    this.#roots.stage.classList.toggle("touchable", stage.touchable);
    this.changed.emit();
  }

  #card() {
    const { client, server } = this;
    const { state } = client;
    const own = state === "idle" || state === "failed" ? this.#place.before(state) : null;
    if (own !== null) return own;
    const { watching } = this.#credentials;
    const standing = {
      state,
      problem: this.problem,
      place: { address: this.#http.address, kind: server?.kind ?? "runtime", watching },
      isAway: this.isAway,
      owner: client.session.owner,
      isJoining: this.isJoining,
      waiting: this.#waiting,
      hadWorker: this.#hadWorker,
      loading: this.lobby?.loading ?? { text: "", progress: null },
      hasVideo: client.tracks.some(({ kind, direction }) => kind === "video" && direction === "recvonly"),
      hasPicture: this.stage.hasPicture,
      isLate: this.#isLate,
      wanting: this.sources.wanting && !watching,
    };
    const others = this.#place.others?.();
    return cardOf(standing, { start: () => client.start(), stop: () => client.stop(), others });
  }

  /** @param {import("../client/client.js").Status} status */
  #moved({ state, problem }) {
    this.problem = problem ?? (state === "reconnecting" ? this.problem : null);
    clearTimeout(this.#lateTimer);
    this.#isLate = false;
    this.#hadWorker = state === "queued" ? this.#hadWorker : RUNNING.includes(state);
    if (state === "ready") this.#lateTimer = setTimeout(() => ((this.#isLate = true), this.show()), NO_PICTURE_MS);
    if (state === "idle") this.controls.reset();
    if (!this.isUnderWay) {
      this.stage.clear();
      this.sources.stop();
    }
    if (BEFORE.includes(state)) this.look();
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
    if (document.hidden) this.#hiddenTimer = setTimeout(() => this.#wantPictures(false), HIDDEN_MS);
    else {
      this.client.wake();
      this.#wantPictures(true);
    }
  }

  /** @param {boolean} wanted */
  #wantPictures(wanted) {
    for (const { name, kind, direction } of this.client.tracks) {
      if (kind === "video" && direction === "recvonly") this.client.want(name, wanted);
    }
  }
}
