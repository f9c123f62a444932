/** Encode and decode the fields of any protobuf message. Pure: no DOM, no network, no state. */

/** The bytes are not a valid protobuf message. */
export class WireError extends Error {}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Writer {
  /** @type {number[]} */
  #bytes = [];

  /** @param {number} value an integer, 0 … 2^53 */
  #varint(value) {
    // Division, not shifts: shifts stop at 32 bits and an upload's size does not.
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.#bytes.push((value % 0x80) | 0x80);
    this.#bytes.push(value);
  }

  /**
   * @param {number} field
   * @param {number} value
   */
  integer(field, value) {
    this.#varint(field * 8 + VARINT);
    this.#varint(value);
    return this;
  }

  /**
   * @param {number} field
   * @param {number} value
   */
  double(field, value) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    this.#varint(field * 8 + FIXED64);
    for (const byte of bytes) this.#bytes.push(byte);
    return this;
  }

  /**
   * @param {number} field
   * @param {string} value
   */
  text(field, value) {
    return this.#lengthed(field, encoder.encode(value));
  }

  /**
   * @param {number} field
   * @param {Writer} writer
   */
  message(field, writer) {
    return this.#lengthed(field, writer.#bytes);
  }

  /**
   * @param {number} field
   * @param {Uint8Array | number[]} content
   */
  #lengthed(field, content) {
    this.#varint(field * 8 + LENGTH);
    this.#varint(content.length);
    for (const byte of content) this.#bytes.push(byte);
    return this;
  }

  finish() {
    return Uint8Array.from(this.#bytes);
  }
}

/** @typedef {number | Uint8Array | DataView} FieldValue of a varint, of a length-delimited field, of a fixed one */

/**
 * Yield the fields of one message, in order.
 * @param {Uint8Array} bytes
 * @returns {Generator<{field: number, value: FieldValue}>}
 */
export function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) throw new WireError("a frame ends inside a number");
      const byte = /** @type {number} */ (bytes[at++]);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
    throw new WireError("a number is longer than 10 bytes");
  };
  /** @param {number} length */
  const take = (length) => {
    if (length < 0 || at + length > bytes.length) throw new WireError("a frame ends inside a field");
    at += length;
    return bytes.subarray(at - length, at);
  };
  /** @param {number} length */
  const fixed = (length) => {
    const { buffer, byteOffset } = take(length);
    return new DataView(buffer, byteOffset, length);
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (tag < 8) throw new WireError(`field number ${field} does not exist`);
    const wireType = tag % 8;
    if (wireType === VARINT) yield { field, value: varint() };
    else if (wireType === FIXED64) yield { field, value: fixed(8) };
    else if (wireType === LENGTH) yield { field, value: take(varint()) };
    else if (wireType === FIXED32) yield { field, value: fixed(4) };
    else throw new WireError(`wire type ${wireType} is not in use`);
  }
}

/** @param {FieldValue} value */
export function asBytes(value) {
  if (!(value instanceof Uint8Array)) throw new WireError("expected a message or text, got a number");
  return value;
}

/** @param {FieldValue} value */
export function asText(value) {
  return decoder.decode(asBytes(value));
}

/** @param {FieldValue} value */
export function asDouble(value) {
  if (!(value instanceof DataView) || value.byteLength !== 8) throw new WireError("expected a double, got another number");
  return value.getFloat64(0, true);
}
