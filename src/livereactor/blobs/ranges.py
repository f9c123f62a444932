"""Cutting a byte range into the pieces it is read in. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from livereactor.base.limits import MIB

PIECE_BYTES = MIB  # big enough that a read costs more than its call, small enough that readers stay small


def pieces(total: int, start: int, length: int | None) -> Iterator[tuple[int, int]]:
    """Offset and size of each piece of `length` bytes from `start` (None = to the end) of `total` bytes.

    What lies beyond the end is left out, so a range wholly beyond it has no pieces.
    """
    end = total if length is None else min(total, start + length)
    for offset in range(start, end, PIECE_BYTES):
        yield offset, min(PIECE_BYTES, end - offset)
