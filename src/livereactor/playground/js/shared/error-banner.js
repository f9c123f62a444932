/** Banners for errors: an operation that failed, or an error of the page itself. */

import { element } from "./dom.js";

/**
 * Show every uncaught error of the page; the newest replaces the one before.
 * @param {HTMLElement} alerts container of the banner
 */
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
