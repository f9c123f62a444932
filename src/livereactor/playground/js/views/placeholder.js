/** A placeholder picture for a model without a preview: hills whose shapes and colours depend on its name. */

import { drawing } from "../shared/dom.js";

const WIDTH = 320;
const HEIGHT = 180;
const RIDGES = 4;
const STEP = 8;
/** Degrees of hue: from green over blue to rose, which suit the accent colour. */
const FIRST_HUE = 150;
const HUES = 180;

/** @typedef {{d: string, fill: string}} Shape attributes of an SVG path */

/** Draw the placeholder. @param {string} name of the model */
export function placeholderPicture(name) {
  const frame = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "xMidYMid slice" };
  return drawing(frame, landscape(name).map((shape) => ["path", shape]));
}

/**
 * @param {string} name
 * @returns {Shape[]} from back to front: sky, sun, ridges; always the same for a name
 */
export function landscape(name) {
  const random = randomOf(name);
  const hue = Math.round(FIRST_HUE + random() * HUES);
  const sunX = 60 + random() * 200;
  const sunY = 44 + random() * 36;
  const shapes = [
    { d: `M0 0H${WIDTH}V${HEIGHT}H0Z`, fill: `hsl(${hue} 34% 15%)` },
    { d: disc(sunX, sunY, 40), fill: `hsl(${hue + 24} 44% 21%)` },
    { d: disc(sunX, sunY, 19), fill: `hsl(${hue + 36} 68% 70%)` },
  ];
  for (let ridge = 0; ridge < RIDGES; ridge++) {
    const nearness = ridge / (RIDGES - 1);
    const fill = `hsl(${hue + 14 * (1 - nearness)} ${40 - 12 * nearness}% ${34 - 24 * nearness}%)`;
    shapes.push({ d: crest(76 + 26 * ridge, 9 + 6 * nearness, random), fill });
  }
  return shapes;
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 */
function disc(x, y, radius) {
  const start = `M${(x - radius).toFixed(1)} ${y.toFixed(1)}`;
  return `${start}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0Z`;
}

/**
 * @param {number} level its middle, from the top
 * @param {number} height of its waves
 * @param {() => number} random
 */
function crest(level, height, random) {
  const waves = [1, 2.3, 5.1].map((rate) => ({ rate, phase: random() * 7, share: (0.7 + 0.6 * random()) / rate }));
  let d = `M0 ${HEIGHT}`;
  for (let x = 0; x <= WIDTH; x += STEP) {
    const swing = waves.reduce((sum, { rate, phase, share }) => sum + share * Math.sin((x / 52) * rate + phase), 0);
    d += `L${x} ${(level + height * swing).toFixed(1)}`;
  }
  return `${d}V${HEIGHT}Z`;
}

/**
 * @param {string} text
 * @returns {() => number} pseudo-random numbers in 0..1, the same series for the same text
 */
function randomOf(text) {
  // FNV-1a for the seed, then xorshift32.
  let state = [...text].reduce((hash, letter) => Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193), 0x811c9dc5);
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
