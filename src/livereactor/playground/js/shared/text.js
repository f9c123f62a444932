/** Turn names and sentences of servers and models into text for people. Pure. */

/**
 * Return a reason as a sentence: servers write reasons in lower case and without a full stop.
 * @param {string} text
 */
export function sentence(text) {
  const trimmed = text.trim();
  const ended = /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}

/** Return the first line of a model's description. @param {string} text */
export function firstLine(text) {
  return text.split("\n")[0] ?? "";
}

/**
 * Return a name as a label: `set_wind_speed` → `Set wind speed`.
 * @param {string} name
 */
export function readable(name) {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
