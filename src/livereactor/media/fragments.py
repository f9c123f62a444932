"""Reading back what `boxes.py` wrote: an init segment, and the fragments of a segment's file. No other MP4s. Pure.

A file may be torn at its end, where a process was killed: what counts is whole pairs of `moof` and `mdat`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from livereactor.base.errors import LivereactorError
from livereactor.media.boxes import AUDIO_ID, KEY_FLAGS, VIDEO_ID, AudioTrack, Run, VideoTrack

# Where things are in boxes of a fixed layout, counted from their first byte, header included.
AVC1_SIDES, AVC1_BOXES, MP4A_CHANNELS, MP4A_RATE, MP4A_BOXES = 32, 86, 24, 32, 36
STSD_ENTRIES, FULL = 16, 12
BASE_IS_MOOF, WIDE_TIME, PICTURES, SOUND = 0x02_0000, 0x0100_0000, 0x701, 0x301  # versions and flags
CONFIG_TAG: Final = 5  # DecoderSpecificInfo (ISO/IEC 14496-1, 7.2.6.7)
LONGEST_CONFIG: Final = 64  # bytes; ours has two to five
LEVEL_BYTE: Final = 3  # of an SPS (ITU-T H.264, 7.3.2.1.1), the last that a track's description repeats
LATEST: Final = 1 << 53  # of a time; thousands of years
MOST_MOOF: Final = 1 << 20  # bytes; a quarter of a second has some 1,000


class DamagedError(LivereactorError):
    """A recording that cannot be read."""


@dataclass(frozen=True, slots=True)
class Lying:
    """Samples of one track that lie together in a file, the first byte at `offset`."""

    run: Run
    offset: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """A whole `moof` and `mdat`.

    Attributes:
        end: the first byte behind them.
        pictures, sound: what they hold.
    """

    end: int
    pictures: Lying | None
    sound: Lying | None


def boxes_in(data: bytes, *, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """The boxes of one level, whole ones only: kind, first byte and end. Stops at what is cut short."""
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1 and at + 16 <= end:
            size, header = struct.unpack_from(">Q", data, at + 8)[0], 16
        if size < header or at + size > end:
            return
        yield kind.decode("latin-1"), at, at + size
        at += size


def init_of(file: BinaryIO) -> bytes:
    """The init segment that a file begins with; its position is behind it.

    Raises:
        DamagedError: it begins with something else.
    """
    data = b""
    for kind in (b"ftyp", b"moov"):
        head = file.read(8)
        if head[4:] != kind or not 8 <= (size := struct.unpack(">I", head[:4])[0]) <= MOST_MOOF:
            raise DamagedError("the file does not begin with an init segment of livereactor")
        data += head + file.read(size - 8)
    return data


def read_init(data: bytes) -> tuple[VideoTrack, AudioTrack | None]:
    """Read the decoder configuration of the tracks from an init segment.

    Raises:
        DamagedError: it is none of ours, or not whole.
    """
    try:
        tracks = [
            _description(data, begin, end) for begin, end in _all(data, "moov", "trak", "mdia", "minf", "stbl", "stsd")
        ]
    except (struct.error, IndexError, StopIteration) as error:
        raise DamagedError("the init segment is incomplete, or was not written by livereactor") from error
    match tracks:
        case [VideoTrack() as video]:
            return video, None
        case [VideoTrack() as video, AudioTrack() as audio]:
            return video, audio
        case _:
            raise DamagedError("the init segment has no picture, or more tracks than are recorded")


def fragments_in(file: BinaryIO) -> Iterator[Fragment]:
    """The whole fragments of a segment's file, from its position on; only their `moof`s are read.

    Raises:
        DamagedError: something else than a torn end is wrong with it.
    """
    at, size = file.tell(), file.seek(0, 2)
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind != b"moof" or not 8 < length <= MOST_MOOF:
            raise DamagedError(f"no fragment at byte {at} of a segment")
        body = at + length
        if body + 8 > size:
            return
        moof = file.read(length - 8)
        held, kind = struct.unpack(">I4s", file.read(8))
        if body + held > size:
            return
        yield _fragment(moof, at, body + held)
        at = body + held


def _fragment(moof: bytes, at: int, end: int) -> Fragment:
    lying = dict[int, Lying]()
    try:
        for begin, stop in _all(moof, "traf"):
            number, found = _lying(moof, begin, stop, at)
            if found.run.start > LATEST or not 0 <= found.offset <= end - found.run.size_bytes:
                raise ValueError("samples lie outside of the data")
            lying[number] = found
    except (struct.error, StopIteration, ValueError) as error:
        raise DamagedError(f"the fragment at byte {at} of a segment was not written by livereactor") from error
    return Fragment(end, lying.get(VIDEO_ID), lying.get(AUDIO_ID))


def _lying(moof: bytes, begin: int, end: int, at: int) -> tuple[int, Lying]:
    parts = {kind: start for kind, start, _ in boxes_in(moof, start=begin + 8, end=end)}
    if not {"tfhd", "tfdt", "trun"} <= parts.keys():
        raise ValueError("boxes are missing")
    based, number = struct.unpack_from(">II", moof, parts["tfhd"] + 8)
    version, start = struct.unpack_from(">IQ", moof, parts["tfdt"] + 8)
    flags, count, offset = struct.unpack_from(">IIi", moof, parts["trun"] + 8)
    if based != BASE_IS_MOOF or version != WIDE_TIME or flags not in (PICTURES, SOUND):
        raise ValueError("the boxes describe samples in an unknown way")
    columns = 3 if flags == PICTURES else 2
    rows = np.frombuffer(moof, ">u4", count * columns, parts["trun"] + 20).reshape(count, columns)
    durations, sizes = rows[:, 0].astype(np.uint32), rows[:, 1].astype(np.uint32)
    keys: NDArray[np.bool_] | None = rows[:, 2] == KEY_FLAGS if columns == 3 else None
    return number, Lying(Run(start, durations, sizes, keys), at + offset)


def _all(data: bytes, *path: str) -> Iterator[tuple[int, int]]:
    """Every box that lies in boxes of these kinds: first byte and end."""
    places = [(-8, len(data))]
    for wanted in path:
        places = [
            (begin, end)
            for outer, until in places
            for kind, begin, end in boxes_in(data, start=outer + 8, end=until)
            if kind == wanted
        ]
    yield from places


def _description(data: bytes, begin: int, end: int) -> VideoTrack | AudioTrack:
    kind, entry, stop = next(boxes_in(data, start=begin + STSD_ENTRIES, end=end))
    if kind == "mp4a":
        (channels,) = struct.unpack_from(">H", data, entry + MP4A_CHANNELS)
        (rate,) = struct.unpack_from(">I", data, entry + MP4A_RATE)
        _, esds, _ = next(boxes_in(data, start=entry + MP4A_BOXES, end=stop))
        config = _config(data, esds + FULL)
        if not rate >> 16 or len(config) > LONGEST_CONFIG:
            raise IndexError
        return AudioTrack(rate >> 16, channels, config)
    width, height = struct.unpack_from(">HH", data, entry + AVC1_SIDES)
    _, avcc, _ = next(boxes_in(data, start=entry + AVC1_BOXES, end=stop))
    sps, at = _sets(data, avcc + 13, data[avcc + 13] & 31)
    pps, _ = _sets(data, at, data[at])
    if not sps or any(len(each) <= LEVEL_BYTE for each in sps):
        raise IndexError
    return VideoTrack(width, height, sps, pps)


def _sets(data: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    """The parameter sets behind their count, which is at `at`, and the first byte behind them."""
    at, found = at + 1, list[bytes]()
    for _ in range(count):
        (size,) = struct.unpack_from(">H", data, at)
        found.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return tuple(found), at


def _config(data: bytes, at: int) -> bytes:
    """Read the AudioSpecificConfig from the nested descriptors at `at`, as `boxes.py` writes them."""
    decoder = at + 2 + 3  # behind the elementary stream's own three bytes
    specific = decoder + 2 + 13
    if data[specific] != CONFIG_TAG:
        raise IndexError
    return data[specific + 2 : specific + 2 + data[specific + 1]]
