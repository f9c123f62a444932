/** What is pulled out above the bar: one at a time, two would leave no picture. */

/** @typedef {readonly [HTMLButtonElement, HTMLElement]} Drawer a button and what it shows */

/**
 * @param {readonly Drawer[]} drawers
 * @param {() => void} moved called when one was opened or closed
 */
export function pullOut(drawers, moved) {
  for (const [button] of drawers) {
    button.addEventListener("click", () => {
      for (const [other, content] of drawers) {
        content.hidden = other !== button || !content.hidden;
        other.setAttribute("aria-expanded", String(!content.hidden));
      }
      moved();
    });
  }
}
