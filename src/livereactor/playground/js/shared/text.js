/** Names and sentences of servers and models as people read them. Pure. */

/**
 * Servers write reasons as lower-case sentences without a full stop; people read them with both.
 * @param {string} text
 */
export function sentence(text) {
  const trimmed = text.trim();
  const ended = /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}

/** One line of what a model does. @param {string} text its description */
export function firstLine(text) {
  return text.split("\n")[0] ?? "";
}

/**
 * `set_wind_speed` → `Set wind speed`, for labels.
 * @param {string} name
 */
export function readable(name) {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
