/** A file's bytes on their way: where the network breaks they go on from what landed (tus 1.0.0), at servers of ours. */

import { Refused, Unreachable } from "./http.js";

/** @typedef {Pick<import("./http.js").Http, "send">} Http */

/** Milliseconds before the next try, while no more bytes land. */
const PAUSES_MS = [100, 300, 1000, 2000, 4000, 8000];
/** 409: at another offset than we thought, or a request that hangs still writes. */
const PASSING = [408, 409, 429];

/**
 * @param {Http} http
 * @param {string} address
 * @param {Blob} file
 * @param {string} type
 * @param {boolean} takesPieces the server told an offset with the address; official ones tell none, and take one PUT
 * @param {(ms: number) => Promise<void>} [wait]
 */
export async function sendFile(http, address, file, type, takesPieces, wait = pass) {
  if (!takesPieces) {
    await http.send(address, "PUT", file, { "Content-Type": type });
    return;
  }
  let offset = 0;
  let broke = false;
  for (let tries = 0; ; tries++) {
    try {
      if (broke) {
        const there = await reached(http, address);
        if (there > offset) tries = 0;
        offset = there;
      }
      const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
      await http.send(address, "PATCH", file.slice(offset), headers);
      return;
    } catch (error) {
      if (!passes(error) || tries >= PAUSES_MS.length) throw error;
      broke = true;
    }
    await wait(/** @type {number} */ (PAUSES_MS[tries]));
  }
}

/**
 * @param {Http} http
 * @param {string} address
 */
async function reached(http, address) {
  const response = await http.send(address, "HEAD", null, {});
  return Number(response.headers.get("upload-offset") ?? 0);
}

/** @param {unknown} error */
function passes(error) {
  return error instanceof Unreachable || (error instanceof Refused && PASSING.includes(error.status));
}

/** @param {number} ms */
async function pass(ms) {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
