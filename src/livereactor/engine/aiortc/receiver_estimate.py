"""What a receiver's own estimate of the path (REMB) says about it. Pure: `now` is passed in.

Without transport-cc the receiver estimates, and it can only see what it gets: a quiet picture makes it report half as
much again as that picture needs, which is no limit of the path. Believing it would let the encoder shrink step by step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 1.0  # seconds over which what is sent is averaged
CONGESTED: Final = 1.1  # an estimate below this much of what is sent: the receiver backs off to 0.85, else grows to 1.5
NO_LIMIT_BELOW: Final = 300_000  # bits a second; with less on the way a key Frame alone upsets the average


@dataclass(slots=True)
class Bounds:
    """Bits a second between which estimates are reported; `start_bps` is assumed while nothing is wrong."""

    min_bps: int
    start_bps: int
    max_bps: int


class ReceiverEstimate:
    """The rate one receiver allows."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._bps, self._at = 0.0, 0.0

    def sent(self, size_bytes: int, now: float) -> None:
        """These bytes were sent."""
        self._bps = self._sent_bps(now) + size_bytes * 8 / WINDOW
        self._at = now

    def told(self, bps: int, now: float) -> int:
        """The receiver estimated `bps`; what to report."""
        sent = self._sent_bps(now)
        congested = sent > NO_LIMIT_BELOW and bps < CONGESTED * sent
        believed = bps if congested else max(bps, self._bounds.start_bps)
        return max(self._bounds.min_bps, min(believed, self._bounds.max_bps))

    def _sent_bps(self, now: float) -> float:
        return self._bps * math.exp(-(now - self._at) / WINDOW)
