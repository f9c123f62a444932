/** Upload a file, resuming after network failures as tus 1.0.0 does where the server supports it. */

import { Refused, Unreachable } from "./http.js";

/** @typedef {Pick<import("./http.js").Http, "send">} Http */

/** Milliseconds before each retry, while no more bytes arrive. */
const PAUSES_MS = [100, 300, 1000, 2000, 4000, 8000];
/** Retried. 409: the offset is wrong, or an earlier request is still writing. */
const TRANSIENT = [408, 409, 429];

/**
 * @param {Http} http
 * @param {string} address
 * @param {Blob} file
 * @param {string} type
 * @param {boolean} isResumable whether the server can resume: official servers take one PUT
 * @param {(ms: number) => Promise<void>} [wait]
 */
export async function sendFile(http, address, file, type, isResumable, wait = sleep) {
  if (!isResumable) {
    await http.send(address, "PUT", file, { "Content-Type": type });
    return;
  }
  let offset = 0;
  let broke = false;
  for (let tries = 0; ; tries++) {
    try {
      if (broke) {
        const there = await offsetOf(http, address);
        if (there > offset) tries = 0;
        offset = there;
      }
      const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
      await http.send(address, "PATCH", file.slice(offset), headers);
      return;
    } catch (error) {
      if (!isTransient(error) || tries >= PAUSES_MS.length) throw error;
      broke = true;
    }
    await wait(/** @type {number} */ (PAUSES_MS[tries]));
  }
}

/**
 * @param {Http} http
 * @param {string} address
 */
async function offsetOf(http, address) {
  const response = await http.send(address, "HEAD", null, {});
  return Number(response.headers.get("upload-offset") ?? 0);
}

/** @param {unknown} error */
function isTransient(error) {
  return error instanceof Unreachable || (error instanceof Refused && TRANSIENT.includes(error.status));
}

/** @param {number} ms */
async function sleep(ms) {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
