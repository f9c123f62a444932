// MP4 files from damaged bytes: every damage is an Mp4Error.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Mp4Error, box, joined, words } from "../../../../src/livereactor/playground/js/media/mp4-boxes.js";
import { Film } from "../../../../src/livereactor/playground/js/media/mp4-film.js";

const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const zeros = (count) => new Uint8Array(count);

/** One track of pictures, 1000 ticks a second, 10 bytes and 100 ticks each. */
function init({ timescale = 1000 } = {}) {
  const entry = box("avc1", zeros(78), box("avcC", Uint8Array.of(1, 0x42, 0xc0, 0x1e)));
  const table = box("stbl", box("stsd", words([0, 1]), entry), box("stts", words([0, 0])));
  const media = box(
    "mdia",
    box("mdhd", words([0, 0, 0, timescale, 0, 0])),
    box("hdlr", words([0, 0]), ascii("vide"), zeros(13)),
    box("minf", table),
  );
  const track = box("trak", box("tkhd", words([0, 0, 0, 1, 0, 0]), zeros(60)), media);
  const defaults = box("mvex", box("trex", words([0, 1, 1, 100, 10, 0x10000])));
  return box("moov", box("mvhd", words([0, 0, 0, 1000, 0]), zeros(80)), track, defaults);
}

/** A key and `count - 1` others. */
function part(time, count, body = zeros(10 * count)) {
  const length = 8 + 16 + 8 + 16 + 20 + 24;
  const fragment = box(
    "traf",
    box("tfhd", words([0x020000, 1])),
    box("tfdt", words([0x01000000, Math.floor(time / 2 ** 32), time])),
    box("trun", words([0x000005, count, length + 8, 0])),
  );
  return joined(box("moof", box("mfhd", words([0, 1])), fragment), box("mdat", body));
}

/** The words of a table of the film's only track. */
function table(head, type) {
  const text = String.fromCharCode(...head);
  const at = text.indexOf(type) - 4;
  const data = new DataView(head.buffer, head.byteOffset);
  return Array.from({ length: data.getUint32(at) / 4 - 2 }, (_, word) => data.getUint32(at + 8 + 4 * word));
}

test("a film has its samples in tables, from time 0", () => {
  const film = new Film(init());
  const first = film.add(part(50_000, 3));
  const second = film.add(part(50_300, 2));
  assert.deepEqual([first[0].length, second[0].length, film.size], [30, 20, 50]);
  const head = film.head();
  assert.deepEqual(table(head, "stts"), [0, 1, 5, 100]);
  assert.deepEqual(table(head, "stsz"), [0, 0, 5, 10, 10, 10, 10, 10]);
  assert.deepEqual(table(head, "stss"), [0, 2, 1, 4]);
  assert.deepEqual(table(head, "stsc"), [0, 2, 1, 3, 1, 2, 2, 1]);
  assert.deepEqual(table(head, "stco"), [0, 2, head.length, head.length + 30]);
});

test("a picture is shown until the next one, whatever its part says", () => {
  const film = new Film(init());
  film.add(part(0, 2));
  film.add(part(1000, 1));
  film.add(part(1050, 1));
  assert.deepEqual(table(film.head(), "stts"), [0, 4, 1, 100, 1, 900, 1, 50, 1, 100]);
});

test("two hours of ticks at once are no trouble, nor is a day of them", () => {
  const film = new Film(init({ timescale: 90_000 }));
  film.add(part(0, 1));
  film.add(part(24 * 3600 * 90_000, 1));
  const [, , , , , , , duration] = table(film.head(), "mdhd");
  assert.equal(duration, (24 * 3600 * 90_000 + 100) % 2 ** 32);
});

test("a film without a picture is none", () => {
  assert.throws(() => new Film(init()).head(), Mp4Error);
  assert.throws(() => new Film(zeros(0)), Mp4Error);
});

test("samples that are not in their part are refused", () => {
  assert.throws(() => new Film(init()).add(part(0, 3, zeros(20))), Mp4Error);
});

test("bytes of any kind are a part or an Mp4Error, nothing else", () => {
  let state = 20261127;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let round = 0; round < 5000; round++) {
    const bytes = [init(), part(0, 3)].map((whole) => {
      const damaged = Uint8Array.from(whole);
      for (let change = 0; change < 2; change++) damaged[Math.floor(random() * damaged.length)] = random() * 256;
      return damaged.subarray(0, random() < 0.1 ? Math.floor(random() * damaged.length) : damaged.length);
    });
    try {
      const film = new Film(bytes[0]);
      film.add(bytes[1]);
      film.head();
    } catch (error) {
      assert.ok(error instanceof Mp4Error, error.stack);
    }
  }
});
