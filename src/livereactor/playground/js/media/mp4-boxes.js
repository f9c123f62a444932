/** Read and write the boxes of an MP4 (ISO/IEC 14496-12). Pure. */

/** The bytes are not an MP4, or one of an unsupported kind. */
export class Mp4Error extends Error {}

/**
 * A box: offsets of its header (`start`), of its content (`body`) and of its `end`.
 * @typedef {{type: string, start: number, body: number, end: number}} Box
 */

const BIG = 2 ** 32;

/** Return a DataView of bytes. @param {Uint8Array} bytes */
export function view(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Yield the boxes that follow one another.
 * @param {Uint8Array} bytes
 * @param {number} [from]
 * @param {number} [to]
 * @returns {Generator<Box>}
 * @throws {Mp4Error} a box goes beyond the end
 */
export function* boxesIn(bytes, from = 0, to = bytes.length) {
  const data = view(bytes);
  for (let start = from; start < to; ) {
    if (start + 8 > to) throw new Mp4Error("a box is cut off in its header");
    let size = data.getUint32(start);
    let body = start + 8;
    if (size === 1) {
      if (start + 16 > to) throw new Mp4Error("a box is cut off in its header");
      size = Number(data.getBigUint64(start + 8));
      body += 8;
    } else if (size === 0) size = to - start;
    const type = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    const end = start + size;
    if (end < body || end > to) throw new Mp4Error(`the box “${type}” goes beyond the end`);
    yield { type, start, body, end };
    start = end;
  }
}

/**
 * Return the first box at a path of types.
 * @param {Uint8Array} bytes
 * @param {readonly string[]} path
 * @param {{body: number, end: number}} [within]
 * @returns {Box}
 * @throws {Mp4Error} no box is at the path
 */
export function boxAt(bytes, path, within = { body: 0, end: bytes.length }) {
  const [type, ...rest] = path;
  for (const box of boxesIn(bytes, within.body, within.end)) {
    if (box.type === type) return rest.length ? boxAt(bytes, rest, box) : box;
  }
  throw new Mp4Error(`the box “${type}” is missing`);
}

/**
 * Build a box.
 * @param {string} type
 * @param {...Uint8Array} parts
 */
export function box(type, ...parts) {
  const header = new Uint8Array(8);
  view(header).setUint32(0, parts.reduce((sum, each) => sum + each.length, 8));
  header.set(
    [...type].map((letter) => letter.charCodeAt(0)),
    4,
  );
  return joined(header, ...parts);
}

/** Concatenate bytes. @param {...Uint8Array} parts */
export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Encode big-endian 32-bit words, negative ones in two's complement. @param {Iterable<number>} values */
export function words(values) {
  const list = [...values];
  const bytes = new Uint8Array(4 * list.length);
  const data = view(bytes);
  list.forEach((value, at) => data.setUint32(4 * at, value >>> 0));
  return bytes;
}

/** Encode big-endian 64-bit words. @param {Iterable<number>} values 0 … 2^53 */
export function longs(values) {
  return words([...values].flatMap((value) => [Math.floor(value / BIG), value % BIG]));
}
