"""The place of a ticket in its queue, the expected wait, and a worker that is starting. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from livereactor.coordinator.decisions.estimate import Forecast, forecast
from livereactor.store.port import Tx
from livereactor.store.records import RUNNING, SessionRecord, SessionState, WorkerRecord, WorkerState

_SERVING = frozenset({WorkerState.READY})
_LOADING = frozenset({WorkerState.STARTING})
_NOT_HERE_YET = "its process starts"  # of a Worker that the pool starts; it has not dialled in


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """A Ticket's place; `http.QueueBody` has the same fields.

    Attributes:
        position: 1 is served next.
        estimated_wait, estimate_error: seconds; None while nothing is known.
        loading, loading_text: 0..1 and in words, of the furthest Worker that is on its way; both None = there is none.
    """

    position: int
    length: int
    estimated_wait: float | None = None
    estimate_error: float | None = None
    loading: float | None = None
    loading_text: str | None = None


def place(tx: Tx, now_us: int, session: SessionRecord) -> QueuePlace | None:
    """The place of a queued Session; None for any other."""
    if session.state is not SessionState.QUEUED:
        return None
    return places(tx, now_us, session.model)(tx.ahead(session) + 1)


def places(tx: Tx, now_us: int, model: str) -> Callable[[int], QueuePlace]:
    """All places of a model's queue: each by its position, without another look at the store."""
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
