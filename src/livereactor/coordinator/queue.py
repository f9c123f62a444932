"""The queue of a model: whose turn it is. Pure."""

from __future__ import annotations

from typing import Final

from livereactor.store.port import SessionRecord

NOTED_EVERY: Final = 5.0  # seconds between two writes of a client's polls; a Ticket lives twelve times as long


def is_poll_worth_noting(session: SessionRecord, now_us: int) -> bool:
    """A poll of this client has to be written down (`decisions.polled`)."""
    raise NotImplementedError


def order(session: SessionRecord) -> tuple[int, float, int]:
    """Sorts Tickets of one model in the order in which they are served."""
    raise NotImplementedError
