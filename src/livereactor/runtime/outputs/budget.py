"""What one encoded stream may spend: its bits against what the way to its viewers takes. Pure: `now` comes in.

A picture that is hard to encode costs more than a low rate has, whatever the encoder is told: libvpx at its coarsest
(qmax 56) makes 0.9 Mbit/s of grain at 640x360 and 30 fps, 3.3 at 1280x720. What is too much waits before the network,
seconds long. So pictures are left out instead: those that are seen are new.
"""

from __future__ import annotations

from collections import deque
from typing import Final

DEBT: Final = 0.15  # seconds of the rate that may be on their way; a first key frame is 0.125
# Seconds: so late congestion control says that a way has become narrow, later by the round trip where it is far. What
# was sent in the meantime still waits before it.
HINDSIGHT: Final = 0.9
LONGEST: Final = 0.7  # seconds between two pictures at most, however little the way takes


class Budget:
    """The bits of one stream that have not passed yet, as far as its rate tells."""

    def __init__(self) -> None:
        self._spent = deque[tuple[float, int]]()  # bits, and when; within HINDSIGHT
        self._bits, self._bps, self._at = 0.0, 1.0, float("-inf")  # not passed, at `at`

    def follow(self, bps: float, now: float) -> None:
        """The way takes `bps` bits a second, and where that is less than before, it has for a while."""
        self._settle(now)
        falls, self._bps = bps < self._bps, bps
        if falls:
            self._bits = max(self._bits, self._in_hindsight(now))

    def spend(self, size_bytes: int, now: float) -> None:
        """A picture of this size went."""
        self._settle(now)
        if now >= self._latest():  # it has been waited for long enough: what was reckoned was too much
            self._bits = min(self._bits, DEBT * self._bps)
        self._bits += size_bytes * 8
        self._spent.append((now, size_bytes * 8))

    def ready_at(self) -> float:
        """When the next picture may be made; a time that is past where nothing holds it."""
        return min(self._at + max(0.0, self._bits / self._bps - DEBT), self._latest())

    def _latest(self) -> float:
        return self._spent[-1][0] + LONGEST if self._spent else float("-inf")

    def _settle(self, now: float) -> None:
        if now > self._at:
            self._bits = self._left(self._bits, now - self._at)
            self._at = now
        while len(self._spent) > 1 and self._spent[0][0] < now - HINDSIGHT:
            self._spent.popleft()

    def _in_hindsight(self, now: float) -> float:
        bits, at = 0.0, now
        for spent_at, size in self._spent:
            bits, at = self._left(bits, spent_at - at) + size, spent_at
        return self._left(bits, now - at)

    def _left(self, bits: float, seconds: float) -> float:
        return max(0.0, bits - self._bps * max(0.0, seconds))
