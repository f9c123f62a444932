"""What a Ticket's client is told: its place, the wait, and a Worker on its way. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from livereactor.coordinator.estimate import Forecast, forecast
from livereactor.store.port import RUNNING, SessionRecord, SessionState, Tx, WorkerRecord, WorkerState

_SERVING = frozenset({WorkerState.READY})
_LOADING = frozenset({WorkerState.STARTING})


@dataclass(frozen=True, slots=True)
class Place:
    """A Ticket's place; `http.QueueBody` has the same fields.

    Attributes:
        position: 1 is served next.
        estimated_wait, estimate_error: seconds; None while nothing is known.
        loading, loading_text: 0..1 and in words, of the furthest Worker that is on its way; None = there is none.
    """

    position: int
    length: int
    estimated_wait: float | None = None
    estimate_error: float | None = None
    loading: float | None = None
    loading_text: str | None = None


def place(tx: Tx, now_us: int, session: SessionRecord) -> Place | None:
    """The place of a queued Session; None for any other."""
    if session.state is not SessionState.QUEUED:
        return None
    position = tx.ahead(session) + 1
    known = forecast_of(tx, now_us, session.model)
    loading = _furthest(tx, session.model)
    return Place(
        position,
        tx.queue_length(session.model),
        known.wait(position),
        known.error,
        None if loading is None else loading.info.get("progress"),
        None if loading is None else loading.info.get("text"),
    )


def forecast_of(tx: Tx, now_us: int, model: str) -> Forecast:
    """What is known of a model's queue; for many Tickets of one model, ask once."""
    slots = sum(each.slots for each in tx.workers(model=model, states=_SERVING))
    running = tx.sessions(model=model, states=RUNNING, limit=max(slots, 1))
    return forecast(tx.recent_waits(model), running, slots=slots, now_us=now_us)


def _furthest(tx: Tx, model: str) -> WorkerRecord | None:
    loading = tx.workers(model=model, states=_LOADING)
    return max(loading, key=lambda each: float(each.info.get("progress") or 0.0), default=None)
