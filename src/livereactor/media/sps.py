"""A sequence parameter set without the rate that its encoder was opened with. Pure. ITU-T H.264, 7.3.2.1 and E.1.

x264 writes a fixed frame rate into it. In a recording that is untrue, since pictures come when they come; and it would
be the only thing in which two encoders of one size differ.
"""

from __future__ import annotations

import re
from typing import Final

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
    """Where `timing_info_present_flag` is; None where it is not set."""
    bits.skip(24)  # profile, constraints, level
    bits.number()  # id
    bits.number()  # of bits of a frame's number
    match bits.number():  # kind of picture order count
        case 0:
            bits.number()
        case 1:
            bits.skip(1)
            bits.number()
            bits.number()
            for _ in range(bits.number()):
                bits.number()
        case _:
            pass
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
