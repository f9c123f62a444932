/** Buttons for the actions of an operator; an action that cannot be undone asks for confirmation. */

import { byId, element } from "../../js/shared/dom.js";

/** Milliseconds for which a button waits for confirmation. */
const ARMED_MS = 4000;
const COPIED_MS = 1500;

/**
 * Show an error; the next one replaces it.
 * @param {unknown} error
 */
export function showError(error) {
  const text = error instanceof Error ? error.message : String(error);
  const box = element(
    "div",
    { class: "alert" },
    element("p", {}, text.charAt(0).toUpperCase() + text.slice(1)),
    element("button", { type: "button", onclick: () => box.remove() }, "Dismiss"),
  );
  byId("alerts", HTMLElement).replaceChildren(box);
}

/**
 * Create a button that runs an action at the server. The button is disabled while the action runs.
 * @param {string} label
 * @param {() => Promise<unknown>} run
 * @param {{sure?: string}} [options] `sure`: label of the confirmation, which the button shows at the first press
 */
export function actionButton(label, run, { sure } = {}) {
  const button = element("button", { type: "button" }, label);
  let timer = 0;
  const disarm = () => {
    clearTimeout(timer);
    button.textContent = label;
    button.classList.remove("armed");
  };
  button.addEventListener("click", async () => {
    if (sure && !button.classList.contains("armed")) {
      button.textContent = sure;
      button.classList.add("armed");
      timer = setTimeout(disarm, ARMED_MS);
      return;
    }
    disarm();
    button.disabled = true;
    await run().catch(showError);
    button.disabled = false;
  });
  return button;
}

/**
 * Create a button that shows a shortened id and copies the whole.
 * @param {string} id
 */
export function idButton(id) {
  const shown = id.length > 12 ? `${id.split("_")[0]}_…${id.slice(-6)}` : id;
  const button = element(
    "button",
    { type: "button", class: "id", title: `Copy ${id}`, onclick: () => void copy(id, button, shown) },
    shown,
  );
  return button;
}

/**
 * Copy a text.
 * @param {string} text
 * @param {HTMLElement} button shows the result for a moment
 * @param {string} label usual label of the button
 */
export async function copy(text, button, label) {
  // Browsers have no clipboard on plain http from another machine.
  const said = await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
    () => "Copied",
    () => "Copy blocked",
  );
  button.textContent = said;
  setTimeout(() => (button.textContent = label), COPIED_MS);
}
