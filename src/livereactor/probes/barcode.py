"""The barcode in the top sixth of a conformance model's picture: drawing it and reading it back. Pure.

Three rows of 32 cells; a cell is W/32 wide and H/18 high. Row 0 is the counter (bit 31: made by a client), rows 1
and 2 the low 48 bits of a microsecond clock, then CRC-16/CCITT-FALSE over those ten bytes, big endian.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from livereactor.media.frames import Pixels

ROWS, COLUMNS, ROWS_PER_HEIGHT = 3, 32, 18
DARK, BRIGHT, THRESHOLD = 16, 235, 128
CLIENT_BIT = 1 << 31
CLOCK_MASK = (1 << 48) - 1
# 92 candidates are tried at most, so a wrong code passes the 16-bit CRC once in 700 frames that are spoilt.
WEAK_CELLS, MAX_FLIPS = 8, 3
# A cell this far from the threshold was not mistaken (219 steps lie between dark and bright); most cells must be.
SURE, MOST_UNSURE = 70.0, 32


@dataclass(frozen=True, slots=True)
class Code:
    """The content of a barcode.

    Attributes:
        counter: frame counter from 1 up, without the client's bit.
        client: the frame was made by a client.
        clock_us: CLOCK_MONOTONIC in microseconds, modulo 2**48.
    """

    counter: int
    clock_us: int
    client: bool = False

    def age_us(self, now_us: int) -> int:
        """Microseconds between the stamp and `now_us`, which is on the same clock."""
        return (now_us - self.clock_us) & CLOCK_MASK


def draw(pixels: Pixels, code: Code) -> None:
    """Write `code` into the top sixth of `pixels`, in place; sides from 64 pixels up."""
    height, width = pixels.shape[:2]
    body = _body(code)
    raw = body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")
    bits = np.unpackbits(np.frombuffer(raw, np.uint8)).reshape(ROWS, COLUMNS)
    columns = [x * COLUMNS // width for x in range(width)]
    for row in range(ROWS):
        top, bottom = -(-row * height // ROWS_PER_HEIGHT), -(-(row + 1) * height // ROWS_PER_HEIGHT)
        line = np.where(bits[row], BRIGHT, DARK).astype(np.uint8)[columns]
        pixels[top:bottom] = line[None, :, None]


def read(pixels: Pixels) -> Code | None:
    """The code in `pixels`, or None where no reading passes the CRC.

    Averages the middle half of each cell of the green channel; where the CRC fails, tries the weakest cells both ways.
    """
    height, width = pixels.shape[:2]
    if height < 2 * ROWS_PER_HEIGHT or width < 2 * COLUMNS:
        return None
    levels = _levels(pixels[..., 1])
    margins = np.abs(levels - THRESHOLD)
    if np.count_nonzero(margins < SURE) > MOST_UNSURE:
        return None  # no barcode at all; trying would only find one by accident
    bits = levels >= THRESHOLD
    code = _parse(bits)
    if code is not None:
        return code
    weak = [int(cell) for cell in np.argsort(margins, kind="stable")[:WEAK_CELLS] if margins[cell] < SURE]
    for count in range(1, MAX_FLIPS + 1):
        for cells in combinations(weak, count):
            flipped = bits.copy()
            flipped[list(cells)] ^= True
            code = _parse(flipped)
            if code is not None:
                return code
    return None


def _body(code: Code) -> bytes:
    counter = (code.counter & ~CLIENT_BIT & 0xFFFFFFFF) | (CLIENT_BIT if code.client else 0)
    return counter.to_bytes(4, "big") + (code.clock_us & CLOCK_MASK).to_bytes(6, "big")


def _levels(green: np.ndarray) -> np.ndarray:
    """Mean of the middle half of each of the 96 cells, row by row."""
    height, width = green.shape
    levels = np.empty((ROWS, COLUMNS))
    for row in range(ROWS):
        top, bottom = _middle(row, height, ROWS_PER_HEIGHT)
        line = green[top:bottom].mean(axis=0)
        sums = np.concatenate(([0.0], np.cumsum(line)))
        for column in range(COLUMNS):
            left, right = _middle(column, width, COLUMNS)
            levels[row, column] = (sums[right] - sums[left]) / (right - left)
    return levels.reshape(-1)


def _middle(index: int, size: int, parts: int) -> tuple[int, int]:
    cell = size / parts
    start = int((index + 0.25) * cell)
    return start, max(start + 1, int((index + 0.75) * cell))


def _parse(bits: np.ndarray) -> Code | None:
    raw = np.packbits(bits).tobytes()
    if binascii.crc_hqx(raw[:10], 0xFFFF) != int.from_bytes(raw[10:], "big"):
        return None
    counter = int.from_bytes(raw[:4], "big")
    return Code(
        counter=counter & ~CLIENT_BIT,
        clock_us=int.from_bytes(raw[4:10], "big"),
        client=bool(counter & CLIENT_BIT),
    )
