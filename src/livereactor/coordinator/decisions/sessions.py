"""Decisions that clients and operators request: create, poll, prefer or end a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from livereactor.base.errors import NotFoundError
from livereactor.coordinator.decisions import moves
from livereactor.coordinator.decisions.effects import Effect, FleetChanged, NotifyEnded, QueueChanged
from livereactor.coordinator.decisions.locks import with_its_slot
from livereactor.coordinator.decisions.moves import fill
from livereactor.coordinator.decisions.places import place
from livereactor.coordinator.machines import lease, queue
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx
from livereactor.store.records import Account, ModelRecord, SessionRecord, SessionState


@dataclass(frozen=True, slots=True)
class LockedQueue:
    """A model whose queue is about to be joined, held until the transaction ends.

    Attributes:
        tail: the ticket served last; None = the queue is empty.
    """

    model: ModelRecord
    tail: SessionRecord | None


class QueueEmptyError(Exception):
    """The queue was believed to be crowded, and is empty: begin anew, and hold the model alone."""


def lock_queue(tx: Tx, model: str, *, crowded: bool = False) -> LockedQueue | None:
    """Lock a model and return it with the last ticket of its queue; None = no such model.

    Args:
        crowded: others are believed to wait. A client that joins a queue holds the model together with others who do;
            one that may find a free Slot holds it alone.

    Raises:
        QueueEmptyError: `crowded`, and the queue is empty.
    """
    record = tx.model(model, lock=not crowded, shared=crowded)
    if record is None:
        return None
    tail = tx.tail(model)
    if crowded and tail is None:
        raise QueueEmptyError
    return LockedQueue(record, tail)


def create_session(
    tx: Tx,
    now_us: int,
    options: CoordinatorOptions,
    *,
    session: SessionRecord,
    locked: LockedQueue,
    owner: Account | None,
) -> tuple[SessionRecord, list[Effect]]:
    """Queue a new session, or give it a free slot if the queue is empty.

    The cost does not depend on the length of the queue.

    Args:
        session: QUEUED; who, which model, how, `created_us` and `polled_us`. `seq` and `turn` are given here. Rights
            and quotas were checked in the same transaction, and so was whether a worker can serve the model.
        locked: the queue of its model.
        owner: its account's record, if there is one.

    Returns:
        the record as it stands now: ASSIGNED, or QUEUED.
    """
    model, tail = locked.model, locked.tail
    added = tx.add_session(replace(session, turn=_turn(tx, locked, session.account, owner)))
    moves.note(tx, now_us, "session.created", added, token=added.token, client=added.client)
    if tail is not None:
        # A ticket that comes last moves no other.
        moved = [QueueChanged(added.model)] if queue.order(added) < queue.order(tail) else []
        return added, [*moved, FleetChanged(added.model)]
    served, effects = fill(tx, now_us, options, model=model.name, limit=1, newcomer=added.id, held=model)
    if not served:
        return added, [FleetChanged(added.model)]
    return tx.session(added.id) or added, effects


def _turn(tx: Tx, locked: LockedQueue, account: str, owner: Account | None) -> float:
    weight = None if owner is None else owner.weight
    return queue.turn(
        weight,
        served_turn=locked.model.served_turn,
        last_turn=None if weight is None else tx.last_turn(locked.model.name, account),
        others_wait=locked.tail is not None,
    )


def polled(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str
) -> tuple[SessionRecord | None, list[Effect]]:
    """Record a poll of a queued session's client, which keeps its place; nothing happens if it is not queued.

    Only needed where `queue.is_poll_worth_noting` says so: the first time, and at most every 5 s. The first
    estimate that the client gets is kept, to measure how good estimates are.
    """
    record = tx.session(session, lock=True)
    if record is None or record.state is not SessionState.QUEUED:
        return record, []
    if not queue.is_poll_worth_noting(record, now_us, grace=options.ticket_grace):
        return record, []
    if queue.is_unpolled(record) and (here := place(tx, now_us, record)) and here.estimated_wait is not None:
        record = replace(record, estimate_us=round(here.estimated_wait * 1e6))
    record = replace(record, polled_us=now_us)
    tx.put_session(record)
    return record, []


def prefer(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str
) -> tuple[SessionRecord | None, list[Effect]]:
    """Serve a queued session before all others of its model; nothing happens if it is not queued.

    Raises:
        NotFoundError: no such Session.
    """
    record = tx.session(session, lock=True)
    if record is None:
        raise NotFoundError(f"no session {session[:64]!r}; `livereactor queue` lists the waiting sessions")
    first = tx.head(record.model)
    if record.state is not SessionState.QUEUED or first is None or first.id == record.id:
        return record, []
    record = replace(record, prio=first.prio + 1)
    tx.put_session(record)
    moves.note(tx, now_us, "session.preferred", record)
    return record, [QueueChanged(record.model)]


def end_session(
    tx: Tx,
    now_us: int,
    options: CoordinatorOptions,
    *,
    session: str,
    reason: str = "stopped",
    detail: str = "",
    moderate: bool = False,
    still: Callable[[SessionRecord], bool] = lambda record: True,
) -> tuple[SessionRecord | None, list[Effect]]:
    """End a session in any state; one that is over stays as it ended. None = no such session.

    Args:
        reason: an end reason (`stopped`, `evicted`, …); `moderated` where `moderate`.
        detail: the words of the part that ends it.
        still: checks the locked record, which may have moved since it was chosen; False = the session goes on.

    Raises:
        LostRaceError: it got a Slot while it was waited for.
    """
    record, slot = with_its_slot(tx, session)
    if record is None or record.state is SessionState.CLOSED or not still(record):
        return record, []
    reason = "moderated" if moderate else reason
    effects = moves.close(tx, now_us, record, reason, detail=detail)
    if slot is not None and record.fence is not None:
        accepted = record.state is not SessionState.ASSIGNED
        tx.put_slot(lease.move(slot, lease.Released(accepted)))
        effects.insert(0, NotifyEnded(slot.worker, slot.n, slot.fence, record.id, reason, moderate))
    return tx.session(session), effects
