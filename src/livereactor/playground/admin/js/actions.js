/** What an operator does: buttons that say what came of it, and ask twice before what cannot be taken back. */

import { byId, element } from "../../js/shared/dom.js";

/** So long a button stays armed. */
const ARMED_MS = 4000;
const COPIED_MS = 1500;

/**
 * Say what went wrong; the next one replaces it.
 * @param {unknown} error
 */
export function complain(error) {
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
 * A button that does something at the server; it cannot be pressed again meanwhile.
 * @param {string} label
 * @param {() => Promise<unknown>} run
 * @param {{sure?: string}} [options] `sure`: pressed once it asks so, pressed again it does it
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
    await run().catch(complain);
    button.disabled = false;
  });
  return button;
}

/**
 * An id, shortened; pressed, it copies the whole.
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
 * @param {string} text
 * @param {HTMLElement} button which says that it was done
 * @param {string} label what it says otherwise
 */
export async function copy(text, button, label) {
  // Browsers have no clipboard for pages on plain http from another machine.
  const said = await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
    () => "Copied",
    () => "Copy blocked",
  );
  button.textContent = said;
  setTimeout(() => (button.textContent = label), COPIED_MS);
}
