"""Estimates of how long a ticket waits, from how long sessions take; and the error of earlier estimates. Pure.

The Slots are played forward: each is free when what runs there has had its time, and each Ticket takes the first that
is. How long a Session takes is what those before took: the mean, and for one that runs already, the mean rest of those
that lasted as long.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from livereactor.store.records import SessionRecord

FAR = 1_000  # positions played forward; beyond it the wait is drawn out in proportion


@dataclass(frozen=True, slots=True)
class Forecast:
    """The figures from which a model's queue is estimated. Seconds.

    Attributes:
        durations: what the last Sessions took, from assignment to end.
        ages: how long those that run have been running, one a Slot in use.
        slots: Slots of Workers that serve, in use or not.
        error: mean absolute error of the estimates that were given to Sessions that waited; None = none has been.
    """

    durations: Sequence[float]
    ages: Sequence[float]
    slots: int
    error: float | None = None

    def wait(self, position: int) -> float | None:
        """Return the seconds until the ticket at this position (1 is next) is served; None while nothing is known."""
        if not self.durations or not self.slots:
            return None
        near = min(position, FAR)
        return self._played(near) * position / near

    def _played(self, position: int) -> float:
        mean = fmean(self.durations)
        busy = sorted(self._rest(age, mean) for age in self.ages)[: self.slots]
        free_at = [0.0] * (self.slots - len(busy)) + busy
        heapq.heapify(free_at)
        for _ in range(position - 1):
            heapq.heapreplace(free_at, free_at[0] + mean)
        return free_at[0]

    def _rest(self, age: float, mean: float) -> float:
        longer = [each - age for each in self.durations if each > age]
        # One that outlasts all that are known may end any moment, or go on for long: half of what one takes.
        return fmean(longer) if longer else mean / 2


def forecast(recent: Sequence[SessionRecord], running: Sequence[SessionRecord], *, slots: int, now_us: int) -> Forecast:
    """Return the forecast for a model, from its last sessions that ended after running and those that run."""
    durations = [
        (each.ended_us - each.assigned_us) / 1e6
        for each in recent
        if each.ended_us is not None and each.assigned_us is not None and each.ended_us >= each.assigned_us
    ]
    ages = [max(0, now_us - each.assigned_us) / 1e6 for each in running if each.assigned_us is not None]
    return Forecast(durations, ages, slots, _error(recent))


def _error(recent: Sequence[SessionRecord]) -> float | None:
    errors = [
        abs(each.assigned_us - each.created_us - each.estimate_us) / 1e6
        for each in recent
        # One that lost its Worker waited twice, and was told of the first wait only.
        if each.estimate_us is not None and each.assigned_us is not None and each.requeues == 0
    ]
    return fmean(errors) if errors else None
