"""What a Ticket's client is told: its place, the wait, and a Worker on its way. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from livereactor.store.port import SessionRecord, Tx


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
    raise NotImplementedError
