"""Token frames: tiny pictures that carry a viewer's id and a frame's number through an encoder's input.

An inline encoder of libwebrtc is called with a raw frame and nothing else, and not with the viewer it encodes for. So
the raw frame is the message: black and white blocks of 4×4 pixels, sixteen a row, nine rows, which survive colour
conversion and the halving an encoder under load may do. Pure: no clock, no IO, no state.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

WIDTH: Final = 64  # pixels; even, as 4:2:0 wants it, and as small as libwebrtc encodes without padding
HEIGHT: Final = 36
_COLUMNS: Final = 16  # blocks a row, so two payload bytes
_ROWS: Final = 9
_PAYLOAD_BYTES: Final = _COLUMNS * _ROWS // 8
_FIELDS: Final = struct.Struct(">II")
_CHECK: Final = struct.Struct(">I")
_BLACK: Final = b"\x00\x00\x00\xff"  # one BGRA pixel
_WHITE: Final = b"\xff\xff\xff\xff"
# What eight blocks look like in one pixel row, per value of their byte: drawing is then joining, 4 µs a token.
_STRIPES: Final = tuple(
    b"".join((_WHITE if byte & (0x80 >> bit) else _BLACK) * (WIDTH // _COLUMNS) for bit in range(8))
    for byte in range(256)
)
_TO_DIGIT: Final = bytes(0x30 if luma < 128 else 0x31 for luma in range(256))


@dataclass(frozen=True, slots=True)
class FrameToken:
    """The content of a token frame; both fields are unsigned 32 bits."""

    viewer: int
    number: int


def draw(token: FrameToken) -> bytes:
    """Draw a token.

    Returns:
        BGRA bytes of a picture of WIDTH × HEIGHT pixels.

    Raises:
        struct.error: a field is not an unsigned 32-bit number.
    """
    fields = _FIELDS.pack(token.viewer, token.number)
    payload = (fields + _CHECK.pack(zlib.crc32(fields))).ljust(_PAYLOAD_BYTES, b"\x00")
    rows = (
        (_STRIPES[payload[at]] + _STRIPES[payload[at + 1]]) * (HEIGHT // _ROWS) for at in range(0, _PAYLOAD_BYTES, 2)
    )
    return b"".join(rows)


def read(luma: bytes, *, width: int, height: int) -> FrameToken | None:
    """Read a token back.

    Args:
        luma: the Y plane, row by row without padding, full or limited range.
        width, height: its size, WIDTH × HEIGHT or that scaled down to no less than a quarter.

    Returns:
        The token, or None when the picture is none (its checksum is wrong).
    """
    if width < _COLUMNS or height < _ROWS or len(luma) < width * height:
        return None
    row_starts, columns = _samples(width, height)
    sampled = b"".join(luma[start : start + width][columns] for start in row_starts)
    if len(sampled) != _COLUMNS * _ROWS:
        return None
    payload = int(sampled.translate(_TO_DIGIT), 2).to_bytes(_PAYLOAD_BYTES, "big")
    fields = payload[: _FIELDS.size]
    (check,) = _CHECK.unpack_from(payload, _FIELDS.size)
    if check != zlib.crc32(fields):
        return None
    viewer, number = _FIELDS.unpack(fields)
    return FrameToken(viewer, number)


@lru_cache(maxsize=8)
def _samples(width: int, height: int) -> tuple[tuple[int, ...], slice]:
    """Return the positions of the blocks' middles: starts of the rows, and a slice over one row."""
    rows = tuple(((2 * row + 1) * height // (2 * _ROWS)) * width for row in range(_ROWS))
    step = width // _COLUMNS
    return rows, slice(step // 2, step * _COLUMNS, step)
