"""Timers of a client's connection: polls at growing intervals, attempts to reconnect, silence. Pure.

`ConnectionMachine` owns them and passes `now` and the random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

SESSION_POLLS: Final = (0.2, 10.0, 20)  # first wait and longest, seconds; number of polls
RETRIES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each attempt to reconnect; the last repeats
SPREAD: Final = 0.2  # of a retry's wait, either way: clients that were lost together must not all come back together


class Polls:
    """The waits between polls of one thing, each twice the one before.

    Args:
        first, longest: seconds.
        attempts: the number of polls, the first included; None = no limit.
    """

    def __init__(self, first: float, longest: float, attempts: int | None) -> None:
        self._wait, self._longest, self._left = first, longest, attempts

    def next(self, *, counts: bool = True) -> float | None:
        """Return the seconds to wait before the next poll; None = that was the last.

        Args:
            counts: the poll just done counts towards the limit. It does not while the server reports progress.
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
        """Return when to try next, monotonic seconds; None = the window closes before.

        Args:
            chance: 0..1, the place of the wait in its spread.
        """
        wait = RETRIES[min(self._made, len(RETRIES) - 1)] * (1 + SPREAD * (2 * chance - 1))
        self._made += 1
        return now + wait if now + wait < self._until else None


class SilenceAction(Enum):
    """A measure against silence."""

    PROBE = "probe"  # send a message that is answered
    CHECK = "check"  # ask over HTTP about the Session
    REOFFER = "reoffer"  # open a second transport beside the silent one
    LOST = "lost"  # give the transport up


@dataclass(frozen=True, slots=True)
class SilenceStep:
    """The action that is due after `after` seconds of silence."""

    after: float
    action: SilenceAction


# A working path answers a probe within milliseconds; one lost packet costs some 0.2 s more (SCTP's own repeat).
SILENCE_STEPS: Final = (
    SilenceStep(0.4, SilenceAction.PROBE),
    SilenceStep(0.7, SilenceAction.CHECK),
    SilenceStep(1.0, SilenceAction.REOFFER),
    SilenceStep(2.0, SilenceAction.REOFFER),
    SilenceStep(3.0, SilenceAction.REOFFER),
    SilenceStep(5.0, SilenceAction.LOST),
)
LATE: Final = 0.25  # seconds; a later wake-up means that this thread was blocked, and may have unread messages


class Silence:
    """Watches one transport on which the other side answers probes."""

    def __init__(self, now: float) -> None:
        self._since, self._step = now, 0

    def deadline(self) -> float | None:
        """Return when to look next, monotonic seconds; None after `LOST`."""
        return self._since + SILENCE_STEPS[self._step].after if self._step < len(SILENCE_STEPS) else None

    def look(self, now: float, heard_at: float) -> list[SilenceAction]:
        """Return the actions that are due now.

        Args:
            heard_at: when something last arrived, monotonic seconds.
        """
        due = self.deadline()
        if due is None:
            return []
        if heard_at > self._since:
            self._since, self._step = heard_at, 0
        elif now > due + LATE:
            # This thread was blocked, perhaps with the answer in its queue: start over, with a probe due now.
            self._since, self._step = now - SILENCE_STEPS[0].after, 0
        steps: list[SilenceAction] = []
        while self._step < len(SILENCE_STEPS) and now >= self._since + SILENCE_STEPS[self._step].after:
            steps.append(SILENCE_STEPS[self._step].action)
            self._step += 1
        return steps
