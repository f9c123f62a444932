/** Compose the page and show the state of the session in its bar. */

import { StoredCredential, readFragment } from "./client/credentials.js";
import { Http } from "./client/http.js";
import { findServer } from "./client/server.js";
import { byId } from "./shared/dom.js";
import { showPageErrors } from "./shared/error-banner.js";
import { takeSaved, saveForReload } from "./shared/reload-storage.js";
import { firstLine, sentence } from "./shared/text.js";
import { Countdown } from "./views/countdown.js";
import { Gallery } from "./views/gallery.js";
import { CoordinatorLobby, RuntimeLobby } from "./views/lobby.js";
import { Log } from "./views/log.js";
import { ModelView } from "./views/model-view.js";
import { ShareDialog } from "./views/share-dialog.js";
import { SignInForm } from "./views/sign-in.js";
import { Stats } from "./views/stats.js";
import { Timeline } from "./views/timeline.js";
import { explain } from "./words/problems.js";

/** @typedef {import("./views/stage.js").Card} Card */
/** A button and the drawer that it toggles. @typedef {readonly [HTMLButtonElement, HTMLElement]} Drawer */

const STATE_WORDS = {
  idle: "Not started",
  starting: "Starting",
  queued: "In queue",
  connecting: "Connecting",
  ready: "Live",
  lost: "Connection lost",
  reconnecting: "Reconnecting",
  failed: "Failed",
  ended: "Ended",
};

showPageErrors(byId("alerts", HTMLElement));
const credentials = new StoredCredential();
const http = new Http(new URL(".", location.href), credentials);
const details = byId("details", HTMLElement);
const roots = {
  stage: byId("stage", HTMLElement),
  controls: byId("controls", HTMLFieldSetElement),
  inputs: byId("inputs", HTMLElement),
  panel: byId("panel", HTMLElement),
};
const view = new ModelView(http, credentials, roots, { cardBefore, allModels });
const { client, controls, stage } = view;
const { session } = client;
const stats = new Stats(client, byId("figures", HTMLButtonElement), details);
const countdown = new Countdown(byId("left", HTMLElement), byId("aloud", HTMLElement), () => http.now());
const share = new ShareDialog();
new Timeline(view, byId("timeline", HTMLElement), byId("clips-toggle", HTMLButtonElement));
const gallery = new Gallery((path) => http.url(path));
new Log(client, byId("log", HTMLElement), () => ({
  model: view.title,
  url: http.url("").replace(/\/$/, ""),
  kind: view.server?.kind ?? "runtime",
  track: stage.current,
}));

const modelName = byId("model-name", HTMLElement);
const modelText = byId("model-text", HTMLElement);
const stateLine = byId("state", HTMLElement);
const stopButton = byId("stop", HTMLButtonElement);
const shareButton = byId("share", HTMLButtonElement);

/** The reason why there is no server yet. */
let trouble = "";
/** @type {SignInForm | null} shown instead of the usual card until a credential is entered */
let signInForm = null;

// --- the state of the session ----------------------------------------------------------------------------------------

/**
 * @param {"idle" | "failed"} state
 * @returns {Card | null}
 */
function cardBefore(state) {
  if (signInForm) return signInCard(signInForm);
  if (state !== "idle") return null;
  const title = view.title || "livereactor";
  const card = view.lobby?.card(title, firstLine(view.text), () => client.start());
  if (!card) return { title, text: trouble, busy: true };
  const chosen = view.server?.kind === "coordinator" && view.server.model !== "";
  return chosen ? { ...card, second: allModels() } : card;
}

/** @param {SignInForm} form @returns {Card} */
function signInCard({ root }) {
  const place = { address: http.address, kind: view.server?.kind ?? "runtime", watching: credentials.watching };
  return { ...explain({ kind: "unauthorized", detail: "" }, place), body: root };
}

/**
 * Return the action that leads back to the choice of models, if there are several.
 * @returns {import("./views/stage.js").Action | undefined}
 */
function allModels() {
  const isChoice = view.lobby instanceof CoordinatorLobby && view.lobby.isChoice;
  return isChoice ? { label: "All models", run: () => choose("") } : undefined;
}

function stateWords() {
  if (client.state !== "ready") return STATE_WORDS[client.state];
  if (credentials.watching) return "View only";
  return view.isAway ? "Live, coordinator not responding" : "Live";
}

view.changed.listen(() => {
  const { state } = client;
  stateLine.textContent = stateWords();
  stateLine.dataset.state = state === "ended" && view.isRegularEnd ? "over" : state;
  stopButton.hidden = !view.isUnderWay;
  stopButton.textContent = session.owner ? "Stop" : "Leave";
  stopButton.title = session.owner ? "End the session" : "Leave the session; other clients stay connected";
  shareButton.hidden = view.server?.kind !== "coordinator" || state !== "ready" || credentials.watching;
  document.body.classList.toggle("watching", credentials.watching);
});

client.status.listen(({ state, problem }) => {
  if (problem?.kind === "unauthorized") askForCredentials(problem.detail);
  if (view.isUnderWay) return;
  stats.reset();
  countdown.until(null);
});

session.opened.listen(({ isNew }) => {
  if (!isNew) controls.restore(takeSaved("values") ?? []);
});

session.described.listen(({ capabilities, expires_at }) => {
  countdown.until(capabilities ? (expires_at ?? null) : null);
});

stage.shown.listen((video) => stats.watch(video));

view.described.listen(() => {
  modelName.textContent = view.title;
  modelText.textContent = view.text;
  document.title = `${view.title} · livereactor`;
});

// --- the server, and the page before a session -----------------------------------------------------------------------

async function connectToServer() {
  const server = await findServer(http, credentials.session, (reason) => ((trouble = reason), view.show()));
  /** @type {RuntimeLobby | CoordinatorLobby} */
  let lobby;
  if (server.kind === "runtime") lobby = new RuntimeLobby(server, http.address);
  else {
    server.model = modelInAddress();
    const place = { link: view.isJoining, allowed: () => credentials.models, gallery };
    lobby = new CoordinatorLobby(server, http.address, place);
  }
  lobby.denied.listen(askForCredentials);
  view.setServer(server, lobby);
  const kept = takeSaved("session");
  if (kept !== null) client.resume(kept);
  // A visitor with a share link wants to see the session without pressing a button first.
  else if (view.isJoining) client.start();
}

/** @param {string} reason the server's sentence */
function askForCredentials(reason) {
  if (!credentials.watching && !signInForm) {
    signInForm = new SignInForm(view.server?.kind === "coordinator" ? "token" : "key");
    signInForm.entered.listen(signIn);
  }
  // Without a credential the form needs no complaint.
  const wasRefused = "Authorization" in credentials.headers;
  signInForm?.complain(wasRefused ? sentence(reason) : "");
  view.show();
  if (wasRefused) signInForm?.focus();
}

/** @param {string} shown */
function signIn(shown) {
  credentials.enter(shown);
  signInForm = null;
  view.lobby?.pollNow();
  if (client.state === "failed") client.start();
  else view.watchLobby();
  view.show();
}

// --- the choice of a model, which stands in the address so that it can be shared and undone --------------------------

/** @returns {string} "" = none */
function modelInAddress() {
  return new URLSearchParams(location.search).get("model") ?? "";
}

/** @param {string} model "" = back to the choice */
function choose(model) {
  const query = model ? `?${new URLSearchParams({ model })}` : location.pathname;
  history.pushState(null, "", query);
  switchTo(model);
}

/** @param {string} model */
function switchTo(model) {
  const { server, lobby } = view;
  if (server?.kind !== "coordinator" || !(lobby instanceof CoordinatorLobby)) return;
  const left = server.model;
  if (model === left) return;
  client.stop();
  lobby.choose(model);
  if (model) return;
  document.title = "livereactor";
  gallery.focus(left);
}

gallery.picked.listen(choose);
window.addEventListener("popstate", () => switchTo(modelInAddress()));

// A share link pasted into this tab's address changes only the part after `#`.
window.addEventListener("hashchange", () => {
  if (readFragment(location.hash)) location.reload();
});

// --- the window ------------------------------------------------------------------------------------------------------

stopButton.addEventListener("click", () => client.stop());
shareButton.addEventListener("click", () => {
  const { id } = session;
  const { server } = view;
  if (server?.kind === "coordinator" && id !== null) {
    void share.open(server.share.bind(server, id), session.descriptor?.expires_at);
  }
});

connectDrawers(
  [
    [byId("figures", HTMLButtonElement), details],
    [byId("log-toggle", HTMLButtonElement), byId("log", HTMLElement)],
  ],
  () => stats.draw(),
);

/**
 * Let each button toggle its drawer. At most one is open: two would leave no room for the video.
 * @param {readonly Drawer[]} drawers
 * @param {() => void} onToggle called when a drawer was opened or closed
 */
function connectDrawers(drawers, onToggle) {
  for (const [button] of drawers) {
    button.addEventListener("click", () => {
      for (const [other, content] of drawers) {
        content.hidden = other !== button || !content.hidden;
        other.setAttribute("aria-expanded", String(!content.hidden));
      }
      onToggle();
    });
  }
}

saveForReload("values", () => [...controls.accepted]);
saveForReload("session", (persisted) => client.leavePage(persisted));

view.show();
void connectToServer();
