/** Puts the parts of the page together and says, in words, how things stand. */

import { Client } from "./client.js";
import { Controls } from "./controls.js";
import { byId, element } from "./dom.js";
import { Log } from "./log.js";
import { recall, remember } from "./memory.js";
import { Signalling, Unreachable } from "./signalling.js";
import { Sources } from "./sources.js";
import { Stage } from "./stage.js";
import { Stats } from "./stats.js";
import { explain, sentence } from "./words.js";

/** @typedef {import("./stage.js").Card} Card */

const STATE_WORDS = {
  idle: "Not started",
  starting: "Starting",
  connecting: "Connecting",
  ready: "Live",
  lost: "Connection lost",
  reconnecting: "Coming back",
  failed: "Failed",
  ended: "Ended",
};
/** Connected and still no picture: after this the page says what that may mean. */
const NO_PICTURE_MS = 5000;
/** A hidden tab needs no pictures; a short look at another one must not cost a new key frame. */
const HIDDEN_MS = 10_000;
const HEALTH_INTERVAL_MS = 1000;

const signalling = new Signalling(new URL(".", location.href));
const client = new Client(signalling);
const stageRoot = byId("stage", HTMLElement);
const controlsRoot = byId("controls", HTMLFieldSetElement);
const details = byId("details", HTMLElement);
const stage = new Stage(stageRoot);
const controls = new Controls(client, controlsRoot);
const sources = new Sources(client, byId("inputs", HTMLElement));
const stats = new Stats(client, byId("figures", HTMLButtonElement), details);
new Log(client, byId("log", HTMLElement));

const modelName = byId("model-name", HTMLElement);
const modelText = byId("model-text", HTMLElement);
const stateLine = byId("state", HTMLElement);
const stopButton = byId("stop", HTMLButtonElement);

/** What the runtime says of itself before a session is open. */
let loading = { busy: true, text: "", progress: /** @type {number | null} */ (null) };
let noPicture = false;
let noPictureTimer = 0;
let hiddenTimer = 0;

// --- how things stand ------------------------------------------------------------------------------------------------

/** @returns {Card | null} what has to be said over the picture now */
function card() {
  const again = { label: "Try again", run: () => client.start() };
  const start = { label: "Start", run: () => client.start() };
  switch (client.state) {
    case "idle":
      if (loading.busy) return { title: modelTitle(), text: loading.text, busy: true, progress: loading.progress };
      return { title: modelTitle(), text: modelLine(), action: start };
    case "starting":
      return {
        title: "Starting the session",
        text: loading.text || "The model gets ready for you.",
        busy: true,
        progress: loading.progress,
      };
    case "connecting":
      return { title: "Connecting", text: "Finding the way for the picture.", busy: true };
    case "reconnecting":
    case "lost": {
      const { title, text } = words();
      return { title, text: `${text} Trying to come back…`, busy: true };
    }
    case "failed":
      return { ...words(), bad: true, action: again };
    case "ended":
      return { ...words(), bad: lastProblem?.detail !== "stopped", action: start };
    case "ready":
      return waitingForPicture();
  }
}

/** @returns {Card | null} */
function waitingForPicture() {
  const hasVideo = client.tracks.some(({ kind, direction }) => kind === "video" && direction === "recvonly");
  if (!hasVideo) return { title: "Live", text: "This model makes no picture." };
  if (stats.frames > 0) return null;
  if (!noPicture) return { title: "Waiting for the first picture", busy: true };
  if (sources.wanting)
    return { title: "The model waits for your input", text: "Choose what to send beside the stage." };
  return {
    title: "Connected, but no picture has come",
    text: "The model has not made one yet. Its terminal shows what it is doing.",
  };
}

/** @type {import("./machine.js").Problem | null} */
let lastProblem = null;

function words() {
  return lastProblem ? explain(lastProblem, signalling.address) : { title: "The connection was lost", text: "" };
}

function modelTitle() {
  return modelName.textContent ?? "";
}

/** One line of what it does: the first of the model's description. */
function modelLine() {
  return modelText.textContent?.split("\n")[0] ?? "";
}

let said = "";
function show() {
  const next = card();
  // The same card is not drawn twice: a screen reader would read it twice, and a focused button would lose its focus.
  const text = JSON.stringify(next);
  if (text !== said) stage.say(next);
  said = text;
  stateLine.textContent = STATE_WORDS[client.state];
  stateLine.dataset.state = client.state;
  stopButton.hidden = ["idle", "failed", "ended"].includes(client.state);
  stopButton.textContent = client.owner ? "Stop" : "Leave";
  stopButton.title = client.owner ? "End the session" : "Leave the session to the others";
  controlsRoot.disabled = client.state !== "ready";
  stage.touchable = client.state === "ready" && controls.pointer !== null;
  stageRoot.classList.toggle("touchable", stage.touchable);
}

client.status.listen(({ state, problem }) => {
  lastProblem = problem ?? (state === "reconnecting" ? lastProblem : null);
  clearTimeout(noPictureTimer);
  noPicture = false;
  if (state === "ready") noPictureTimer = setTimeout(() => ((noPicture = true), show()), NO_PICTURE_MS);
  if (["idle", "failed", "ended"].includes(state)) {
    stage.clear();
    stats.reset();
    sources.stop();
  }
  if (state === "idle" || state === "starting") void watchHealth();
  show();
});

client.opened.listen(({ state, capabilities }) => {
  // `waiting`: nobody was connected yet, so the session is new and every parameter at its default.
  if (state === "waiting") controls.reset();
  else controls.restore(recall("values") ?? []);
  sources.show(capabilities?.tracks ?? []);
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

// --- before a session ------------------------------------------------------------------------------------------------

let watching = false;
/** Ask how the model's loading goes until there is a session, or the model is there. */
async function watchHealth() {
  if (watching) return;
  watching = true;
  do {
    loading = await howLoadingGoes();
    show();
    if (loading.busy) await new Promise((resolve) => setTimeout(resolve, HEALTH_INTERVAL_MS));
  } while (loading.busy && (client.state === "idle" || client.state === "starting"));
  watching = false;
}

/** @returns {Promise<typeof loading>} */
async function howLoadingGoes() {
  try {
    const { state, detail, progress } = await signalling.health();
    if (state === "loading") {
      const percent = typeof progress === "number" ? ` ${Math.round(progress * 100)} %` : "";
      return {
        busy: true,
        text: `Loading the model${percent}${detail ? `: ${detail}` : ""}`,
        progress: progress ?? null,
      };
    }
    if (state === "terminated") {
      return {
        busy: true,
        text: sentence(detail || "the model could not be loaded; its terminal says why"),
        progress: null,
      };
    }
    await readModel();
    return { busy: false, text: "", progress: null };
  } catch (error) {
    const gone = `Nothing answers at ${signalling.address}. Start it again with “livereactor run”; this page goes on by itself.`;
    return { busy: true, text: error instanceof Unreachable ? gone : sentence(String(error)), progress: null };
  }
}

async function readModel() {
  const document = await signalling.schema();
  describe(document);
  controls.show(document);
}

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

/** One drawer at a time: two would leave no picture. */
const drawers = /** @type {const} */ ([
  [byId("figures", HTMLButtonElement), details],
  [byId("log-toggle", HTMLButtonElement), byId("log", HTMLElement)],
]);
for (const [button] of drawers) {
  button.addEventListener("click", () => {
    for (const [other, content] of drawers) {
      content.hidden = other !== button || !content.hidden;
      other.setAttribute("aria-expanded", String(!content.hidden));
    }
    stats.draw();
  });
}

remember("values", () => [...controls.accepted]);

// --- the page's own mistakes are shown, not swallowed --------------------------------------------------------------------

window.addEventListener("error", ({ message }) => reportFailure(message));
window.addEventListener("unhandledrejection", ({ reason }) =>
  reportFailure(reason instanceof Error ? reason.message : String(reason)),
);

/** @param {string} message */
function reportFailure(message) {
  const alerts = byId("alerts", HTMLElement);
  const close = element("button", { type: "button", onclick: () => box.remove() }, "Dismiss");
  const box = element(
    "div",
    { class: "alert" },
    element("p", {}, `The page itself failed (${message}). Reload it; if it stays, please report it.`),
    close,
  );
  alerts.replaceChildren(box);
}

void watchHealth();
client.resume();
show();
