"""Rates of an encoder: the clock it counts in, and the bitrate it works at, which follows congestion control. Pure.

VP8 pays for each change with a key frame, so small ones are left out and short ones waited out.
"""

from __future__ import annotations

from typing import Final

TICKS: Final = 90_000  # a second: the RTP video clock (RFC 6184, section 8.2.1)


def advance(gap_us: int, fps: float) -> int:
    """Return the ticks from the last frame to this one, for the encoder's rate control.

    The real gap within a half to four intervals of `fps`: a Frame made early by a Command must not look like a burst
    to be starved, nor a Frame after a long pause like a licence to spend the pause's bits at once.

    Returns:
        at least 1.
    """
    interval = TICKS / fps
    return max(1, round(min(max(gap_us * TICKS / 1e6, interval / 2), interval * 4)))


FALL_BELOW, FALL_AFTER = 0.9, 0.5  # a target below this share of the rate, for this many seconds, is followed
RISE_ABOVE, RISE_AFTER = 1.25, 2.0  # climbing estimates would otherwise cost a key frame every few seconds
FLOOR: Final = 150_000  # less is no picture at any size, and an estimate of nothing must not stop the encoder


class FollowedRate:
    """One encoder's rate.

    Attributes:
        bps: bits a second to encode at now.
    """

    def __init__(self, bps: int) -> None:
        self.bps = bps
        self._falling_at: float | None = None  # since when the target is clearly below
        self._rising_at: float | None = None  # since when it is clearly above

    def aim(self, target: int, now: float) -> bool:
        """Look at where the rate ought to be; whether it has just gone there."""
        self._falling_at = _since(self._falling_at, target < self.bps * FALL_BELOW, now)
        self._rising_at = _since(self._rising_at, target > self.bps * RISE_ABOVE, now)
        at = self.deadline()
        if at is None or now < at:
            return False
        self.bps, self._falling_at, self._rising_at = target, None, None
        return True

    def deadline(self) -> float | None:
        """Return when `aim` may move the rate without a new target; None while the rate is at its target."""
        if self._falling_at is not None:
            return self._falling_at + FALL_AFTER
        return None if self._rising_at is None else self._rising_at + RISE_AFTER


def _since(before: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if before is None else before
