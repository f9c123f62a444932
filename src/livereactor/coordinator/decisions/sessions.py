"""Decisions that clients and operators ask for: a Session is made, polled, put first, ended."""

from __future__ import annotations

from livereactor.coordinator.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import SessionRecord, Tx


def create_session(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: SessionRecord
) -> tuple[SessionRecord, list[Effect]]:
    """Queue a new Session, and serve the head of its queue if a Slot is free: that is this one if nobody waits.

    Args:
        session: QUEUED; who, which model, how, `created_us` and `polled_us`. `seq`, `turn`, `waited` and
            `estimate_us` are given here. Rights and quotas have been looked at in the same transaction.

    Returns:
        the record as it stands now: ASSIGNED, or QUEUED.

    Raises:
        NotFoundError: no such model; the message names the nearest.
        UnavailableError: nothing serves the model and nothing can be started that would (`NO_CAPACITY`).
    """
    raise NotImplementedError


def polled(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str
) -> tuple[SessionRecord | None, list[Effect]]:
    """The client of a Ticket was heard of: it keeps its place. Nothing for one that is not queued.

    Only needed where `queue.is_poll_worth_noting(record, now_us)`: at most every 5 s.
    """
    raise NotImplementedError


def prefer(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str
) -> tuple[SessionRecord | None, list[Effect]]:
    """Serve this Ticket before all others; nothing for one that is not queued.

    Raises:
        NotFoundError: no such Session.
    """
    raise NotImplementedError


def end_session(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str, reason: str = "stopped", moderate: bool = False
) -> tuple[SessionRecord | None, list[Effect]]:
    """End a Session in whatever state; one that is over stays as it ended. None = there is none."""
    raise NotImplementedError
