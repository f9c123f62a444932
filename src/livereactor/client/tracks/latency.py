"""How old a Frame is when it is delivered: the far end stamps it with a clock that need not be ours. Pure."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

KEPT: Final = 512  # stamps between two samples: two seconds of four tracks at 60 Frames a second
WINDOWS: Final = 15  # samples over which the quickest Frame is looked for: clocks drift by a millisecond in so long
SAME_CLOCK: Final = 10.0  # seconds; what looks older is of another clock


class Latency:
    """Stamps of Frames as they come, and what they say."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apart: deque[float] = deque(maxlen=KEPT)
        self._quickest: deque[float] = deque(maxlen=WINDOWS)

    def delivered(self, captured_us: int, now_us: int) -> None:
        """A Frame came that was stamped at `captured_us` of the far clock; from any thread."""
        with self._lock:
            self._apart.append((now_us - captured_us) / 1e6)

    def take(self, floor: float, *, same_machine: bool) -> tuple[float, float] | None:
        """p50 and p95 of what was delivered since the last call, milliseconds; None where nothing was.

        Between two machines the quickest Frame of the last half minute is taken to have been `floor` seconds under
        way, which is what the offset of their clocks is reckoned from: what a Frame waited at the far end before it
        was sent, and every Frame alike, cannot be seen from here.

        Args:
            floor: half a round trip and what receiving a Frame takes, seconds.
            same_machine: the far end is on this machine, so its clock is ours.
        """
        with self._lock:
            apart, self._apart = sorted(self._apart), deque(maxlen=KEPT)
        if not apart:
            return None
        self._quickest.append(apart[0])
        offset = 0.0 if same_machine and 0 <= apart[0] < SAME_CLOCK else min(self._quickest) - floor
        return (_at(apart, 0.5) - offset) * 1e3, (_at(apart, 0.95) - offset) * 1e3


def _at(values: Sequence[float], share: float) -> float:
    """The smallest of sorted values that so much of them is not above."""
    return values[min(len(values) - 1, int(share * len(values)))]
