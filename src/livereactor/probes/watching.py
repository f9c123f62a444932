"""A log of the frames of a track: time, number, age, and the colour in the middle. Any thread may add.

The number and the time of a conformance model's frame are a barcode in the top sixth of its picture: three rows of 32
cells; a cell is W/32 wide and H/18 high. Row 0 is the counter (bit 31: made by a client), rows 1 and 2 the low 48 bits
of a microsecond clock, then CRC-16/CCITT-FALSE over those ten bytes, big endian.
"""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

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
class Barcode:
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


def draw_barcode(pixels: Pixels, code: Barcode) -> None:
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


def read_barcode(pixels: Pixels) -> Barcode | None:
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


def _body(code: Barcode) -> bytes:
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


def _parse(bits: np.ndarray) -> Barcode | None:
    raw = np.packbits(bits).tobytes()
    if binascii.crc_hqx(raw[:10], 0xFFFF) != int.from_bytes(raw[10:], "big"):
        return None
    counter = int.from_bytes(raw[:4], "big")
    return Barcode(
        counter=counter & ~CLIENT_BIT, clock_us=int.from_bytes(raw[4:10], "big"), client=bool(counter & CLIENT_BIT)
    )


KEPT = 20_000  # frames; eleven minutes at 30 a second


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """One received frame.

    Attributes:
        at: monotonic seconds at which it arrived.
        counter: its barcode's counter, None where that was unreadable.
        client: made by a client.
        age_ms: between its stamp and its arrival, on this machine's clock.
        middle: mean RGB of the middle.
        tag: the frame's user data read as a number, None without.
    """

    at: float
    width: int
    height: int
    counter: int | None
    client: bool
    age_ms: float | None
    middle: tuple[int, int, int]
    tag: int | None = None


class Watch:
    """A log of frames, and of sound blocks, with what tests ask of it."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self.seen: list[ReceivedFrame] = []
        self.wants_picture = False  # the next frame's pixels are kept
        self.picture: np.ndarray | None = None
        self.keep = 0  # so many frames more keep their pixels, in `kept`
        self.kept: list[tuple[float, np.ndarray]] = []
        self._changed = changed
        self._sound: list[tuple[float, int, np.ndarray]] = []
        self.sound_seconds = 0.0

    @property
    def count(self) -> int:
        return len(self.seen)

    def add(self, pixels: np.ndarray, user_data: bytes | None = None) -> None:
        at = time.monotonic()
        if len(self.seen) < KEPT:
            self.seen.append(seen_frame(pixels, at, user_data))
        if self.wants_picture:
            self.picture, self.wants_picture = pixels.copy(), False
        if self.keep:
            self.keep -= 1
            self.kept.append((at, pixels.copy()))
        self._changed()

    def first_color(self, start: int, color: str) -> float | None:
        """Return when the first frame from the `start`-th on with `rrggbb` in its middle came."""
        wanted = tuple(bytes.fromhex(color))
        for frame in self.seen[start:]:
            if all(abs(have - want) < 48 for have, want in zip(frame.middle, wanted, strict=True)):
                return frame.at
        return None

    def summary(self, start: int = 0) -> dict[str, Any]:
        """Plain data about the frames from the `start`-th on."""
        return summarize(self.seen[start:])

    def add_sound(self, samples: np.ndarray, rate: int) -> None:
        block = np.asarray(samples, np.int16).reshape(-1)
        self._sound.append((time.monotonic(), rate, block.copy()))
        self.sound_seconds += block.size / rate
        self._changed()

    def sound_summary(self) -> dict[str, Any]:
        """Pitch of the second half, level, and the arrivals of loud clicks."""
        if not self._sound:
            return {"blocks": 0}
        rate = self._sound[0][1]
        samples = np.concatenate([block for _, _, block in self._sound]).astype(np.float64)
        half = samples[samples.size // 2 :]
        window = half * np.hanning(half.size)
        spectrum = np.abs(np.fft.rfft(window))
        peak = int(np.argmax(spectrum[1:])) + 1
        pitch = peak * rate / half.size
        return {
            "blocks": len(self._sound),
            "rate": rate,
            "pitch_hz": pitch,
            "level": float(np.sqrt(np.mean(half**2))),
            "longest_gap_ms": float(max(np.diff([at for at, _, _ in self._sound]), default=0.0)) * 1e3,
        }


def seen_frame(pixels: np.ndarray, at: float, user_data: bytes | None = None) -> ReceivedFrame:
    """Read one picture that arrived at `at`."""
    height, width = pixels.shape[:2]
    code = read_barcode(pixels)
    patch = pixels[height * 2 // 5 : height * 3 // 5 : 4, width * 2 // 5 : width * 3 // 5 : 4]
    red, green, blue = (int(value) for value in patch.reshape(-1, 3).mean(axis=0))
    return ReceivedFrame(
        at=at,
        width=width,
        height=height,
        counter=None if code is None else code.counter,
        client=bool(code and code.client),
        age_ms=None if code is None else code.age_us(int(at * 1e6)) / 1e3,
        middle=(red, green, blue),
        tag=int.from_bytes(user_data, "big") if user_data else None,
    )


def summarize(frames: list[ReceivedFrame]) -> dict[str, Any]:
    """Counts, order, sizes, gaps and ages of these frames, as plain data."""
    counters = [frame.counter for frame in frames if frame.counter is not None]
    arrivals = [frame.at for frame in frames]
    gaps = np.diff(arrivals) * 1e3 if len(arrivals) > 1 else np.zeros(0)
    ages = [frame.age_ms for frame in frames if frame.age_ms is not None]
    return {
        "count": len(frames),
        "decoded": len(counters),
        "first": counters[0] if counters else None,
        "last": counters[-1] if counters else None,
        "backwards": sum(1 for before, after in pairwise(counters) if after < before),
        "missing": max(0, counters[-1] - counters[0] + 1 - len(set(counters))) if counters else 0,
        "tagged": sum(1 for frame in frames if frame.tag is not None and frame.tag == frame.counter),
        "from_client": sum(1 for frame in frames if frame.client),
        "sizes": sorted({(frame.width, frame.height) for frame in frames}),
        "seconds": arrivals[-1] - arrivals[0] if len(arrivals) > 1 else 0.0,
        "first_at": arrivals[0] if arrivals else None,
        "gap_ms": percentiles(gaps),
        "jitter_ms": percentiles(np.abs(gaps - np.median(gaps))) if gaps.size else None,
        "age_ms": percentiles(ages),
    }


def percentiles(values: Any) -> dict[str, float] | None:
    """p50, p95, p99 and the largest, None of nothing."""
    array = np.asarray(values, float)
    if not array.size:
        return None
    p50, p95, p99 = np.percentile(array, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "max": float(array.max())}
