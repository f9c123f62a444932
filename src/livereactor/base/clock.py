"""Time. Seconds, float, monotonic, unless a name says otherwise (`_us`, `_ms`, `_at` for Unix seconds)."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time for threads and shells; machines are passed `now` instead."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def wait(self, seconds: float) -> None:
        """Block this thread; a test's clock returns at once and moves on."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


def monotonic_us() -> int:
    """CLOCK_MONOTONIC in microseconds: the stamp of frames."""
    return time.monotonic_ns() // 1000


def unix_us() -> int:
    """Microseconds of Unix time."""
    return time.time_ns() // 1000
