"""A token bucket: so many units a second, and more at once after a quiet time. Pure; `now` is passed in."""

from __future__ import annotations


class TokenBucket:
    """The units that may be used now. Full at first.

    Args:
        rate: units that come back each second, above 0.
        burst: units that fit in.
    """

    __slots__ = ("_at", "_left", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._at = float(burst), float("-inf")

    def take(self, amount: float, now: float) -> bool:
        """Use `amount` units, or none of them where there are too few."""
        if now > self._at:
            self._left = min(self.burst, self._left + (now - self._at) * self.rate)
            self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True

    def take_share(self, share: float, most: float) -> int:
        """Use whole units, `most` or that share of what is left now; return their number."""
        amount = int(min(most, self._left * share))
        self._left -= amount
        return amount

    def is_full(self, now: float) -> bool:
        """Return whether all units are there again."""
        return self._left + max(0.0, now - self._at) * self.rate >= self.burst

    def give(self, amount: float) -> None:
        """Put units back, as many as fit."""
        self._left = min(self.burst, self._left + amount)

    def wait(self, amount: float) -> float:
        """Return the seconds, counted from the last `take`, until so many units are there."""
        return max(0.0, (min(amount, self.burst) - self._left) / self.rate)
