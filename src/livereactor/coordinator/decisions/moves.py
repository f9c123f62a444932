"""Changes of a session, and the assignment of free slots: they move records, write events and return effects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from livereactor.coordinator.decisions.effects import (
    Effect,
    FleetChanged,
    NotifyAssigned,
    QueueChanged,
    SessionChanged,
    SessionClosed,
)
from livereactor.coordinator.machines import lease, session
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx
from livereactor.store.records import EventRecord, ModelRecord, SessionRecord, SessionState, SlotRecord, WorkerState


def note(tx: Tx, now_us: int, kind: str, record: SessionRecord, **data: Any) -> None:
    """Write an event of a Session."""
    tx.add_event(EventRecord(kind, now_us, record.id, record.account, {"model": record.model, **data}))


def assign(
    tx: Tx, now_us: int, options: CoordinatorOptions, record: SessionRecord, slot: SlotRecord, *, has_waited: bool
) -> tuple[SessionRecord, list[Effect]]:
    """Promise a free Slot to a Ticket. Both records are locked."""
    claimed = lease.move(slot, lease.Claimed(record.id))
    tx.put_slot(claimed)
    moved = session.move(record, session.Assigned(claimed.worker, claimed.n, claimed.fence, now_us))
    moved = replace(moved, waited=moved.waited or has_waited)
    tx.put_session(moved)
    waited = max(0, now_us - record.created_us) / 1e6
    note(tx, now_us, "session.assigned", moved, worker=slot.worker, slot=slot.n, fence=claimed.fence, waited=waited)
    return moved, [notify_assigned(options, moved), SessionChanged(moved.id)]


def notify_assigned(options: CoordinatorOptions, record: SessionRecord) -> NotifyAssigned:
    """Return the hint to the worker of an assigned session."""
    assert record.worker is not None
    assert record.slot is not None
    assert record.fence is not None
    # A client that waited gets its answer by a poll that may be under way; an unclaimed slot is needed by the next.
    window = {"unclaimed_window": options.admission_grace} if record.waited else {}
    terms = {} if options.moderation is None else {"moderation": options.moderation.to_body()}
    start = {**record.start, **window, **terms, "account": record.account}
    return NotifyAssigned(record.worker, record.slot, record.fence, record.id, start)


def accept(
    tx: Tx, now_us: int, options: CoordinatorOptions, record: SessionRecord
) -> tuple[SessionRecord, list[Effect]]:
    """Accept an assigned session, on its worker's word."""
    # 0 = unlimited, in either place; the operator's limit is never exceeded.
    bounds = [each for each in (record.start.get("max_duration"), options.limits.max_session_duration) if each]
    expires_us = now_us + round(min(bounds) * 1e6) if bounds else None
    moved = session.move(record, session.Accepted(now_us, expires_us))
    tx.put_session(moved)
    note(tx, now_us, "session.accepted", moved, worker=moved.worker)
    return moved, [SessionChanged(moved.id)]


def follow(
    tx: Tx, now_us: int, record: SessionRecord, phase: str, *, first_frame: bool = False
) -> tuple[SessionRecord, list[Effect]]:
    """Follow an accepted session into the phase that its worker reports; nothing if it is there already."""
    state = record.state
    if phase == "streaming" and (state is not SessionState.ACTIVE or first_frame > record.first_frame):
        moved = session.move(record, session.Streaming(now_us, first_frame))
    elif phase == "orphaned" and state is not SessionState.ORPHANED:
        moved = session.move(record, session.Orphaned(now_us))
    else:
        return record, []
    tx.put_session(moved)
    if moved.state is state:
        return moved, []
    note(tx, now_us, "session.connected" if phase == "streaming" else "session.orphaned", moved, worker=moved.worker)
    return moved, [SessionChanged(moved.id)]


def close(tx: Tx, now_us: int, record: SessionRecord, reason: str, *, detail: str = "") -> list[Effect]:
    """End an open session; the caller has to release its slot."""
    moved = session.move(record, session.Ended(now_us, reason))
    tx.put_session(moved)
    seconds = session.seconds_used(moved, now_us)
    told = {"detail": detail} if detail else {}
    note(tx, now_us, "session.ended", moved, reason=reason, seconds=seconds, worker=moved.worker, **told)
    queue: list[Effect] = [QueueChanged(moved.model)] if record.state is SessionState.QUEUED else []
    return [SessionChanged(moved.id), SessionClosed(moved.id), *queue, FleetChanged(moved.model)]


def unassign(tx: Tx, now_us: int, record: SessionRecord, why: str) -> list[Effect]:
    """Queue a session again that no worker accepted; the caller has to release its slot."""
    return _queue_again(tx, now_us, record, session.Unassigned(now_us), why)


def lose(tx: Tx, now_us: int, record: SessionRecord) -> list[Effect]:
    """Queue the session of a lost worker again if it may be, otherwise end it."""
    model = tx.model(record.model)
    if session.may_go_on(record, {} if model is None else model.spec):
        return _queue_again(tx, now_us, record, session.WorkerLost(now_us), "worker_lost")
    return close(tx, now_us, record, "worker_lost")


def _queue_again(
    tx: Tx, now_us: int, record: SessionRecord, event: session.Unassigned | session.WorkerLost, why: str
) -> list[Effect]:
    moved = session.move(record, event)
    tx.put_session(moved)
    seconds = session.seconds_used(record, now_us)
    note(tx, now_us, "session.requeued", moved, reason=why, seconds=seconds, worker=record.worker)
    return [SessionChanged(moved.id), QueueChanged(moved.model), FleetChanged(moved.model)]


FILL_LIMIT: Final = 16  # claims in one transaction: others wait for its locks


def fill(
    tx: Tx,
    now_us: int,
    options: CoordinatorOptions,
    *,
    model: str,
    limit: int = FILL_LIMIT,
    newcomer: str | None = None,
    held: ModelRecord | None = None,
) -> tuple[int, list[Effect]]:
    """Give free Slots of READY Workers of a model to the Tickets whose turn it is.

    Every decision that frees a Slot or adds a Ticket does this by itself; the sweeper repeats it for what was missed.

    Args:
        newcomer: the Session that this transaction made: it has not waited.
        held: the model's record, if this transaction holds it alone already.

    Returns:
        how many tickets were served; if that is `limit`, there may be more.
    """
    # Locked for the whole of it: a Ticket and a Slot that come at the same time must not miss each other.
    record = held or tx.model(model, lock=True)
    if record is None:
        return 0, []
    effects: list[Effect] = []
    served, served_turn = 0, record.served_turn
    while served < limit and (ticket := tx.head(model)) and (slot := _free_slot(tx, model)):
        _, told = assign(tx, now_us, options, ticket, slot, has_waited=ticket.id != newcomer)
        effects += told
        served, served_turn = served + 1, max(served_turn, ticket.turn)
    if served_turn > record.served_turn:
        tx.put_model(replace(record, served_turn=served_turn))
    return served, [*effects, QueueChanged(model), FleetChanged(model)] if served else []


def _free_slot(tx: Tx, model: str) -> SlotRecord | None:
    slot = tx.free_slot(model)
    worker = None if slot is None else tx.worker(slot.worker)
    # Read again: the worker may have been lost between the choice of the slot and its lock.
    return slot if worker is not None and worker.state is WorkerState.READY else None
