/** Compose the operator page: sign-in, tabs and their content. */

import { byId } from "../../js/shared/dom.js";
import { Limits, Usage } from "./accounts.js";
import { showError } from "./actions.js";
import { Api, Refused } from "./api.js";
import { Follower } from "./follower.js";
import { Keys } from "./keys.js";
import { Queue, Sessions } from "./sessions.js";
import { Workers } from "./workers.js";

/** @typedef {import("./types.js").Overview} Overview */

const BASE = new URL("..", location.href);
/** Key of the stored credential, which the browser keeps for this tab only. */
const STORAGE_KEY = "livereactor.admin";
const TABS = ["now", "keys", "usage", "limits"];

const signInForm = byId("sign-in", HTMLFormElement);
const consoleRoot = byId("console", HTMLElement);
const credential = byId("credential", HTMLInputElement);
const signInError = byId("sign-in-error", HTMLElement);
const stateLine = byId("state", HTMLElement);
const leaveButton = byId("leave", HTMLButtonElement);

/** @type {(() => void) | null} closes the console */
let close = null;

// --- sign-in ---------------------------------------------------------------------------------------------------------

/** @returns {string} the value of `#token=` or `#key=`, which is removed from the address */
function fromAddress() {
  const shown = new URLSearchParams(location.hash.slice(1));
  const found = shown.get("token") ?? shown.get("key") ?? "";
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found;
}

/** @param {string} [why] */
function askForCredential(why = "") {
  close?.();
  close = null;
  sessionStorage.removeItem(STORAGE_KEY);
  consoleRoot.hidden = leaveButton.hidden = true;
  signInForm.hidden = false;
  signInError.textContent = why && `${why.charAt(0).toUpperCase()}${why.slice(1)}.`;
  showState("out", "Signed out");
  credential.value = "";
  credential.focus();
}

/** @param {string} shown */
function signIn(shown) {
  close?.();
  sessionStorage.setItem(STORAGE_KEY, shown);
  signInError.textContent = "";
  showState("wait", "Signing in");
  close = open(new Api(shown, BASE));
}

signInForm.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(credential.value.trim());
});
leaveButton.addEventListener("click", () => askForCredential());
window.addEventListener("hashchange", () => {
  const shown = fromAddress();
  if (shown) signIn(shown);
});

// --- the console -----------------------------------------------------------------------------------------------------

/**
 * @param {Api} api
 * @returns {() => void} closes the console
 */
function open(api) {
  const at = (/** @type {string} */ id) => empty(byId(id, HTMLElement));
  const session = (/** @type {string} */ id) => `admin/sessions/${encodeURIComponent(id)}`;
  const then = (/** @type {Promise<unknown>} */ done) => done.then(() => follower.refresh());

  const workers = new Workers(
    at("workers"),
    (id) => api.blob(`${session(id)}/thumbnail`),
    (worker) => then(api.send("POST", `admin/workers/${encodeURIComponent(worker)}/drain`)),
  );
  const queue = new Queue(at("queue"), (id) => then(api.send("POST", `${session(id)}/prefer`)));
  const sessions = new Sessions(at("sessions"), at("ended"), (id) =>
    then(api.send("DELETE", session(id), { reason: "evicted" })),
  );
  const sheets = {
    keys: new Keys(at("keys"), api),
    usage: new Usage(at("usage"), api),
    limits: new Limits(at("limits"), api),
  };

  const follower = new Follower(
    api,
    (overview) => {
      show(overview);
      for (const part of [workers, queue, sessions]) part.show(overview);
    },
    (error) => failed(error),
  );
  load = (tab) => {
    if (tab in sheets) void sheets[/** @type {keyof typeof sheets} */ (tab)].show().catch(failed);
  };
  void follower.start();
  return () => {
    follower.close();
    workers.close();
    load = () => {};
  };
}

/** @param {Overview} overview */
function show({ sessions, queue, workers }) {
  if (consoleRoot.hidden) {
    signInForm.hidden = true;
    consoleRoot.hidden = leaveButton.hidden = false;
    select("now");
  }
  const running = sessions.filter(({ worker, state }) => worker && state !== "CLOSED").length;
  const ready = workers.filter(({ state }) => state === "ready").length;
  showState("live", `${running} running · ${queue.length} waiting · ${ready} of ${workers.length} workers ready`);
}

/** @param {unknown} error */
function failed(error) {
  if (error instanceof Refused && error.isDenied) askForCredential(error.message);
  else if (error instanceof Refused && error.status === 404 && consoleRoot.hidden) {
    askForCredential("this server is a single runtime; only “livereactor serve” has an operator page");
  } else if (error instanceof Refused) showError(error);
  else {
    showState("away", "The coordinator is not responding; retrying");
    if (consoleRoot.hidden) signInError.textContent = "The coordinator is not responding.";
  }
}

/**
 * @param {"out" | "wait" | "live" | "away"} state
 * @param {string} text
 */
function showState(state, text) {
  stateLine.dataset.state = state;
  if (stateLine.textContent !== text) stateLine.textContent = text;
}

/** @param {HTMLElement} root */
function empty(root) {
  root.replaceChildren();
  return root;
}

// --- the tabs --------------------------------------------------------------------------------------------------------

/** @type {(tab: string) => void} loads the content of a tab */
let load = () => {};

/** @param {string} wanted */
function select(wanted) {
  for (const tab of TABS) {
    byId(tab, HTMLElement).hidden = tab !== wanted;
    const button = byId(`tab-${tab}`, HTMLButtonElement);
    button.setAttribute("aria-selected", String(tab === wanted));
    button.tabIndex = tab === wanted ? 0 : -1;
  }
  load(wanted);
}

for (const tab of TABS) byId(`tab-${tab}`, HTMLButtonElement).addEventListener("click", () => select(tab));
byId("tabs", HTMLElement).addEventListener("keydown", (event) => {
  const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
  const now = TABS.findIndex((tab) => document.activeElement?.id === `tab-${tab}`);
  if (!by || now < 0) return;
  const next = /** @type {string} */ (TABS.at((now + by) % TABS.length));
  select(next);
  byId(`tab-${next}`, HTMLButtonElement).focus();
});

window.addEventListener("error", ({ message }) => showError(`This page hit an internal error: ${message}. Reload the page.`));
window.addEventListener("unhandledrejection", ({ reason }) => showError(reason));

const shown = fromAddress() || sessionStorage.getItem(STORAGE_KEY);
if (shown) signIn(shown);
else askForCredential();
