/** Draw figures: a line over the last minute, and the parts of a whole as one bar. */

import { drawing, element } from "../shared/dom.js";

const HEIGHT = 32;

/**
 * Draw the graph of one figure.
 * @param {{label: string, about: string, unit: string, decimals: number}} what
 * @param {readonly number[]} values oldest first; NaN: unknown
 * @param {number} most number of values that fill the width
 */
export function graph({ label, about, unit, decimals }, values, most) {
  const known = values.filter(Number.isFinite);
  const top = Math.max(...known, 0);
  const now = shown(values.at(-1), decimals);
  const peak = known.length ? `max ${shown(top, decimals)} ${unit}` : "not measured yet";
  return element(
    "figure",
    { class: "graph", title: about },
    element(
      "figcaption",
      {},
      element("span", { class: "hint" }, label),
      element("span", { class: "value" }, element("b", {}, now), ` ${unit}`),
    ),
    curve(values, most, top),
    element("span", { class: "hint peak" }, peak),
  );
}

/**
 * @param {readonly number[]} values
 * @param {number} most
 * @param {number} top
 */
function curve(values, most, top) {
  const start = most - values.length;
  const points = values.flatMap((value, index) =>
    Number.isFinite(value) ? [[start + index, HEIGHT - 1 - (value / (top || 1)) * (HEIGHT - 3)]] : [],
  );
  const line = points.map((point) => point.join(",")).join(" ");
  const [first, last] = [points[0]?.[0], points.at(-1)?.[0]];
  const area = points.length ? `${first},${HEIGHT} ${line} ${last},${HEIGHT}` : "";
  return drawing({ viewBox: `0 0 ${most - 1} ${HEIGHT}`, preserveAspectRatio: "none" }, [
    ["polygon", { points: area }],
    ["polyline", { points: line }],
  ]);
}

/**
 * Draw parts of a whole as one bar with a legend.
 * @param {readonly {label: string, about: string, ms: number}[]} parts
 */
export function stackedBar(parts) {
  const pieces = parts.map(({ ms }, index) => {
    const piece = element("span", { class: "piece", "data-part": index });
    piece.style.flexGrow = String(ms);
    return piece;
  });
  const names = parts.map(({ label, about, ms }, index) =>
    element(
      "li",
      { title: about },
      element("span", { class: "piece", "data-part": index }),
      `${label} `,
      element("b", {}, shown(ms, 1)),
      " ms",
    ),
  );
  return [
    element("div", { class: "stacked", "aria-hidden": "true" }, ...pieces),
    element("ol", { class: "parts" }, ...names),
  ];
}

/**
 * Return a value as text; a dash if it is unknown.
 * @param {number | undefined} value
 * @param {number} decimals
 */
export function shown(value, decimals) {
  return value === undefined || Number.isNaN(value) ? "–" : value.toFixed(decimals);
}
