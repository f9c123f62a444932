// What mp4box.js, the reader that the official JavaScript client writes its films with, finds in files.
// node mp4box.mjs FILE…: a JSON object a line, with every sample, and what it complained of.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createFile, Log } from "mp4box";

function found(path) {
  const complaints = [];
  const file = createFile(true);
  const samples = {};
  let info = null;
  file.onError = (module, message) => complaints.push(`${module}: ${message}`);
  file.onReady = (ready) => {
    info = ready;
    for (const track of ready.tracks) file.setExtractionOptions(track.id, track.id, { nbSamples: 1 });
    file.start();
  };
  file.onSamples = (_, id, given) => {
    for (const each of given) {
      (samples[id] ??= []).push({
        time: each.cts / each.timescale,
        duration: each.duration / each.timescale,
        key: each.is_sync,
        hash: createHash("sha256").update(each.data).digest("hex"),
      });
    }
  };
  Log.setLogLevel(Log.LOG_LEVEL_WARN ?? 3);
  for (const name of ["warn", "error"]) Log[name] = (module, message) => complaints.push(`${module}: ${message}`);
  const bytes = readFileSync(path);
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  data.fileStart = 0;
  file.appendBuffer(data, true);
  file.flush();
  return {
    complaints,
    boxes: file.boxes.map((box) => box.type),
    fragmented: info?.isFragmented,
    duration: info ? info.duration / info.timescale : null,
    tracks: (info?.tracks ?? []).map((track) => ({
      kind: track.type,
      codec: track.codec,
      edits: track.edits ?? null,
      samples: samples[track.id] ?? [],
    })),
  };
}

for (const path of process.argv.slice(2)) console.log(JSON.stringify(found(path)));
