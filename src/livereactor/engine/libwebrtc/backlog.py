"""What still waits before a narrow network, and what that leaves for new pictures. Pure.

When a way becomes narrow, libwebrtc's estimate says so half a second later and more; what was handed over meanwhile
waits in its pacer, which lets go of it at the estimated rate. A sender that then uses the whole rate stays as late as
it is for good (2 s were measured at 1 Mbit/s). So a part of the rate goes to what waits, until nothing does.
"""

from __future__ import annotations

from typing import Final

NARROWED: Final = 0.85  # of the best rate lately: below this something may be waiting
FADES: Final = 0.98  # of the best rate, with each rate heard (some ten a second): a way that stays narrow is no news
IN_TIME: Final = 0.05  # seconds in the pacer that are nothing; a key frame takes as long
LEAST: Final = 0.2  # of the rate, for new pictures whatever waits
CALM: Final = 10  # samples without anything that waits, after which there is no more to look for


class Backlog:
    """One video output's.

    Attributes:
        is_suspected: samples are wanted.
    """

    def __init__(self) -> None:
        self.is_suspected = False
        self._best = 0.0
        self._packets, self._waited = 0, 0.0  # in all, as sampled last
        self._seconds = 0.0
        self._calm = 0

    def rate(self, bps: int) -> int:
        """Congestion control allows `bps`; what new pictures may use of it."""
        self._best = max(float(bps), self._best * FADES)
        if bps < NARROWED * self._best:
            self.is_suspected, self._calm = True, 0
        return round(bps * max(LEAST, 1.0 - max(0.0, self._seconds - IN_TIME)))

    def sample(self, packets: int, waited: float) -> None:
        """So many packets have been sent in all, and waited so many seconds in the pacer, in all."""
        if packets > self._packets:
            self._seconds = max(0.0, waited - self._waited) / (packets - self._packets)
        self._packets, self._waited = packets, waited
        self._calm = 0 if self._seconds > IN_TIME else self._calm + 1
        if self._calm >= CALM:
            self.is_suspected = False
