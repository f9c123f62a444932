"""The boxes of an MP4 of H.264 and AAC (ISO/IEC 14496-12, -14, -15): an init segment, fragments, and a flat film.

Pure. PyAV's muxers close a segment at a key frame only and keep no index (docs on recording); these few boxes let a
recording be flushed four times a second, and a clip be written from samples wherever they lie.

Samples are in decode order, which is their order of showing: there are no B frames.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

VIDEO_SCALE: Final = 90_000  # units a second of a video track's times, as in RTP
AAC_SAMPLES: Final = 1024  # of one frame of sound
MOVIE_SCALE: Final = 1_000  # of the film's own duration: 49 days in 32 bits
VIDEO_ID, AUDIO_ID = 1, 2
# ISO/IEC 14496-12, 8.8.3.1: a picture that others depend on or not, and may be begun at or not.
KEY_FLAGS, DELTA_FLAGS = 0x0200_0000, 0x0101_0000
MOST_32 = 2**32 - 1

_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000)  # shown as it is


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The decoder configuration of the pictures.

    Attributes:
        width, height: pixels.
        sps, pps: parameter sets (ITU-T H.264, 7.3.2) without start codes; more than one of each where two encoders
            made the pictures, told apart by their ids.
    """

    width: int
    height: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """The decoder configuration of the sound.

    Attributes:
        rate: samples a second, which is the scale of the track's times too.
        channels: 1 or 2.
        config: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
    """

    rate: int
    channels: int
    config: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of one track that follow each other.

    Attributes:
        start: time of the first, in the track's scale.
        durations: uint32, shape (samples,), in the track's scale.
        sizes: uint32, shape (samples,), bytes.
        keys: bool, shape (samples,), for pictures that can be begun at; None = all, as for sound.
    """

    start: int
    durations: NDArray[np.uint32]
    sizes: NDArray[np.uint32]
    keys: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def size_bytes(self) -> int:
        return int(self.sizes.sum(dtype=np.uint64))

    @property
    def duration(self) -> int:
        return int(self.durations.sum(dtype=np.uint64))


@dataclass(frozen=True, slots=True)
class Chunks:
    """The layout of a flat MP4 file's body: samples of one track that lie together, chunk after chunk.

    Attributes:
        video: bool, shape (chunks,): of pictures, and not of sound.
        samples: uint32, of each.
        sizes: uint64, bytes of each.
    """

    video: NDArray[np.bool_]
    samples: NDArray[np.uint32]
    sizes: NDArray[np.uint64]


def init_segment(video: VideoTrack, audio: AudioTrack | None) -> bytes:
    """`ftyp` and a `moov` without samples: what every fragment needs before it."""
    tracks = [_track(VIDEO_ID, video)] + ([] if audio is None else [_track(AUDIO_ID, audio)])
    extends = [_full("trex", 0, 0, struct.pack(">5I", number, 1, 0, 0, 0)) for number in (VIDEO_ID, AUDIO_ID)]
    movie = _box("moov", _movie_header(0), *tracks, _box("mvex", *extends[: len(tracks)]))
    return _file_type(b"iso6") + movie


def fragment(sequence: int, video: Run | None, audio: Run | None) -> bytes:
    """`moof` and the head of the `mdat` behind it; the pictures' bytes have to follow, then the sound's.

    Args:
        sequence: counts from 1 through a film.
        video, audio: None or empty where there are none.
    """
    runs = [(VIDEO_ID, video), (AUDIO_ID, audio)]
    given = [(number, run) for number, run in runs if run is not None and len(run)]
    sizes = [run.size_bytes for _, run in given]

    def moof(offset: int) -> bytes:
        parts, at = list[bytes](), offset
        for (number, run), size in zip(given, sizes, strict=True):
            parts.append(_track_fragment(number, run, at))
            at += size
        return _box("moof", _full("mfhd", 0, 0, struct.pack(">I", sequence)), *parts)

    head = moof(len(moof(0)) + 8)  # offsets count from the first byte of the moof
    return head + struct.pack(">I4s", 8 + sum(sizes), b"mdat")


def film_head(video: VideoTrack, pictures: Run, audio: AudioTrack | None, sound: Run | None, chunks: Chunks) -> bytes:
    """All of a flat film but its body: `ftyp`, `moov` and the head of `mdat`. Both tracks start at 0.

    Args:
        chunks: of the body's bytes, which have to follow.
    """
    duration = pictures.duration / VIDEO_SCALE
    if audio is not None and sound is not None:
        duration = max(duration, sound.duration / audio.rate)
    body = int(chunks.sizes.sum())
    file_type, is_wide = _file_type(b"isom"), body > MOST_32 - (1 << 28)

    def movie(offset: int) -> bytes:
        tables = _tables(pictures, chunks, chunks.video, offset, is_wide)
        tracks = [_track(VIDEO_ID, video, pictures.duration, tables)]
        if audio is not None and sound is not None:
            tables = _tables(sound, chunks, ~chunks.video, offset, is_wide)
            tracks.append(_track(AUDIO_ID, audio, sound.duration, tables))
        return _box("moov", _movie_header(round(duration * MOVIE_SCALE)), *tracks)

    mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + body) if is_wide else struct.pack(">I4s", 8 + body, b"mdat")
    before = len(file_type) + len(movie(0)) + len(mdat)
    return file_type + movie(before) + mdat


# --- the samples of a flat film ------------------------------------------------------------------------------------


def _tables(run: Run, chunks: Chunks, mine: NDArray[np.bool_], offset: int, is_wide: bool) -> bytes:
    starts = np.cumsum(chunks.sizes) - chunks.sizes + np.uint64(offset)
    counts = chunks.samples[mine]
    offsets = starts[mine].astype(">u8" if is_wide else ">u4").tobytes()
    number = struct.pack(">I", len(counts))
    parts = [
        _full("stts", 0, 0, _run_lengths(run.durations)),
        _full("stsc", 0, 0, _chunk_runs(counts)),
        _full("stsz", 0, 0, struct.pack(">II", 0, len(run)) + run.sizes.astype(">u4").tobytes()),
        _full("co64" if is_wide else "stco", 0, 0, number + offsets),
    ]
    if run.keys is not None:
        keys = (np.flatnonzero(run.keys) + 1).astype(">u4")
        parts.insert(1, _full("stss", 0, 0, struct.pack(">I", len(keys)) + keys.tobytes()))
    return b"".join(parts)


def _run_lengths(values: NDArray[np.uint32]) -> bytes:
    """A count, then (how many, value) pairs."""
    firsts, lengths = _runs(values)
    pairs = np.column_stack([lengths, values[firsts]]).astype(">u4")
    return struct.pack(">I", len(pairs)) + pairs.tobytes()


def _chunk_runs(counts: NDArray[np.uint32]) -> bytes:
    """A count, then (first chunk, samples a chunk, description) triples."""
    firsts, _ = _runs(counts)
    triples = np.column_stack([firsts + 1, counts[firsts], np.ones(len(firsts), np.uint32)]).astype(">u4")
    return struct.pack(">I", len(triples)) + triples.tobytes()


def _runs(values: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find where runs of equal values begin, and how long they are."""
    if not len(values):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    firsts = np.concatenate([[0], np.flatnonzero(np.diff(values.astype(np.int64))) + 1])
    return firsts, np.diff(np.append(firsts, len(values)))


# --- boxes ---------------------------------------------------------------------------------------------------------


def _box(kind: str, *parts: bytes) -> bytes:
    size = 8 + sum(map(len, parts))
    return b"".join((struct.pack(">I4s", size, kind.encode()), *parts))


def _full(kind: str, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _file_type(brand: bytes) -> bytes:
    return _box("ftyp", brand, struct.pack(">I", 0x200), b"isom", b"iso6", b"avc1", b"mp41")


def _movie_header(duration: int) -> bytes:
    numbers = struct.pack(">4I", 0, 0, MOVIE_SCALE, duration)
    rest = struct.pack(">IHH8x", 0x10000, 0x100, 0) + _MATRIX + bytes(24) + struct.pack(">I", AUDIO_ID + 1)
    return _full("mvhd", 0, 0, numbers + rest)


def _track(number: int, track: VideoTrack | AudioTrack, duration: int = 0, tables: bytes | None = None) -> bytes:
    is_video = isinstance(track, VideoTrack)
    scale = VIDEO_SCALE if isinstance(track, VideoTrack) else track.rate
    shown = round(duration * MOVIE_SCALE / scale)
    size = (track.width, track.height) if isinstance(track, VideoTrack) else (0, 0)
    header = struct.pack(">5I8xHHHxx", 0, 0, number, 0, shown, 0, 0, 0 if is_video else 0x100)
    sides = struct.pack(">II", size[0] << 16, size[1] << 16)
    empty = [_full(kind, 0, 0, bytes(4)) for kind in ("stts", "stsc", "stco")] + [_full("stsz", 0, 0, bytes(8))]
    samples = b"".join(empty) if tables is None else tables
    description = _avc1(track) if isinstance(track, VideoTrack) else _mp4a(track)
    media = _box(
        "mdia",
        # Wide: pictures of more than 13 hours do not fit 32 bits. The language is "und" (ISO 639-2/T in 5 bits each).
        _full("mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, scale, duration, 0x55C4, 0)),
        _full("hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide" if is_video else b"soun"), b"livereactor\0"),
        _box(
            "minf",
            _full("vmhd", 0, 1, bytes(8)) if is_video else _full("smhd", 0, 0, bytes(4)),
            _box("dinf", _full("dref", 0, 0, struct.pack(">I", 1), _full("url ", 0, 1))),
            _box("stbl", _full("stsd", 0, 0, struct.pack(">I", 1), description), samples),
        ),
    )
    return _box("trak", _full("tkhd", 0, 3, header + _MATRIX + sides), media)


def _avc1(track: VideoTrack) -> bytes:
    """ISO/IEC 14496-15, 5.3.3 and 5.3.4."""
    profile = track.sps[0][1:4]
    sets = bytes([0xE0 | len(track.sps)]) + b"".join(map(_counted, track.sps))
    sets += bytes([len(track.pps)]) + b"".join(map(_counted, track.pps))
    # 4:2:0, 8 bits: what High and its relatives have to add.
    extension = b"\xfd\xf8\xf8\0" if profile[0] in (100, 110, 122, 144) else b""
    config = _box("avcC", b"\1" + profile + b"\xff" + sets + extension)
    head = struct.pack(">6xH16xHHIIIH32xHh", 1, track.width, track.height, 0x48_0000, 0x48_0000, 0, 1, 0x18, -1)
    return _box("avc1", head, config)


def _counted(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _mp4a(track: AudioTrack) -> bytes:
    """ISO/IEC 14496-14, 5.6; the descriptors are those of ISO/IEC 14496-1, 7.2.6."""
    decoder = _descriptor(0x04, b"\x40\x15" + bytes(3) + struct.pack(">II", 0, 0) + _descriptor(0x05, track.config))
    stream = _descriptor(0x03, struct.pack(">HB", AUDIO_ID, 0) + decoder + _descriptor(0x06, b"\2"))
    head = struct.pack(">6xH8xHH4xI", 1, track.channels, 16, track.rate << 16)
    return _box("mp4a", head, _full("esds", 0, 0, stream))


def _descriptor(tag: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def _track_fragment(number: int, run: Run, offset: int) -> bytes:
    # Default-base-is-moof: offsets count from the moof, wherever the fragment is put.
    header = _full("tfhd", 0, 0x02_0000, struct.pack(">I", number))
    time = _full("tfdt", 1, 0, struct.pack(">Q", run.start))
    if run.keys is None:
        columns = [run.durations, run.sizes]
        flags = 0x301
    else:
        columns = [run.durations, run.sizes, np.where(run.keys, KEY_FLAGS, DELTA_FLAGS)]
        flags = 0x701
    rows = np.column_stack(columns).astype(">u4").tobytes()
    return _box("traf", header, time, _full("trun", 0, flags, struct.pack(">Ii", len(run), offset), rows))
