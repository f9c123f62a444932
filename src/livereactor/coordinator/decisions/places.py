"""The place of a ticket in its queue, the expected wait, and a worker that is starting. Reads only.

Waits are estimated by playing the Slots forward: each is free when what runs there has had its time, and each Ticket
takes the first that is. How long a Session takes is what those before took: the mean, and for one that runs already,
the mean rest of those that lasted as long.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from livereactor.store.port import Tx
from livereactor.store.records import RUNNING, SessionRecord, SessionState, WorkerRecord, WorkerState

FAR = 1_000  # positions played forward; beyond it the wait is drawn out in proportion


@dataclass(frozen=True, slots=True)
class Forecast:
    """The figures from which a model's queue is estimated. Seconds.

    Attributes:
        durations: of the last sessions, from assignment to end.
        ages: of the sessions that run, one for each slot in use.
        slots: Slots of Workers that serve, in use or not.
        error: mean absolute error of the estimates that were given to Sessions that waited; None = no estimate yet.
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
        # A session that outlasts all known ones may end at any moment, or go on for long: half of the mean.
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
        # A session that lost its worker waited twice, and its estimate was for the first wait only.
        if each.estimate_us is not None and each.assigned_us is not None and each.requeues == 0
    ]
    return fmean(errors) if errors else None


_SERVING = frozenset({WorkerState.READY})
_LOADING = frozenset({WorkerState.STARTING})
_NOT_HERE_YET = "its process starts"  # of a Worker that the pool starts; it has not dialled in


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """A Ticket's place; `http.QueueBody` has the same fields.

    Attributes:
        position: 1 is served next.
        estimated_wait, estimate_error: seconds; None while nothing is known.
        loading, loading_text: 0..1 and in words, of the starting worker that is furthest. Without one `loading` is
            None, and the text is set only while the model has no worker yet.
    """

    position: int
    length: int
    estimated_wait: float | None = None
    estimate_error: float | None = None
    loading: float | None = None
    loading_text: str | None = None


def place(tx: Tx, now_us: int, session: SessionRecord) -> QueuePlace | None:
    """Return the place of a queued session; None for any other."""
    if session.state is not SessionState.QUEUED:
        return None
    return places(tx, now_us, session.model)(tx.ahead(session) + 1)


def places(tx: Tx, now_us: int, model: str) -> Callable[[int], QueuePlace]:
    """Return a function from position to place in a model's queue; it does not read the store again."""
    known, length = _forecast(tx, now_us, model), tx.queue_length(model)
    progress, text = _on_its_way(tx, model)
    return lambda position: QueuePlace(position, length, known.wait(position), known.error, progress, text)


def _forecast(tx: Tx, now_us: int, model: str) -> Forecast:
    slots = sum(each.slots for each in tx.workers(model=model, states=_SERVING))
    running = tx.sessions(model=model, states=RUNNING, limit=max(slots, 1))
    return forecast(tx.recent_waits(model), running, slots=slots, now_us=now_us)


def _on_its_way(tx: Tx, model: str) -> tuple[float | None, str | None]:
    if (loading := _furthest(tx, model)) is not None:
        return loading.info.get("progress"), loading.info.get("text")
    if tx.workers(model=model, states=_SERVING):
        return None, None
    record = tx.model(model)
    return None, _NOT_HERE_YET if record is not None and record.max_workers else None


def _furthest(tx: Tx, model: str) -> WorkerRecord | None:
    loading = tx.workers(model=model, states=_LOADING)
    return max(loading, key=lambda each: float(each.info.get("progress") or 0.0), default=None)
