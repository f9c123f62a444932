/** Read the samples of a fragmented MP4: the tracks of its init segment and the runs of a part. Pure. */

import { Mp4Error, boxAt, boxesIn, view } from "./mp4-boxes.js";

/** Defaults of samples. @typedef {{duration: number, size: number, flags: number}} Defaults */
/**
 * A track. `timescale`: ticks per second; `box`: its box in the init segment.
 * @typedef {{id: number, handler: string, timescale: number, defaults: Defaults,
 *   box: import("./mp4-boxes.js").Box}} Track
 */
/**
 * A sample, in ticks and bytes. `shift`: presentation time minus decoding time.
 * @typedef {{duration: number, size: number, isKey: boolean, shift: number}} Sample
 */
/**
 * Consecutive samples. `time`: ticks of the first sample, null = right after the run before; `offset`: its place in the
 * bytes of the part.
 * @typedef {{track: number, time: number | null, offset: number, samples: Sample[]}} Run
 */

const NOT_KEY = 0x10000;

/**
 * Read the tracks of an init segment.
 * @param {Uint8Array} init
 * @returns {Track[]}
 * @throws {Mp4Error}
 */
export function tracksOf(init) {
  return guarded(() => {
    const movie = boxAt(init, ["moov"]);
    const data = view(init);
    /** @type {Map<number, Defaults>} */
    const defaults = new Map();
    for (const { type, body } of boxesIn(init, ...inside(boxAt(init, ["mvex"], movie)))) {
      if (type !== "trex") continue;
      const [duration, size, flags] = [body + 12, body + 16, body + 20].map((at) => data.getUint32(at));
      defaults.set(data.getUint32(body + 4), /** @type {Defaults} */ ({ duration, size, flags }));
    }
    const tracks = [...boxesIn(init, ...inside(movie))].filter(({ type }) => type === "trak");
    return tracks.map((track) => {
      const header = boxAt(init, ["tkhd"], track).body;
      const media = boxAt(init, ["mdia", "mdhd"], track).body;
      const handler = boxAt(init, ["mdia", "hdlr"], track).body + 8;
      const id = data.getUint32(header + (init[header] === 1 ? 20 : 12));
      return {
        id,
        handler: String.fromCharCode(...init.subarray(handler, handler + 4)),
        timescale: data.getUint32(media + (init[media] === 1 ? 20 : 12)),
        defaults: defaults.get(id) ?? { duration: 0, size: 0, flags: 0 },
        box: track,
      };
    });
  });
}

/**
 * Read the runs of samples in a part.
 * @param {Uint8Array} part
 * @param {readonly Track[]} tracks
 * @returns {Run[]} in the order of the bytes
 * @throws {Mp4Error}
 */
export function runsOf(part, tracks) {
  return guarded(() => {
    /** @type {Run[]} */
    const runs = [];
    for (const moof of boxesIn(part)) {
      if (moof.type !== "moof") continue;
      // By default, a track's samples begin where those of the track before end.
      let offset = moof.start;
      for (const fragment of boxesIn(part, ...inside(moof))) {
        if (fragment.type !== "traf") continue;
        for (const run of fragmentRuns(part, fragment, { tracks, moof: moof.start, offset })) {
          runs.push(run);
          offset = run.offset + run.samples.reduce((sum, { size }) => sum + size, 0);
        }
      }
    }
    return runs;
  });
}

/**
 * Return the media type of a film, which a browser needs before it plays the parts.
 * @param {Uint8Array} init
 * @returns {string} as `MediaSource.isTypeSupported` takes it
 */
export function mimeType(init) {
  return guarded(() => {
    const codecs = tracksOf(init).map(({ box }) => {
      const table = boxAt(init, ["mdia", "minf", "stbl", "stsd"], box);
      const [entry] = boxesIn(init, table.body + 8, table.end);
      if (entry?.type === "mp4a") return "mp4a.40.2";
      if (entry?.type !== "avc1") throw new Mp4Error(`unsupported codec “${entry?.type}”`);
      const { body } = boxAt(init, ["avcC"], { body: entry.body + 78, end: entry.end });
      const profile = [...init.subarray(body + 1, body + 4)];
      return `avc1.${profile.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    });
    return `video/mp4; codecs="${codecs.join(", ")}"`;
  });
}

/**
 * @param {Uint8Array} part
 * @param {import("./mp4-boxes.js").Box} fragment
 * @param {{tracks: readonly Track[], moof: number, offset: number}} place
 * @returns {Generator<Run>}
 */
function* fragmentRuns(part, fragment, { tracks, moof, offset }) {
  const header = fields(part, boxAt(part, ["tfhd"], fragment).body);
  const { flags } = header;
  const id = header.next();
  const track = tracks.find((each) => each.id === id);
  if (!track) throw new Mp4Error(`the film has no track ${id}`);
  if (flags & 0x1) throw new Mp4Error("offsets from the beginning of the whole film are not supported");
  if (flags & 0x2) header.next();
  /** @param {number} bit @param {number} otherwise */
  const own = (bit, otherwise) => (flags & bit ? header.next() : otherwise);
  const defaults = {
    duration: own(0x8, track.defaults.duration),
    size: own(0x10, track.defaults.size),
    flags: own(0x20, track.defaults.flags),
  };
  /** @type {number | null} */
  let time = timeOf(part, fragment);
  let next = flags & 0x20000 ? moof : offset;
  for (const { type, body } of boxesIn(part, ...inside(fragment))) {
    if (type !== "trun") continue;
    const { place, samples } = runOf(fields(part, body), defaults);
    const at = place === null ? next : (flags & 0x20000 ? moof : offset) + place;
    yield { track: id, time, offset: at, samples };
    next = at + samples.reduce((sum, { size }) => sum + size, 0);
    time = null;
  }
}

/**
 * @param {ReturnType<typeof fields>} run
 * @param {Defaults} defaults
 * @returns {{place: number | null, samples: Sample[]}}
 */
function runOf(run, defaults) {
  const { flags } = run;
  const count = run.next();
  // A sample has at least one byte: a short part must not announce billions of samples.
  if (count > run.most) throw new Mp4Error(`${count} samples do not fit in a part of ${run.most} bytes`);
  const place = flags & 0x1 ? run.next() | 0 : null;
  const first = flags & 0x4 ? run.next() : null;
  /** @type {Sample[]} */
  const samples = [];
  for (let number = 0; number < count; number++) {
    const duration = flags & 0x100 ? run.next() : defaults.duration;
    const size = flags & 0x200 ? run.next() : defaults.size;
    const said = flags & 0x400 ? run.next() : defaults.flags;
    // Read as signed in both versions of the box: no real shift exceeds 2^31 ticks.
    const shift = flags & 0x800 ? run.next() | 0 : 0;
    samples.push({ duration, size, shift, isKey: !((number === 0 && first !== null ? first : said) & NOT_KEY) });
  }
  return { place, samples };
}

/**
 * @param {Uint8Array} part
 * @param {import("./mp4-boxes.js").Box} fragment
 */
function timeOf(part, fragment) {
  const { body } = boxAt(part, ["tfdt"], fragment);
  return part[body] === 1 ? Number(view(part).getBigUint64(body + 4)) : view(part).getUint32(body + 4);
}

/**
 * Read the words of a box whose flags tell which words it has.
 * @param {Uint8Array} bytes
 * @param {number} body
 */
function fields(bytes, body) {
  const data = view(bytes);
  let at = body + 4;
  return { flags: data.getUint32(body) & 0xffffff, most: bytes.length, next: () => data.getUint32((at += 4) - 4) };
}

/**
 * @param {import("./mp4-boxes.js").Box} box
 * @returns {[number, number]}
 */
function inside({ body, end }) {
  return [body, end];
}

/**
 * Read hostile bytes: any failure becomes an Mp4Error.
 * @template T
 * @param {() => T} read
 * @returns {T}
 */
function guarded(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw new Mp4Error("a box is shorter than its content");
    throw error;
  }
}
