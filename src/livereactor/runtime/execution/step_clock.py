"""How long a model's steps and its waits for input take. Pure: `now` comes in. On the model's thread."""

from __future__ import annotations

from livereactor.base.timing import StageName, Timings


class StepClock:
    """Of one Session; adds to its `timings`.

    A wait is no part of a step, whether the model blocks in `frames()` or yields `wait_for`; Commands that run within
    the first are no part of it either.
    """

    def __init__(self, timings: Timings) -> None:
        self._steps, self._waits = timings.of(StageName.STEP), timings.of(StageName.INPUT_WAIT)
        self._began = self._within = 0.0
        self._waiting_since: float | None = None

    def begin(self, now: float) -> None:
        """A turn of `stream` begins."""
        if self._waiting_since is not None:
            self._waits.add(now - self._waiting_since)
            self._waiting_since = None
        self._began, self._within = now, 0.0

    def waited(self, seconds: float) -> None:
        """So much of this turn the model waited for input."""
        self._waits.add(seconds)
        self._within += seconds

    def end(self, now: float, *, waits: bool) -> None:
        """The turn is over; `waits`: it made nothing and asked to wait for input."""
        if waits:
            self._waiting_since = now
        else:
            self._steps.add(now - self._began - self._within)
