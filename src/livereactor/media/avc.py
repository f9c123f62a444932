"""H.264 as encoders give it (Annex B) and as MP4 holds it (lengths before NAL units). Pure. ITU-T H.264, 7.3 and B."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from livereactor.media.boxes import VideoTrack
from livereactor.media.sps import without_timing

_START: Final = re.compile(b"\0\0\0?\1")
IDR, SPS, PPS = 5, 7, 8
LEVEL_BYTE: Final = 3  # of an SPS (7.3.2.1.1)
SLICES: Final = range(1, IDR + 1)  # kinds of NAL unit that hold the picture


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture.

    Attributes:
        data: its slices, each behind its length in 4 bytes; nothing else.
        sps, pps: the parameter sets that came with it, without start codes; an SPS without its frame rate.
        key: a decoder can begin at it.
    """

    data: bytes
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    key: bool


def parse(annex_b: bytes) -> AccessUnit:
    """Take apart what an encoder gave for one picture."""
    # A NAL unit does not end in a zero: those belong to the start code behind it (B.1.1, trailing_zero_8bits).
    units = [unit for unit in (unit.rstrip(b"\0") for unit in _START.split(annex_b)) if unit]
    slices = [unit for unit in units if unit[0] & 31 in SLICES]
    data = b"".join(part for unit in slices for part in (struct.pack(">I", len(unit)), unit))
    is_key = any(unit[0] & 31 == IDR for unit in slices)
    return AccessUnit(data, tuple(map(without_timing, _of(units, SPS))), _of(units, PPS), is_key)


def track_of(unit: AccessUnit, width: int, height: int) -> VideoTrack:
    """The track that begins with this key frame.

    Args:
        unit: has the parameter sets of what follows.
        width, height: pixels.
    """
    assert unit.key
    assert unit.sps
    assert unit.pps
    return VideoTrack(width, height, unit.sps, unit.pps)


def level_of(track: VideoTrack) -> int:
    """The `level_idc` that an encoder of pictures for this track has to have."""
    return track.sps[0][LEVEL_BYTE]


def fits(unit: AccessUnit, track: VideoTrack) -> bool:
    """Whether this picture may follow in that track: it brings no other parameter sets than the track's.

    One that does not begins a track of its own, or is encoded again in the first one's size.
    """
    return set(unit.sps) <= set(track.sps) and set(unit.pps) <= set(track.pps)


def to_annex_b(data: bytes, parameter_sets: Sequence[bytes] = ()) -> bytes:
    """For a decoder: the parameter sets, then the NAL units of `data`, each behind a start code."""
    parts, at = [b"\0\0\0\1" + each for each in parameter_sets], 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        parts.append(b"\0\0\0\1" + data[at + 4 : at + 4 + size])
        at += 4 + size
    return b"".join(parts)


def _of(units: Sequence[bytes], kind: int) -> tuple[bytes, ...]:
    return tuple(unit for unit in units if unit[0] & 31 == kind)
