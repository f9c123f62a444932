/** Puts the parts of the page together and says, in words, how things stand. */

import { Client } from "./client.js";
import { Controls } from "./controls.js";
import { Countdown } from "./countdown.js";
import { Credentials, readFragment } from "./credentials.js";
import { byId } from "./dom.js";
import { pullOut } from "./drawers.js";
import { Gate } from "./gate.js";
import { Http } from "./http.js";
import { CoordinatorLobby, RuntimeLobby } from "./lobby.js";
import { Log } from "./log.js";
import { recall, remember } from "./memory.js";
import { showMistakes } from "./mistakes.js";
import { findServer } from "./server.js";
import { ShareDialog } from "./share.js";
import { Signalling } from "./signalling.js";
import { Sources } from "./sources.js";
import { Stage } from "./stage.js";
import { Stats } from "./stats.js";
import { explainWaiting } from "./waiting.js";
import { explain, sentence } from "./words.js";

/** @typedef {import("./stage.js").Card} Card */

const STATE_WORDS = {
  idle: "Not started",
  starting: "Starting",
  queued: "Waiting",
  connecting: "Connecting",
  ready: "Live",
  lost: "Connection lost",
  reconnecting: "Coming back",
  failed: "Failed",
  ended: "Ended",
};
/** Ends that nothing went wrong at. */
const CALM_ENDS = ["stopped", "max_duration", "idle", "timed_out"];
/** Connected and still no picture: after this the page says what that may mean. */
const NO_PICTURE_MS = 5000;
/** A hidden tab needs no pictures; a short look at another one must not cost a new key frame. */
const HIDDEN_MS = 10_000;

showMistakes(byId("alerts", HTMLElement));
const credentials = new Credentials();
const http = new Http(new URL(".", location.href), credentials);
const client = new Client(new Signalling(http));
const { session } = client;
const stageRoot = byId("stage", HTMLElement);
const controlsRoot = byId("controls", HTMLFieldSetElement);
const details = byId("details", HTMLElement);
const stage = new Stage(stageRoot);
const controls = new Controls(client, controlsRoot);
const sources = new Sources(client, byId("inputs", HTMLElement));
const stats = new Stats(client, byId("figures", HTMLButtonElement), details);
const countdown = new Countdown(byId("left", HTMLElement), byId("aloud", HTMLElement), () => http.now());
const share = new ShareDialog();
new Log(client, byId("log", HTMLElement));

const modelName = byId("model-name", HTMLElement);
const modelText = byId("model-text", HTMLElement);
const stateLine = byId("state", HTMLElement);
const stopButton = byId("stop", HTMLButtonElement);
const shareButton = byId("share", HTMLButtonElement);

/** @type {import("./server.js").Server | null} null: it has not answered yet */
let server = null;
/** Why it has not. */
let silence = "";
/** @type {RuntimeLobby | CoordinatorLobby | null} */
let lobby = null;
/** @type {Gate | null} not null: there is something to be shown before anything else */
let gate = null;
let noPicture = false;
let noPictureTimer = 0;
let hiddenTimer = 0;

// --- how things stand ------------------------------------------------------------------------------------------------

const start = () => client.start();

/** @returns {Card | null} what has to be said over the picture now */
function card() {
  switch (client.state) {
    case "idle":
      if (gate) return asking(gate);
      if (!lobby) return { title: modelTitle(), text: silence, busy: true };
      return lobby.card(modelTitle(), modelLine(), start);
    case "starting":
      if (isAway()) return { title: "The server does not answer", text: "This page asks again by itself.", busy: true };
      return {
        title: "Starting the session",
        text: lobby?.loading.text || "The model gets ready for you.",
        busy: true,
        progress: lobby?.loading.progress ?? null,
      };
    case "queued":
      return waitingForWorker();
    case "connecting":
      return { title: "Connecting", text: "Finding the way for the picture.", busy: true };
    case "reconnecting":
    case "lost": {
      const { title, text } = words();
      return { title, text: `${text} Trying to come back…`, busy: true };
    }
    case "failed":
      if (gate) return asking(gate);
      return { ...words(), bad: true, ...again(), ...others() };
    case "ended":
      return {
        ...words(),
        bad: !isCalm(),
        ...(isJoining() ? {} : { action: { label: "Start", run: start }, ...others() }),
      };
    case "ready":
      return waitingForPicture();
  }
}

/** @returns {Card} */
function waitingForWorker() {
  const said = explainWaiting(waiting ?? { session_id: "", state: "" }, { isAway: isAway(), hadWorker });
  // Who joined leaves the session to its owner, and its place in the queue too.
  const label = session.owner ? "Leave the queue" : "Leave";
  return { ...said, busy: true, second: { label, run: () => client.stop() } };
}

/** @returns {Card | null} */
function waitingForPicture() {
  const hasVideo = client.tracks.some(({ kind, direction }) => kind === "video" && direction === "recvonly");
  if (!hasVideo) return { title: "Live", text: "This model makes no picture." };
  if (stats.frames > 0) return null;
  if (!noPicture) return { title: "Waiting for the first picture", busy: true };
  if (sources.wanting && !credentials.watching)
    return { title: "The model waits for your input", text: "Choose what to send beside the stage." };
  return {
    title: "Connected, but no picture has come",
    text: "The model has not made one yet. Its terminal shows what it is doing.",
  };
}

/** @param {Gate} form @returns {Card} */
function asking({ root }) {
  return { ...explain({ kind: "unauthorized", detail: "" }, place()), body: root };
}

/** What is forbidden stays so. @returns {Partial<Card>} */
function again() {
  return lastProblem?.kind === "forbidden" ? {} : { action: { label: "Try again", run: start } };
}

/** Where there are several models, the way back to them. @returns {Partial<Card>} */
function others() {
  const isChoice = lobby instanceof CoordinatorLobby && lobby.isChoice;
  return isChoice ? { second: { label: "Other models", run: () => client.stop() } } : {};
}

/** @type {import("./machine.js").Problem | null} */
let lastProblem = null;
/** @type {import("./signalling.js").Descriptor | null} the session, while it waits for a worker */
let waiting = null;
/** The session was running before it waited. */
let hadWorker = false;

function words() {
  return lastProblem ? explain(lastProblem, place()) : { title: "The connection was lost", text: "" };
}

/** @returns {import("./words.js").Place} */
function place() {
  return { address: http.address, kind: server?.kind ?? "runtime", watching: credentials.watching };
}

/** Whether the page was opened for a session that somebody else began. */
function isJoining() {
  return credentials.session !== null;
}

function isCalm() {
  return CALM_ENDS.includes(lastProblem?.detail ?? "");
}

function isAway() {
  return server?.kind === "coordinator" && server.isAway;
}

function modelTitle() {
  return modelName.textContent ?? "";
}

/** One line of what it does: the first of the model's description. */
function modelLine() {
  return modelText.textContent?.split("\n")[0] ?? "";
}

function stateWords() {
  if (client.state !== "ready") return STATE_WORDS[client.state];
  if (credentials.watching) return "You are watching";
  return isAway() ? "Live, coordinator away" : "Live";
}

let said = "";
function show() {
  const next = card();
  // The same card is not drawn twice: a screen reader would read it twice, and a focused button would lose its focus.
  const text = JSON.stringify([next, next?.body?.className]);
  if (text !== said) stage.say(next);
  said = text;
  stateLine.textContent = stateWords();
  stateLine.dataset.state = client.state === "ended" && isCalm() ? "over" : client.state;
  stopButton.hidden = ["idle", "queued", "failed", "ended"].includes(client.state);
  stopButton.textContent = session.owner ? "Stop" : "Leave";
  stopButton.title = session.owner ? "End the session" : "Leave the session to the others";
  shareButton.hidden = server?.kind !== "coordinator" || client.state !== "ready" || credentials.watching;
  document.body.classList.toggle("watching", credentials.watching);
  controlsRoot.disabled = client.state !== "ready" || credentials.watching;
  stage.touchable = client.state === "ready" && controls.pointer !== null && !credentials.watching;
  stageRoot.classList.toggle("touchable", stage.touchable);
}

client.status.listen(({ state, problem }) => {
  lastProblem = problem ?? (state === "reconnecting" ? lastProblem : null);
  clearTimeout(noPictureTimer);
  noPicture = false;
  hadWorker = state === "queued" ? hadWorker : RUNNING.includes(state);
  if (problem?.kind === "unauthorized") askForCredentials(problem.detail);
  if (state === "ready") noPictureTimer = setTimeout(() => ((noPicture = true), show()), NO_PICTURE_MS);
  if (state === "idle") controls.reset();
  if (["idle", "queued", "failed", "ended"].includes(state)) {
    stage.clear();
    stats.reset();
    sources.stop();
    countdown.until(null);
  }
  if (BEFORE.includes(state)) void watchLobby();
  show();
});

session.opened.listen(({ descriptor: { capabilities }, isNew }) => {
  if (isNew) controls.reset();
  else controls.restore(recall("values") ?? []);
  sources.show(credentials.watching ? [] : (capabilities?.tracks ?? []));
});

session.described.listen((view) => {
  waiting = view.capabilities ? null : view;
  countdown.until(view.capabilities ? (view.expires_at ?? null) : null);
  show();
});

client.received.listen((track) => stage.add(track));
client.schema.listen(describe);
stage.shown.listen((video) => stats.watch(video));
stage.touched.listen(({ x, y }) => void controls.touch(x, y));
stats.pictured.listen(show);

/** @param {import("./json.js").JsonObject} document */
function describe(document) {
  const info = /** @type {{title?: string, description?: string} | undefined} */ (
    /** @type {unknown} */ (document.info)
  );
  if (!info) return;
  modelName.textContent = info.title || "livereactor";
  modelText.textContent = info.description ?? "";
  window.document.title = `${modelName.textContent} · livereactor`;
  show();
}

// --- the server, and what there is before a session ----------------------------------------------------------------

/** In these the session has a worker. @type {readonly string[]} */
const RUNNING = ["connecting", "ready", "lost", "reconnecting"];
/** In these it is of interest how loading goes, and what else there is. @type {readonly string[]} */
const BEFORE = ["idle", "starting", "failed", "ended"];

async function begin() {
  server = await findServer(http, credentials.session, (trouble) => ((silence = trouble), show()));
  session.serveBy(server);
  if (server.kind === "runtime") lobby = new RuntimeLobby(server, http.address);
  else {
    server.model = recall("model") ?? "";
    lobby = new CoordinatorLobby(server, http.address, isJoining(), () => credentials.models);
    server.changed.listen(show);
  }
  lobby.changed.listen(show);
  lobby.denied.listen(askForCredentials);
  lobby.described.listen((document) => {
    describe(document);
    controls.show(document, lobby?.hint);
  });
  void watchLobby();
  // Who comes by a link wants to see what it is about, and not to press a button first.
  if (!client.resume() && isJoining()) client.start();
}

async function watchLobby() {
  await lobby?.watch(() => BEFORE.includes(client.state));
}

/** @param {string} reason the server's sentence */
function askForCredentials(reason) {
  if (!credentials.watching && !gate) {
    gate = new Gate(server?.kind === "coordinator" ? "token" : "key");
    gate.entered.listen(comeIn);
  }
  // That none was given is what the form is there for.
  const wasRefused = "Authorization" in credentials.headers;
  gate?.complain(wasRefused ? sentence(reason) : "");
  show();
  if (wasRefused) gate?.focus();
}

/** @param {string} shown */
function comeIn(shown) {
  credentials.enter(shown);
  gate = null;
  lobby?.again();
  if (client.state === "failed") client.start();
  else void watchLobby();
  show();
}

// A link of ours pasted into this tab's address changes nothing but the part behind `#`.
window.addEventListener("hashchange", () => {
  if (readFragment(location.hash)) location.reload();
});

// --- the window ------------------------------------------------------------------------------------------------------

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(() => wantPictures(false), HIDDEN_MS);
  else wantPictures(true);
});

/** @param {boolean} wanted */
function wantPictures(wanted) {
  for (const { name, kind, direction } of client.tracks) {
    if (kind === "video" && direction === "recvonly") client.want(name, wanted);
  }
}

stopButton.addEventListener("click", () => client.stop());
shareButton.addEventListener("click", () => {
  const { id } = session;
  if (server?.kind === "coordinator" && id !== null) {
    void share.open(server.share.bind(server, id), session.descriptor?.expires_at);
  }
});

pullOut(
  [
    [byId("figures", HTMLButtonElement), details],
    [byId("log-toggle", HTMLButtonElement), byId("log", HTMLElement)],
  ],
  () => stats.draw(),
);

remember("values", () => [...controls.accepted]);
// The session's, or the one that was chosen: before its session answers, a page that was loaded again shows this one.
remember("model", () => (server?.kind === "coordinator" ? server.model : undefined));

show();
void begin();
