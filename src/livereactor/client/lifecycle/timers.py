"""When to do the next thing: polls that come further apart, attempts that are tried again, silence. Pure.

Each is a small machine that the connection's (`machine`) owns; `now` is given, and so is chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

SESSION_POLLS: Final = (0.2, 10.0, 20)  # first wait and longest, seconds; how many polls (behaviour 2.9)
RETRIES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each attempt to reconnect; the last repeats (4.8)
SPREAD: Final = 0.2  # of a retry's wait, either way: clients that were lost together do not come back together


class Polls:
    """The waits between polls of one thing, each twice the one before.

    Args:
        first, longest: seconds.
        attempts: how many polls there are, the first included; None = no limit.
    """

    def __init__(self, first: float, longest: float, attempts: int | None) -> None:
        self._wait, self._longest, self._left = first, longest, attempts

    def next(self, *, counts: bool = True) -> float | None:
        """Seconds to wait before the next poll, the one just done being taken into account; None = it was the last.

        Args:
            counts: the poll just done is one of the limited number; not while the server says how things stand.
        """
        if counts and self._left is not None:
            self._left -= 1
            if self._left <= 0:
                return None
        wait, self._wait = self._wait, min(self._wait * 2, self._longest)
        return wait


class Retries:
    """The attempts to reconnect after one loss, until the Session's window is over.

    Args:
        until: monotonic seconds at which the window closes.
    """

    def __init__(self, until: float) -> None:
        self._until, self._made = until, 0

    def next(self, now: float, chance: float) -> float | None:
        """When to try next, monotonic seconds; None = the window closes before.

        Args:
            chance: 0..1, where in its spread the wait falls.
        """
        wait = RETRIES[min(self._made, len(RETRIES) - 1)] * (1 + SPREAD * (2 * chance - 1))
        self._made += 1
        return now + wait if now + wait < self._until else None


class Step(Enum):
    """What to do about silence."""

    PROBE = "probe"  # say something that is answered
    CHECK = "check"  # ask over HTTP how the Session is
    REOFFER = "reoffer"  # bring a second transport up beside the silent one
    LOST = "lost"  # give the transport up


@dataclass(frozen=True, slots=True)
class Rung:
    """After so many seconds of silence, this."""

    after: float
    step: Step


# A path that lives answers a probe within milliseconds; one lost packet costs some 0.2 s more (SCTP's own repeat).
LADDER: Final = (
    Rung(0.4, Step.PROBE),
    Rung(0.7, Step.CHECK),
    Rung(1.0, Step.REOFFER),
    Rung(2.0, Step.REOFFER),
    Rung(3.0, Step.REOFFER),
    Rung(5.0, Step.LOST),
)
LATE: Final = 0.25  # seconds; woken later than this, we were away ourselves and what came has not been looked at


class Silence:
    """Watches one transport on which the other side answers probes (behaviour 4.9)."""

    def __init__(self, now: float) -> None:
        self._since, self._rung = now, 0

    def deadline(self) -> float | None:
        """When to look next; None after `LOST`."""
        return self._since + LADDER[self._rung].after if self._rung < len(LADDER) else None

    def look(self, now: float, heard_at: float) -> list[Step]:
        """What is to be done now.

        Args:
            heard_at: when anything was heard last, monotonic seconds.
        """
        due = self.deadline()
        if due is None:
            return []
        if heard_at > self._since:
            self._since, self._rung = heard_at, 0
        elif now > due + LATE:
            # This thread was away, perhaps with the answer in its queue: from here on, as if a probe was due now.
            self._since, self._rung = now - LADDER[0].after, 0
        steps: list[Step] = []
        while self._rung < len(LADDER) and now >= self._since + LADDER[self._rung].after:
            steps.append(LADDER[self._rung].step)
            self._rung += 1
        return steps
