"""H.264 as encoders give it (Annex B) and as MP4 holds it (lengths before NAL units). Pure. ITU-T H.264, 7.3 and B."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_START: Final = re.compile(b"\0\0\0?\1")
SPS, PPS, SEI, DELIMITER = 7, 8, 6, 9


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture.

    Attributes:
        data: its slices, each behind its length in 4 bytes; no parameter sets, SEI or delimiters.
        sps, pps: the parameter sets that came with it, without start codes.
    """

    data: bytes
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


def parse(annex_b: bytes) -> AccessUnit:
    """Take apart what an encoder gave for one picture."""
    units = [unit for unit in _START.split(annex_b) if unit]
    slices = [unit for unit in units if unit[0] & 31 not in (SPS, PPS, SEI, DELIMITER)]
    data = b"".join(part for unit in slices for part in (struct.pack(">I", len(unit)), unit))
    return AccessUnit(data, _of(units, SPS), _of(units, PPS))


def to_annex_b(data: bytes, parameter_sets: Sequence[bytes] = ()) -> bytes:
    """For a decoder: the parameter sets, then the NAL units of `data`, each behind a start code."""
    parts, at = [b"\0\0\0\1" + each for each in parameter_sets], 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        parts.append(b"\0\0\0\1" + data[at + 4 : at + 4 + size])
        at += 4 + size
    return b"".join(parts)


def _of(units: Sequence[bytes], kind: int) -> tuple[bytes, ...]:
    return tuple(unit for unit in units if unit[0] & 31 == kind)
