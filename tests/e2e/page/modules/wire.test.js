// The codec against frames that were recorded from official servers and clients.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  WireError,
  decodeControl,
  decodeData,
  encodeCommand,
  encodeControl,
} from "../../../../src/livereactor/playground/js/client/wire.js";

const bytes = (hex) => Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (frame) => Buffer.from(frame).toString("hex");
const same = (frame, expected) => assert.equal(hex(frame), expected.replaceAll(" ", ""));

test("control frames are the official client's, byte for byte", () => {
  same(encodeControl({ ping: true }), "1003 5200");
  same(encodeControl({ resume: "main_video" }), "1003 8a01 0c 0a0a 6d61696e5f766964656f");
  same(encodeControl({ pause: "main_video" }), "1003 8201 0c 0a0a 6d61696e5f766964656f");
  same(encodeControl({ unpublish: "webcam" }), "1003 9201 08 0a06 77656263616d");
  same(encodeControl({ publish: "webcam" }, "ctrl_4"), "0a06 6374726c5f34 1001 7a08 0a06 77656263616d");
  const file = { upload_id: "up-1", name: "a.txt", mime_type: "text/plain", size: 5 };
  same(encodeControl({ fileUploaded: file }), "1003 621b 0a04 75702d31 1205 612e747874 1a0a 746578742f706c61696e 2005");
});

test("a command without arguments is the official client's, byte for byte", () => {
  same(encodeCommand("data_2", "ack", {}), "0a06 646174615f32 1001 5207 0a03 61636b 1200");
});

test("replies are read as the official runtime writes them", () => {
  assert.deepEqual(decodeData(bytes("0a06646174615f32 1002")), { requestId: "data_2" });
  const refusal = bytes("0a06 646174615f33 1002 c202 17 0a0f 696e76616c69645f636f6d6d616e64 1204 6e6f7065");
  assert.deepEqual(decodeData(refusal), { requestId: "data_3", error: { code: "invalid_command", message: "nope" } });
  const reply = bytes("0a06 646174615f31 1002 5218 0a04 6563686f 1210 0a0e 0a01 61 1209 11 000000000000f03f");
  assert.deepEqual(decodeData(reply), { requestId: "data_1", message: { type: "echo", data: { a: 1 } } });
  const schema = bytes("0a06 6374726c5f31 1002 5216 0a14 0a12 0a07 6f70656e617069 1207 1a05 332e312e30");
  assert.deepEqual(decodeControl(schema), { requestId: "ctrl_1", schema: true });
  assert.deepEqual(decodeControl(bytes("0a06 6374726c5f34 1002 7208 0a06 77656263616d")), { requestId: "ctrl_4" });
  assert.deepEqual(decodeControl(bytes("1003")), { requestId: "" });
});

test("every JSON value survives the way there and back", () => {
  const data = {
    nothing: null,
    yes: true,
    no: false,
    zero: 0,
    pi: 3.141592653589793,
    minus: -1e300,
    empty: "",
    words: "Grüße 🌊",
    list: [1, "two", [3, null], {}],
    nested: { deeper: { still: [] } },
    ["__proto__"]: 7,
  };
  // A command and a model message have the same shape; only the envelope's field differs in nothing that is read.
  const { requestId, message } = decodeData(encodeCommand("data_9", "set", data));
  assert.equal(requestId, "data_9");
  assert.deepEqual(Object.entries(message.data), Object.entries(data));
});

test("a size above 32 bits keeps its digits", () => {
  const size = 5_000_000_001;
  const frame = encodeControl({ fileUploaded: { upload_id: "", name: "", mime_type: "", size } });
  let value = 0n;
  [...frame.slice(frame.lastIndexOf(0x20) + 1)].forEach((byte, at) => (value |= BigInt(byte & 0x7f) << BigInt(7 * at)));
  assert.equal(Number(value), size);
});

test("unknown fields are skipped", () => {
  assert.deepEqual(decodeData(bytes("0a0131 f80701 fa0703616263 f1070000000000000000 fd0700000000 1002")), {
    requestId: "1",
  });
});

test("a number that cannot be sent is refused", () => {
  assert.throws(() => encodeCommand("1", "set", { x: NaN }), WireError);
});

test("bytes of any kind are a frame or a WireError, nothing else", () => {
  // A seeded generator: a failure comes back with the same bytes.
  let state = 20261124;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const whole = encodeCommand("data_1", "set", { a: [1, { b: "c" }], d: null });
  for (let round = 0; round < 20_000; round++) {
    const frame = round % 2 ? Uint8Array.from(whole) : new Uint8Array(Math.floor(random() * 40));
    for (let change = 0; change < (round % 2 ? 3 : frame.length); change++)
      frame[Math.floor(random() * frame.length)] = random() * 256;
    for (const decode of [decodeData, decodeControl]) {
      try {
        decode(frame);
      } catch (error) {
        assert.ok(error instanceof WireError, `${hex(frame)}: ${error.stack}`);
      }
    }
  }
});

test("nesting without end is refused, not followed", () => {
  let value = [];
  for (let depth = 0; depth < 5000; depth++) value = [value];
  assert.throws(() => encodeCommand("1", "set", { value }), WireError);
});

test("clips are asked for as the official client does", () => {
  same(encodeControl({ clip: 4 }, "ctrl_2"), "0a06 6374726c5f32 1001 6a09 09 0000000000001040");
  same(encodeControl({ recording: true }, "ctrl_3"), "0a06 6374726c5f33 1001 7200");
});

test("a clip's answer is read, and why there is none", () => {
  const text = (value) => hex(new TextEncoder().encode(value));
  const ready = `1204${text("snap")} 19 0000000000000040 21 0000000000001840 29 0000000000001c40 3a06${text("/clips")}`;
  const length = (ready.replaceAll(" ", "").length / 2).toString(16).padStart(2, "0");
  assert.deepEqual(decodeControl(bytes(`0a0131 1002 5a${length} ${ready}`)), {
    requestId: "1",
    clip: { kind: "snap", start: 2, end: 6, now: 7, playlist: "/clips" },
  });
  const failed = (reason) => {
    const said = text(reason);
    const size = (count) => count.toString(16).padStart(2, "0");
    return decodeControl(bytes(`0a0131 1002 62${size(said.length / 2 + 2)} 0a${size(said.length / 2)} ${said}`)).error;
  };
  assert.deepEqual(failed("recorder disabled"), { code: "RECORDER_DISABLED", message: "recorder disabled" });
  assert.equal(failed("recorder disabled or encoder crashed").code, "RECORDER_DISABLED");
  assert.equal(failed("no media generated yet").code, "NO_MEDIA_YET");
  assert.deepEqual(failed("it rains"), { code: "INTERNAL_ERROR", message: "it rains" });
});
