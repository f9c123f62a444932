/** Puts the parts of the operators' page together: the door, the tabs, and what is looked at. */

import { byId } from "../../js/shared/dom.js";
import { Limits, Usage } from "./accounts.js";
import { Api, Refused } from "./api.js";
import { complain } from "./actions.js";
import { Follower } from "./follower.js";
import { Keys } from "./keys.js";
import { Queue, Sessions } from "./sessions.js";
import { Workers } from "./workers.js";

/** @typedef {import("./types.js").Overview} Overview */

const BASE = new URL("..", location.href);
/** Of this tab only, and gone with it. */
const KEPT_AS = "livereactor.admin";
const TABS = ["now", "keys", "usage", "limits"];

const door = byId("door", HTMLFormElement);
const house = byId("house", HTMLElement);
const credential = byId("credential", HTMLInputElement);
const complaint = byId("door-complaint", HTMLElement);
const stateLine = byId("state", HTMLElement);
const leaveButton = byId("leave", HTMLButtonElement);

/** @type {(() => void) | null} what closes the house */
let close = null;

// --- the door --------------------------------------------------------------------------------------------------------

/** @returns {string} what `#token=` or `#key=` shows, which is taken out of the address at once */
function fromAddress() {
  const shown = new URLSearchParams(location.hash.slice(1));
  const found = shown.get("token") ?? shown.get("key") ?? "";
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found;
}

/** @param {string} [why] */
function askWhoItIs(why = "") {
  close?.();
  close = null;
  sessionStorage.removeItem(KEPT_AS);
  house.hidden = leaveButton.hidden = true;
  door.hidden = false;
  complaint.textContent = why && `${why.charAt(0).toUpperCase()}${why.slice(1)}.`;
  say("out", "Signed out");
  credential.value = "";
  credential.focus();
}

/** @param {string} shown */
function enter(shown) {
  close?.();
  sessionStorage.setItem(KEPT_AS, shown);
  complaint.textContent = "";
  say("wait", "Signing in");
  close = open(new Api(shown, BASE));
}

door.addEventListener("submit", (event) => {
  event.preventDefault();
  enter(credential.value.trim());
});
leaveButton.addEventListener("click", () => askWhoItIs());
window.addEventListener("hashchange", () => {
  const shown = fromAddress();
  if (shown) enter(shown);
});

// --- the house -------------------------------------------------------------------------------------------------------

/**
 * @param {Api} api
 * @returns {() => void} closes it
 */
function open(api) {
  const at = (/** @type {string} */ id) => empty(byId(id, HTMLElement));
  const session = (/** @type {string} */ id) => `admin/sessions/${encodeURIComponent(id)}`;
  const then = (/** @type {Promise<unknown>} */ done) => done.then(() => follower.look());

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
  pick = (tab) => {
    if (tab in sheets) void sheets[/** @type {keyof typeof sheets} */ (tab)].show().catch(failed);
  };
  void follower.start();
  return () => {
    follower.close();
    workers.close();
    pick = () => {};
  };
}

/** @param {Overview} overview */
function show({ sessions, queue, workers }) {
  if (house.hidden) {
    door.hidden = true;
    house.hidden = leaveButton.hidden = false;
    select("now");
  }
  const running = sessions.filter(({ worker, state }) => worker && state !== "CLOSED").length;
  const ready = workers.filter(({ state }) => state === "ready").length;
  say("live", `${running} running · ${queue.length} waiting · ${ready} of ${workers.length} workers ready`);
}

/** @param {unknown} error */
function failed(error) {
  if (error instanceof Refused && error.notLetIn) askWhoItIs(error.message);
  else if (error instanceof Refused && error.status === 404 && house.hidden) {
    askWhoItIs("this server is a single runtime; only “livereactor serve” has an operator page");
  } else if (error instanceof Refused) complain(error);
  else {
    say("away", "The coordinator is not responding; retrying");
    if (house.hidden) complaint.textContent = "The coordinator is not responding.";
  }
}

/**
 * @param {"out" | "wait" | "live" | "away"} state
 * @param {string} text
 */
function say(state, text) {
  stateLine.dataset.state = state;
  if (stateLine.textContent !== text) stateLine.textContent = text;
}

/** @param {HTMLElement} root */
function empty(root) {
  root.replaceChildren();
  return root;
}

// --- the tabs --------------------------------------------------------------------------------------------------------

/** @type {(tab: string) => void} a tab was opened: what it shows is asked for */
let pick = () => {};

/** @param {string} wanted */
function select(wanted) {
  for (const tab of TABS) {
    byId(tab, HTMLElement).hidden = tab !== wanted;
    const button = byId(`tab-${tab}`, HTMLButtonElement);
    button.setAttribute("aria-selected", String(tab === wanted));
    button.tabIndex = tab === wanted ? 0 : -1;
  }
  pick(wanted);
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

window.addEventListener("error", ({ message }) => complain(`This page hit an internal error: ${message}. Reload the page.`));
window.addEventListener("unhandledrejection", ({ reason }) => complain(reason));

const shown = fromAddress() || sessionStorage.getItem(KEPT_AS);
if (shown) enter(shown);
else askWhoItIs();
