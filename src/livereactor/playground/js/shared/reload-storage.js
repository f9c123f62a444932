/**
 * What survives a reload of the page. It is written while the page goes away and taken out when it is back, so that a
 * duplicated tab, which gets a copy of the storage, does not take the connection of its original.
 */

/**
 * @param {string} name
 * @param {(persisted: boolean) => import("./json.js").JsonValue | undefined} value asked for as the page goes;
 *   `persisted`: the browser may bring it back as it is; undefined: nothing
 */
export function saveForReload(name, value) {
  window.addEventListener("pagehide", ({ persisted }) => {
    const found = value(persisted);
    if (found !== undefined) sessionStorage.setItem(`livereactor.${name}`, JSON.stringify(found));
  });
}

/**
 * @param {string} name
 * @returns {any} null: nothing was kept
 */
export function takeSaved(name) {
  const kept = sessionStorage.getItem(`livereactor.${name}`);
  sessionStorage.removeItem(`livereactor.${name}`);
  return kept === null ? null : JSON.parse(kept);
}
