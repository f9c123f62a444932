/**
 * Encode and decode the frames of the two data channels (docs/protocol.md). Pure: no DOM, no network, no state.
 *
 * Written by hand for the messages that the page uses, so that the page needs no generator and no dependency. Unknown
 * fields are skipped, as proto3 requires; bytes that are not a message raise `WireError`.
 */

import { WireError, Writer, asBytes, asDouble, asText, fields } from "./protobuf.js";

export { WireError };

/** @typedef {import("../shared/json.js").JsonValue} JsonValue */
/** @typedef {import("../shared/json.js").JsonObject} JsonObject */
/** @typedef {{upload_id: string, name: string, mime_type: string, size: number}} UploadReference */
/** @typedef {{code: string, message: string}} WireFailure */
/** @typedef {{type: string, data: JsonObject}} ModelMessage */
/**
 * A frame from `data`. Without message and error it is a bare acknowledgement.
 * @typedef {{requestId: string, message?: ModelMessage, error?: WireFailure}} DataFrame
 */
/**
 * A requested clip. `start`, `end` and `now` in seconds of the recording; `playlist` is an address.
 * @typedef {{kind: string, start: number, end: number, now: number, playlist: string}} ClipReady
 */
/**
 * A frame from `control`; of a schema only that it came. A frame without id and payload is a pong.
 * @typedef {{requestId: string, schema?: true, ended?: string, clip?: ClipReady,
 *   moderation?: {action: string, message: string}, error?: WireFailure}} ControlFrame
 */
/**
 * @typedef {{ping: true} | {fileUploaded: UploadReference} | {publish: string}
 *   | {pause: string} | {resume: string} | {unpublish: string} | {clip: number} | {recording: true}} ControlOrder
 *   `clip` in seconds
 */

const REQUEST = 1;
const NOTIFICATION = 3;
/** Nesting limit in both directions: hostile bytes must not exhaust the stack. */
const MAX_DEPTH = 64;

/**
 * Encode a command as one frame for `data`.
 * @param {string} requestId non-empty; the reply repeats it
 * @param {string} type the command's name
 * @param {JsonObject} data numbers must be finite
 * @param {Record<string, UploadReference>} [uploads] argument name → uploaded file
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeCommand(requestId, type, data, uploads = {}) {
  const command = new Writer().text(1, type).message(2, struct(data, 0));
  for (const [argument, reference] of Object.entries(uploads)) {
    command.message(3, new Writer().text(1, argument).message(2, uploadReference(reference)));
  }
  return envelope(requestId, REQUEST).message(10, command).finish();
}

/**
 * Encode a request or notification as one frame for `control`.
 * @param {ControlOrder} order
 * @param {string} [requestId] for requests that get a reply: `publish`, `clip`, `recording`
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeControl(order, requestId = "") {
  const frame = envelope(requestId, requestId ? REQUEST : NOTIFICATION);
  if ("ping" in order) return frame.message(10, new Writer()).finish();
  if ("fileUploaded" in order) return frame.message(12, uploadReference(order.fileUploaded)).finish();
  if ("clip" in order) return frame.message(13, new Writer().double(1, order.clip)).finish();
  if ("recording" in order) return frame.message(14, new Writer()).finish();
  if ("publish" in order) return frame.message(15, new Writer().text(1, order.publish)).finish();
  if ("pause" in order) return frame.message(16, new Writer().text(1, order.pause)).finish();
  if ("resume" in order) return frame.message(17, new Writer().text(1, order.resume)).finish();
  return frame.message(18, new Writer().text(1, order.unpublish)).finish();
}

/**
 * Decode one frame from `data`.
 * @param {Uint8Array} bytes
 * @returns {DataFrame}
 * @throws {WireError}
 */
export function decodeData(bytes) {
  /** @type {DataFrame} */
  const frame = { requestId: "" };
  for (const { field, value } of fields(bytes)) {
    if (field === 1) frame.requestId = asText(value);
    else if (field === 10) frame.message = modelMessage(asBytes(value));
    else if (field === 40) frame.error = failure(asBytes(value));
  }
  return frame;
}

/**
 * Decode one frame from `control`.
 * @param {Uint8Array} bytes
 * @returns {ControlFrame}
 * @throws {WireError}
 */
export function decodeControl(bytes) {
  /** @type {ControlFrame} */
  const frame = { requestId: "" };
  for (const { field, value } of fields(bytes)) {
    if (field === 1) frame.requestId = asText(value);
    else if (field === 10) frame.schema = true;
    else if (field === 11) frame.clip = clipReady(asBytes(value));
    else if (field === 12) frame.error = clipFailure(firstText(asBytes(value)));
    else if (field === 13) frame.moderation = moderation(asBytes(value));
    else if (field === 15) frame.ended = firstText(asBytes(value));
    else if (field === 40) frame.error = failure(asBytes(value));
  }
  return frame;
}

// --- writing ---------------------------------------------------------------------------------------------------------

/**
 * @param {string} requestId
 * @param {number} kind
 */
function envelope(requestId, kind) {
  const writer = new Writer();
  if (requestId) writer.text(1, requestId);
  return writer.integer(2, kind);
}

/** @param {UploadReference} reference */
function uploadReference({ upload_id, name, mime_type, size }) {
  return new Writer().text(1, upload_id).text(2, name).text(3, mime_type).integer(4, size);
}

/**
 * @param {JsonObject} object
 * @param {number} depth
 */
function struct(object, depth) {
  const writer = new Writer();
  for (const [key, value] of Object.entries(object)) {
    if (value !== undefined) writer.message(1, new Writer().text(1, key).message(2, structValue(value, depth + 1)));
  }
  return writer;
}

/**
 * @param {JsonValue} value
 * @param {number} depth
 * @returns {Writer}
 */
function structValue(value, depth) {
  if (depth > MAX_DEPTH) throw new WireError(`a value nested deeper than ${MAX_DEPTH} levels cannot be sent`);
  const writer = new Writer();
  if (value === null) return writer.integer(1, 0);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new WireError(`${value} cannot be sent; only finite numbers can`);
    return writer.double(2, value);
  }
  if (typeof value === "string") return writer.text(3, value);
  if (typeof value === "boolean") return writer.integer(4, value ? 1 : 0);
  if (!Array.isArray(value)) return writer.message(5, struct(value, depth));
  const list = new Writer();
  for (const item of value) list.message(1, structValue(item, depth + 1));
  return writer.message(6, list);
}

// --- reading ---------------------------------------------------------------------------------------------------------

/** @param {Uint8Array} bytes */
function firstText(bytes) {
  let text = "";
  for (const { field, value } of fields(bytes)) if (field === 1) text = asText(value);
  return text;
}

/**
 * @param {Uint8Array} bytes
 * @returns {WireFailure}
 */
function failure(bytes) {
  const result = { code: "", message: "" };
  for (const { field, value } of fields(bytes)) {
    if (field === 1) result.code = asText(value);
    else if (field === 2) result.message = asText(value);
  }
  return result;
}

/**
 * @param {Uint8Array} bytes
 * @returns {ModelMessage}
 */
function modelMessage(bytes) {
  /** @type {ModelMessage} */
  const result = { type: "", data: {} };
  for (const { field, value } of fields(bytes)) {
    if (field === 1) result.type = asText(value);
    else if (field === 2) result.data = readStruct(asBytes(value), 0);
  }
  return result;
}

/**
 * @param {Uint8Array} bytes
 * @returns {ClipReady}
 */
function clipReady(bytes) {
  const clip = { kind: "", start: 0, end: 0, now: 0, playlist: "" };
  for (const { field, value } of fields(bytes)) {
    if (field === 2) clip.kind = asText(value);
    else if (field === 3) clip.start = asDouble(value);
    else if (field === 4) clip.end = asDouble(value);
    else if (field === 5) clip.now = asDouble(value);
    else if (field === 7) clip.playlist = asText(value);
  }
  return clip;
}

/** Codes of clip failures, which servers report by their texts only. @type {Record<string, string>} */
const CLIP_FAILURES = {
  "recorder disabled": "RECORDER_DISABLED",
  "recorder disabled or encoder crashed": "RECORDER_DISABLED",
  "the model has no video output, so it is not recorded and has no clips": "RECORDER_DISABLED",
  "no media generated yet": "NO_MEDIA_YET",
  "this connection may not record; it needs a token with the scope `record`": "FORBIDDEN",
};

/**
 * @param {string} reason
 * @returns {WireFailure}
 */
function clipFailure(reason) {
  return { code: CLIP_FAILURES[reason] ?? "INTERNAL_ERROR", message: reason };
}

/** @param {Uint8Array} bytes */
function moderation(bytes) {
  const result = { action: "", message: "" };
  for (const { field, value } of fields(bytes)) {
    if (field === 1) result.action = asText(value);
    else if (field === 5) result.message = asText(value);
  }
  return result;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} depth
 * @returns {JsonObject}
 */
function readStruct(bytes, depth) {
  /** @type {[string, JsonValue][]} */
  const entries = [];
  for (const { field, value } of fields(bytes)) {
    if (field !== 1) continue;
    let key = "";
    /** @type {JsonValue} */
    let content = null;
    for (const part of fields(asBytes(value))) {
      if (part.field === 1) key = asText(part.value);
      else if (part.field === 2) content = readValue(asBytes(part.value), depth + 1);
    }
    entries.push([key, content]);
  }
  // fromEntries defines own properties, so a key such as "__proto__" stays a plain key.
  return Object.fromEntries(entries);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} depth
 * @returns {JsonValue}
 */
function readValue(bytes, depth) {
  if (depth > MAX_DEPTH) throw new WireError(`a value nested deeper than ${MAX_DEPTH} levels`);
  /** @type {JsonValue} */
  let result = null;
  for (const { field, value } of fields(bytes)) {
    if (field === 1) result = null;
    else if (field === 2) result = asDouble(value);
    else if (field === 3) result = asText(value);
    else if (field === 4) result = value !== 0;
    else if (field === 5) result = readStruct(asBytes(value), depth);
    else if (field === 6) result = readList(asBytes(value), depth);
  }
  return result;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} depth
 * @returns {JsonValue[]}
 */
function readList(bytes, depth) {
  const list = [];
  for (const { field, value } of fields(bytes)) if (field === 1) list.push(readValue(asBytes(value), depth + 1));
  return list;
}
