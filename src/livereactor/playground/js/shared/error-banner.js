/** The page's own mistakes are shown, not swallowed. */

import { element } from "./dom.js";

/** @param {HTMLElement} alerts where they are shown, the last one only */
export function showPageErrors(alerts) {
  const report = (/** @type {string} */ message) => {
    const close = element("button", { type: "button", onclick: () => box.remove() }, "Dismiss");
    const text = `This page hit an internal error: ${message}. Reload the page. If the error persists, report it.`;
    const box = element("div", { class: "alert" }, element("p", {}, text), close);
    alerts.replaceChildren(box);
  };
  window.addEventListener("error", ({ message }) => report(message));
  window.addEventListener("unhandledrejection", ({ reason }) =>
    report(reason instanceof Error ? reason.message : String(reason)),
  );
}
