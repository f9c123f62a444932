// Playlists of clips, valid and invalid.
import assert from "node:assert/strict";
import { test } from "node:test";
import { explainClip, inBytes, inWords } from "../../../../src/livereactor/playground/js/words/clips.js";
import { CommandMarks } from "../../../../src/livereactor/playground/js/views/timeline.js";
import { ClipError, partAt, readPlaylist } from "../../../../src/livereactor/playground/js/media/playlist.js";

const HERE = "http://here/clips?session_id=r&start=0.000&end=3.500";
const PLAYLIST = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="/clips/chunks/r/init.mp4"
#EXTINF:1.000,
/clips/chunks/r/chunk_00000.m4s
#EXTINF:2.500,
chunks/r/chunk_00001.m4s?sig=a
#EXT-X-ENDLIST
`;
const refused = (text) =>
  assert.throws(() => readPlaylist(text, HERE), (error) => error instanceof ClipError && error.code === "INVALID_PLAYLIST");

test("a playlist names its parts, each with its place in time", () => {
  assert.deepEqual(readPlaylist(PLAYLIST, HERE), {
    init: "http://here/clips/chunks/r/init.mp4",
    parts: [
      { url: "http://here/clips/chunks/r/chunk_00000.m4s", start: 0, seconds: 1 },
      { url: "http://here/chunks/r/chunk_00001.m4s?sig=a", start: 1, seconds: 2.5 },
    ],
  });
  assert.equal(readPlaylist(PLAYLIST.replaceAll("\n", "\r\n"), HERE).parts.length, 2);
});

test("a place in time is in a part, before the first in the first, after the last in none", () => {
  const playlist = readPlaylist(PLAYLIST, HERE);
  assert.deepEqual([-1, 0, 0.9, 1, 3.4, 99].map((at) => partAt(playlist, at)), [0, 0, 0, 1, 1, 2]);
});

test("what is no playlist of a film is refused", () => {
  refused("");
  refused("<!doctype html>");
  refused("#EXTM3U\n#EXT-X-ENDLIST\n");
  refused(PLAYLIST.replace(/#EXT-X-MAP.*\n/, ""));
  refused(PLAYLIST.replace("/clips/chunks/r/init.mp4", "javascript:alert(1)"));
  refused(PLAYLIST.replace("2.500", "2..5"));
});

test("every fault has a sentence and says what to do", () => {
  assert.match(explainClip(new ClipError("CLIP_GONE")), /Keep a new one\.$/);
  assert.match(explainClip(new ClipError("RECORDER_DISABLED")), /is not recording/);
  assert.equal(explainClip(new ClipError("INTERNAL_ERROR", "it rains")), "It rains. Try again.");
  assert.equal(explainClip(new TypeError("it snows")), "It snows. Try again.");
});

test("sizes and times are told as people do", () => {
  assert.deepEqual([4_000, 1_940_000, 123_400_000].map(inBytes), ["4 kB", "1.9 MB", "123 MB"]);
  assert.deepEqual([0.6, 59, 60, 61.2, 300].map(inWords), ["1 s", "59 s", "1 min", "1 min 1 s", "5 min"]);
});

test("commands in a row are one mark, and old marks are forgotten", () => {
  const marks = new CommandMarks(300);
  assert.deepEqual([10, 10.5, 10.9, 40].map((now) => marks.add(now)), [true, false, false, true]);
  assert.deepEqual(marks.seen(310), [1, 0.9]);
  assert.deepEqual(marks.seen(311), [271 / 300]);
});
