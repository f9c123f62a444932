"""A log of the frames of a track: time, number, age, and the colour in the middle. Any thread may add."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from livereactor.probes.barcode import read

KEPT = 20_000  # frames; eleven minutes at 30 a second


@dataclass(frozen=True, slots=True)
class Seen:
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
        self.seen: list[Seen] = []
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
            self.seen.append(look(pixels, at, user_data))
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


def look(pixels: np.ndarray, at: float, user_data: bytes | None = None) -> Seen:
    """Read one picture that arrived at `at`."""
    height, width = pixels.shape[:2]
    code = read(pixels)
    patch = pixels[height * 2 // 5 : height * 3 // 5 : 4, width * 2 // 5 : width * 3 // 5 : 4]
    red, green, blue = (int(value) for value in patch.reshape(-1, 3).mean(axis=0))
    return Seen(
        at=at,
        width=width,
        height=height,
        counter=None if code is None else code.counter,
        client=bool(code and code.client),
        age_ms=None if code is None else code.age_us(int(at * 1e6)) / 1e3,
        middle=(red, green, blue),
        tag=int.from_bytes(user_data, "big") if user_data else None,
    )


def summarize(frames: list[Seen]) -> dict[str, Any]:
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
