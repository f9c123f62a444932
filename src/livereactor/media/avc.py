"""H.264 as encoders give it (Annex B) and as MP4 holds it (lengths before NAL units). Pure. ITU-T H.264, 7.3 and B."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from livereactor.media.boxes import VideoTrack

# A sequence parameter set without the rate that its encoder was opened with. Pure. ITU-T H.264, 7.3.2.1 and E.1.
# x264 writes a fixed frame rate into it. In a recording that is untrue, since pictures come when they come; and it
# would be the only thing in which two encoders of one size differ.

WITHOUT_CHROMA: Final = (66, 77, 88)  # profiles whose sets say nothing of chroma and scaling
EXTENDED_SAR: Final = 255
_EMULATION: Final = re.compile(b"\0\0\3(?=[\0-\3])|\0\0\3$")


def without_timing(sps: bytes) -> bytes:
    """Drop the timing of the VUI.

    Args:
        sps: a NAL unit without start code.

    Returns:
        `sps` itself where it has no timing, is of a High profile, or cannot be read.
    """
    if len(sps) < 4 or sps[1] not in WITHOUT_CHROMA:
        return sps
    bits = _Bits(_EMULATION.sub(b"\0\0", sps[1:]))
    try:
        at = _timing(bits)
    except IndexError:
        return sps
    if at is None:
        return sps
    kept = bits.text[:at] + "0" + bits.text[at + 1 + 32 + 32 + 1 : bits.text.rindex("1")] + "1"
    kept += "0" * (-len(kept) % 8)
    return sps[:1] + re.sub(b"\0\0(?=[\0-\3])", b"\0\0\3", int(kept, 2).to_bytes(len(kept) // 8, "big"))


def _timing(bits: _Bits) -> int | None:
    """Return the bit position of `timing_info_present_flag`; None where the flag is not set."""
    bits.skip(24)  # profile, constraints, level
    bits.number()  # id
    bits.number()  # of bits of a frame's number
    order_count = bits.number()  # kind of picture order count
    if order_count == 0:
        bits.number()
    elif order_count == 1:
        bits.skip(1)
        bits.number()
        bits.number()
        for _ in range(bits.number()):
            bits.number()
    bits.number()  # reference frames
    bits.skip(1)
    bits.number()  # width
    bits.number()  # height
    if not bits.flag():  # fields
        bits.skip(1)
    bits.skip(1)
    if bits.flag():  # cropping
        for _ in range(4):
            bits.number()
    if not bits.flag():  # no VUI
        return None
    _skip_to_timing(bits)
    return bits.at if bits.flag(stay=True) else None


def _skip_to_timing(bits: _Bits) -> None:
    if bits.flag() and bits.read(8) == EXTENDED_SAR:  # aspect ratio
        bits.skip(32)
    if bits.flag():  # overscan
        bits.skip(1)
    if bits.flag():  # what the signal is
        bits.skip(4)
        if bits.flag():
            bits.skip(24)
    if bits.flag():  # where chroma lies
        bits.number()
        bits.number()


class _Bits:
    """Reads bits; past the end it raises IndexError."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def skip(self, count: int) -> None:
        self.at += count

    def flag(self, *, stay: bool = False) -> bool:
        is_set = self.text[self.at] == "1"
        self.at += not stay
        return is_set

    def read(self, count: int) -> int:
        if self.at + count > len(self.text):
            raise IndexError
        self.at += count
        return int(self.text[self.at - count : self.at], 2) if count else 0

    def number(self) -> int:
        """ue(v), 9.1."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


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
    """Return an Annex B stream: the parameter sets, then the NAL units of `data`, each behind a start code."""
    parts, at = [b"\0\0\0\1" + each for each in parameter_sets], 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        parts.append(b"\0\0\0\1" + data[at + 4 : at + 4 + size])
        at += 4 + size
    return b"".join(parts)


def _of(units: Sequence[bytes], kind: int) -> tuple[bytes, ...]:
    return tuple(unit for unit in units if unit[0] & 31 == kind)
