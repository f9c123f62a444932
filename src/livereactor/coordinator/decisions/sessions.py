"""Decisions that clients and operators ask for: a Session is made, polled, put first, ended."""

from __future__ import annotations

import difflib
from dataclasses import replace

from livereactor.base.errors import NotFoundError, UnavailableError
from livereactor.coordinator import lease, queue
from livereactor.coordinator.decisions import moves
from livereactor.coordinator.decisions.fill import fill
from livereactor.coordinator.decisions.places import place
from livereactor.coordinator.effects import Effect, FleetChanged, QueueChanged, TellEnded
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.worker import LIVE
from livereactor.store.port import ModelRecord, SessionRecord, SessionState, SlotRecord, SlotState, Tx


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
    model = _servable(tx, session.model)
    added = tx.add_session(replace(session, turn=_turn(tx, model, session.account)))
    moves.note(tx, now_us, "session.created", added, token=added.token, client=added.client)
    _, effects = fill(tx, now_us, options, model=model.name, limit=1)
    now = tx.session(added.id) or added
    if now.state is SessionState.QUEUED:
        now, told = _let_wait(tx, now_us, now)
        effects += told
    return now, effects


def _servable(tx: Tx, name: str) -> ModelRecord:
    model = tx.model(name, lock=True)
    if model is None:
        known = [each.name for each in tx.models()]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5) or known[:1]
        hint = f"; did you mean {near[0]!r}?" if near else "; no model is served yet"
        raise NotFoundError(f"no model {name[:64]!r} here{hint}")
    if model.max_workers == 0 and not tx.workers(model=name, states=LIVE):
        raise UnavailableError(
            f"no worker serves the model {name!r} and none can be started; start one with `livereactor worker`",
            code="NO_CAPACITY",
            retry_after=5.0,
        )
    return model


def _turn(tx: Tx, model: ModelRecord, account: str) -> float:
    owner = tx.account(account)
    weight = None if owner is None else owner.weight
    return queue.turn(
        weight,
        served_turn=model.served_turn,
        last_turn=None if weight is None else tx.last_turn(model.name, account),
        others_wait=tx.queue_length(model.name) > 0,
    )


def _let_wait(tx: Tx, now_us: int, ticket: SessionRecord) -> tuple[SessionRecord, list[Effect]]:
    here = place(tx, now_us, ticket)
    wait = None if here is None else here.estimated_wait
    waiting = replace(ticket, waited=True, estimate_us=None if wait is None else round(wait * 1e6))
    tx.put_session(waiting)
    effects: list[Effect] = [FleetChanged(ticket.model)]
    # The last one in the queue moves nobody.
    if here is not None and here.position < here.length:
        effects.append(QueueChanged(ticket.model))
    return waiting, effects


def polled(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str
) -> tuple[SessionRecord | None, list[Effect]]:
    """The client of a Ticket was heard of: it keeps its place. Nothing for one that is not queued.

    Only needed where `queue.is_poll_worth_noting(record, now_us)`: at most every 5 s.
    """
    record = tx.session(session, lock=True)
    if record is not None and record.state is SessionState.QUEUED and queue.is_poll_worth_noting(record, now_us):
        record = replace(record, polled_us=now_us)
        tx.put_session(record)
    return record, []


def prefer(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str
) -> tuple[SessionRecord | None, list[Effect]]:
    """Serve this Ticket before all others; nothing for one that is not queued.

    Raises:
        NotFoundError: no such Session.
    """
    record = tx.session(session, lock=True)
    if record is None:
        raise NotFoundError(f"no session {session[:64]!r}; `livereactor queue` lists those that wait")
    first = tx.head(record.model)
    if record.state is not SessionState.QUEUED or first is None or first.id == record.id:
        return record, []
    record = replace(record, prio=first.prio + 1)
    tx.put_session(record)
    moves.note(tx, now_us, "session.preferred", record)
    return record, [QueueChanged(record.model)]


def end_session(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: str, reason: str = "stopped", moderate: bool = False
) -> tuple[SessionRecord | None, list[Effect]]:
    """End a Session in whatever state; one that is over stays as it ended. None = there is none."""
    record, slot = _locked(tx, session)
    if record is None or record.state is SessionState.CLOSED:
        return record, []
    effects = moves.close(tx, now_us, record, reason)
    if slot is not None and record.fence is not None:
        accepted = record.state is not SessionState.ASSIGNED
        tx.put_slot(lease.move(slot, lease.Released(accepted)))
        effects.insert(0, TellEnded(slot.worker, slot.n, slot.fence, record.id, reason, moderate))
    return tx.session(session), effects


def _locked(tx: Tx, session: str) -> tuple[SessionRecord | None, SlotRecord | None]:
    """A Session and the Slot that it holds, locked in the order of all decisions: the Slot first."""
    seen = tx.session(session)
    while True:
        slot = None
        if seen is not None and seen.worker is not None and seen.slot is not None:
            slot = tx.slot(seen.worker, seen.slot, lock=True)
        record = tx.session(session, lock=True)
        if record is None or seen is None or (record.fence == seen.fence and record.worker == seen.worker):
            held = slot is not None and slot.state is SlotState.HELD and slot.session == session
            return record, slot if held else None
        # It moved while the Slot was waited for; now that it is locked it stays.
        seen = record
