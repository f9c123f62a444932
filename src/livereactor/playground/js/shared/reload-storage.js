/**
 * Values that survive a reload of the page. They are written while the page unloads and removed when it is back, so
 * that a duplicated tab, which gets a copy of the storage, does not take over the connection of its original.
 */

/**
 * Save a value whenever the page unloads.
 * @param {string} name
 * @param {(persisted: boolean) => import("./json.js").JsonValue | undefined} value called as the page unloads;
 *   `persisted`: the browser may restore the page as it is; undefined saves nothing
 */
export function saveForReload(name, value) {
  window.addEventListener("pagehide", ({ persisted }) => {
    const found = value(persisted);
    if (found !== undefined) sessionStorage.setItem(`livereactor.${name}`, JSON.stringify(found));
  });
}

/**
 * Return a saved value and remove it.
 * @param {string} name
 * @returns {any} null if nothing was saved
 */
export function takeSaved(name) {
  const saved = sessionStorage.getItem(`livereactor.${name}`);
  sessionStorage.removeItem(`livereactor.${name}`);
  return saved === null ? null : JSON.parse(saved);
}
