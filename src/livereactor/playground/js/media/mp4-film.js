/**
 * Build an ordinary MP4 from the parts of a fragmented one: `moov` first, starting at 0, samples unchanged. Pure.
 *
 * The bytes of the samples are returned to the caller: for an hour of film only its index is held here.
 */

import { Mp4Error, box, boxAt, boxesIn, joined, longs, view, words } from "./mp4-boxes.js";
import { runsOf, tracksOf } from "./mp4-fragments.js";

/** @typedef {import("./mp4-fragments.js").Track} Track */
/** Run-length encoded values. @typedef {[count: number, value: number][]} Runs */

const CONTAINERS = ["moov", "trak", "mdia", "minf", "stbl"];
/** Boxes of fragments, and sample tables that are written anew. */
const REPLACED = ["mvex", "edts", "stts", "ctts", "stsc", "stsz", "stco", "co64", "stss", "sgpd", "sbgp"];
/**
 * Bytes between dates and duration of a header: a timescale, or an id and four reserved bytes.
 * @type {Record<string, number>}
 */
const HEADERS = { mvhd: 4, mdhd: 4, tkhd: 8 };
const FILE_TYPE = box("ftyp", ascii("isom"), words([0x200]), ascii("isomiso2avc1mp41"));
const LARGEST = 2 ** 32 - 1;

export class Film {
  /** Bytes of all samples so far. */
  size = 0;

  #init;
  /** @type {Samples[]} */
  #tracks;

  /**
   * @param {Uint8Array} init
   * @throws {Mp4Error}
   */
  constructor(init) {
    this.#init = init;
    this.#tracks = tracksOf(init).map((track) => new Samples(track));
  }

  /**
   * Add the next part.
   * @param {Uint8Array} part whole fragments
   * @returns {Uint8Array[]} bytes of the samples, views of the part, to be written after the head in this order
   * @throws {Mp4Error}
   */
  add(part) {
    const bodies = [...boxesIn(part)].filter(({ type }) => type === "mdat");
    for (const run of runsOf(part, this.#tracks.map(({ track }) => track))) {
      let before = this.size;
      const end = run.offset + run.samples.reduce((sum, { size }) => sum + size, 0);
      const home = bodies.find((each) => {
        if (run.offset >= each.body && end <= each.end) return true;
        before += each.end - each.body;
        return false;
      });
      if (!home) throw new Mp4Error("samples lie outside their part");
      this.#tracks.find(({ track }) => track.id === run.track)?.add(run, before + run.offset - home.body);
    }
    this.size += bodies.reduce((sum, { body, end }) => sum + end - body, 0);
    return bodies.map(({ body, end }) => part.subarray(body, end));
  }

  /**
   * Return everything that stands before the bytes of the samples.
   * @throws {Mp4Error} the film has no samples
   */
  head() {
    const tracks = this.#tracks.filter(({ count }) => count > 0);
    if (tracks.length === 0) throw new Mp4Error("the film has no samples");
    const start = Math.min(...tracks.map((each) => each.start));
    for (const each of tracks) each.begin(start);
    const isWide = this.size > LARGEST - 2 ** 28;
    const body = isWide
      ? joined(words([1]), ascii("mdat"), longs([this.size + 16]))
      : joined(words([this.size + 8]), ascii("mdat"));
    const movie = (/** @type {number} */ at) => this.#movie(tracks, at, isWide);
    // The length of `moov` does not depend on the offsets in it.
    const length = FILE_TYPE.length + movie(0).length + body.length;
    return joined(FILE_TYPE, movie(length), body);
  }

  /**
   * @param {readonly Samples[]} tracks
   * @param {number} at offset of the first sample
   * @param {boolean} isWide
   */
  #movie(tracks, at, isWide) {
    const init = this.#init;
    const movie = boxAt(init, ["moov"]);
    const header = boxAt(init, ["mvhd"], movie).body;
    const timescale = view(init).getUint32(header + (init[header] === 1 ? 20 : 12));
    const seconds = Math.max(...tracks.map((each) => each.delay + each.seconds));
    /**
     * @param {import("./mp4-boxes.js").Box} here
     * @param {Samples | null} track
     * @returns {Uint8Array}
     */
    const copy = (here, track) => {
      const { type, start, body, end } = here;
      if (REPLACED.includes(type)) return new Uint8Array();
      const span = HEADERS[type];
      if (span !== undefined) {
        const lasts = track ? track.delay + track.seconds : seconds;
        const ticks = type === "mdhd" && track ? track.duration : Math.round(lasts * timescale);
        const copied = box(type, withDuration(init.subarray(body, end), span, ticks));
        return type === "tkhd" && track?.delay ? joined(copied, track.edit(timescale)) : copied;
      }
      if (!CONTAINERS.includes(type)) return init.subarray(start, end);
      const mine = type === "trak" ? tracks.find((each) => each.track.box.start === start) : track;
      if (mine === undefined) return new Uint8Array();
      const children = [...boxesIn(init, body, end)].map((child) => copy(child, mine));
      return box(type, ...children, ...(type === "stbl" && mine ? mine.tables(at, isWide) : []));
    };
    return copy(movie, null);
  }
}

/** The samples of one track. */
class Samples {
  track;
  count = 0;
  /** Duration of all samples, in ticks. */
  duration = 0;
  /** Seconds between the beginning of the film and the first sample. */
  delay = 0;

  /** @type {number | null} ticks */
  #first = null;
  /** @type {Runs} */
  #durations = [];
  /** @type {Runs} */
  #shifts = [];
  /** @type {number[]} */
  #sizes = [];
  /** @type {number[]} counted from 1 */
  #keys = [];
  /** @type {number[]} */
  #places = [];
  /** @type {number[]} samples at each place */
  #counts = [];
  #hasBegun = false;

  /** @param {Track} track */
  constructor(track) {
    this.track = track;
  }

  /** Time of the first sample, in seconds on the clock of the parts. */
  get start() {
    return (this.#first ?? 0) / this.track.timescale;
  }

  get seconds() {
    return this.duration / this.track.timescale;
  }

  /**
   * @param {import("./mp4-fragments.js").Run} run
   * @param {number} place of its first sample among the bytes of all samples
   */
  add({ time, samples }, place) {
    if (samples.length === 0) return;
    this.#first ??= time ?? 0;
    // A sample lasts until the next one begins; the duration of the last one in a part may be wrong.
    if (time !== null) this.#lengthen(time - this.#first - this.duration);
    this.#places.push(place);
    this.#counts.push(samples.length);
    for (const { duration, size, isKey, shift } of samples) {
      this.#sizes.push(size);
      this.count++;
      if (isKey) this.#keys.push(this.count);
      append(this.#durations, duration);
      append(this.#shifts, shift);
      this.duration += duration;
    }
  }

  /** Lengthen the last sample. @param {number} by ticks */
  #lengthen(by) {
    const last = this.#durations.at(-1);
    if (!last || by === 0) return;
    const longer = Math.max(0, last[1] + by);
    this.duration += longer - last[1];
    if (--last[0] === 0) this.#durations.pop();
    append(this.#durations, longer);
  }

  /**
   * Align the track with the beginning of the film. A late first video frame is stretched back; late sound is delayed.
   * @param {number} start seconds on the clock of the parts
   */
  begin(start) {
    const late = Math.round(((this.#first ?? 0) / this.track.timescale - start) * this.track.timescale);
    if (this.#hasBegun || late <= 0) return;
    this.#hasBegun = true;
    if (this.track.handler !== "vide") return void (this.delay = late / this.track.timescale);
    const [first] = this.#durations;
    if (!first) return;
    const longer = first[1] + late;
    if (--first[0] === 0) this.#durations.shift();
    this.#durations.unshift([1, longer]);
    this.duration += late;
  }

  /** Build the edit list of a delayed track. @param {number} timescale of the film */
  edit(timescale) {
    const times = [this.delay, this.seconds].map((seconds) => Math.round(seconds * timescale));
    const [before = 0, after = 0] = times;
    return box("edts", box("elst", words([0, 2, before, -1, 0x10000, after, 0, 0x10000])));
  }

  /**
   * Build the sample tables.
   * @param {number} at offset of the first sample
   * @param {boolean} isWide
   */
  tables(at, isWide) {
    const places = this.#places.map((place) => at + place);
    /** @type {Runs} */
    const counts = [];
    for (const count of this.#counts) append(counts, count);
    let place = 1;
    const chunks = counts.flatMap(([runs, count]) => [(place += runs) - runs, count, 1]);
    const isShifted = this.#shifts.some(([, shift]) => shift !== 0);
    const isAllKeys = this.#keys.length === this.count;
    return [
      box("stts", words([0, this.#durations.length, ...this.#durations.flat()])),
      ...(isShifted ? [box("ctts", words([0x1000000, this.#shifts.length]), words(this.#shifts.flat()))] : []),
      ...(isAllKeys ? [] : [box("stss", words([0, this.#keys.length]), words(this.#keys))]),
      box("stsc", words([0, counts.length]), words(chunks)),
      box("stsz", words([0, 0, this.count]), words(this.#sizes)),
      isWide
        ? box("co64", words([0, places.length]), longs(places))
        : box("stco", words([0, places.length]), words(places)),
    ];
  }
}

/**
 * @param {Runs} runs
 * @param {number} value
 */
function append(runs, value) {
  const last = runs.at(-1);
  if (last && last[1] === value) last[0]++;
  else runs.push([1, value]);
}

/**
 * Return the body of a header with another duration, in 64 bits: 32 bits of 1/90 000 s would overflow after 13 hours.
 * @param {Uint8Array} body
 * @param {number} span bytes between dates and duration
 * @param {number} duration
 */
function withDuration(body, span, duration) {
  const isLong = body[0] === 1;
  const dates = isLong ? body.subarray(4, 20) : longs([view(body).getUint32(4), view(body).getUint32(8)]);
  const at = isLong ? 20 : 12;
  const rest = body.subarray(at + span + (isLong ? 8 : 4));
  return joined(Uint8Array.of(1), body.subarray(1, 4), dates, body.subarray(at, at + span), longs([duration]), rest);
}

/** @param {string} text */
function ascii(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
