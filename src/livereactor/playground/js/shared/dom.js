/** Build elements in one expression. */

/** @typedef {Node | string | null | undefined} Child */

/**
 * Create an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [settings] `on…` is a listener, `class` and `aria-…`, `data-…`, `for`, `role` are
 *   attributes, everything else is a property; `undefined` is left out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, settings = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (/^(class|for|role|list|aria-.+|data-.+)$/.test(name)) made.setAttribute(name, String(value));
    else Reflect.set(made, name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/**
 * Build an SVG drawing that is hidden from screen readers.
 * @param {{viewBox: string, preserveAspectRatio: string}} frame
 * @param {readonly (readonly [tag: string, attributes: Record<string, string>])[]} shapes from back to front
 */
export function drawing(frame, shapes) {
  const svg = vector("svg", { ...frame, "aria-hidden": "true" });
  svg.append(...shapes.map(([tag, attributes]) => vector(tag, attributes)));
  return svg;
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 */
function vector(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/**
 * Return an element of index.html.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 * @throws {Error} the page has no such element of this type
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`index.html has no ${type.name} with id ${id}`);
  return found;
}
