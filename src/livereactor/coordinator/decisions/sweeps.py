"""Decisions that time brings about. The sweeper takes each step about once a second, in a transaction of its own.

Each step is bounded and returns how many records it handled; if that is its limit, call it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.decisions.locks import by_slot, with_its_slot
from livereactor.coordinator.decisions.moves import fill
from livereactor.coordinator.decisions.sessions import end_session
from livereactor.coordinator.decisions.workers import lose_worker, requeue_unaccepted
from livereactor.coordinator.machines import lease
from livereactor.coordinator.machines.worker import LIVE
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx
from livereactor.store.records import SessionRecord, SessionState

STEP_LIMIT: Final = 50  # records in one transaction
ACCEPT_WITHIN: Final = 5.0  # seconds; two beats and a half, each of which repeats the assignment
OVERDUE_SLACK: Final = 30.0  # seconds past `expires_us` in which the Worker may still end the Session by itself
_ASSIGNED: Final = frozenset({SessionState.ASSIGNED})


def sweep_leases(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Mark as lost the workers whose lease ran out. Not to be called while `options.store_grace` runs."""
    effects: list[Effect] = []
    silent = sorted(tx.expired_workers(now_us)[:STEP_LIMIT], key=lambda each: each.id)
    reason = f"silent for {options.lease:.0f} s"
    for each in silent:
        worker = tx.worker(each.id, lock=True)
        if worker is not None and worker.state in LIVE and worker.lease_until_us < now_us:
            effects += lose_worker(tx, now_us, worker, reason)
    for model in sorted({each.model for each in silent}):
        effects += fill(tx, now_us, options, model=model, limit=STEP_LIMIT)[1]
    return len(silent), effects


def sweep_assignments(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Queue again the sessions that no worker accepted within `ACCEPT_WITHIN`, and close their slots."""
    effects: list[Effect] = []
    late_us = now_us - round(ACCEPT_WITHIN * 1e6)
    late = [each for each in _all(tx, _ASSIGNED) if (each.assigned_us or 0) < late_us][:STEP_LIMIT]
    for each in by_slot(late):
        slot = None if each.worker is None or each.slot is None else tx.slot(each.worker, each.slot, lock=True)
        if slot is not None and slot.session == each.id and slot.fence == each.fence:
            effects += requeue_unaccepted(tx, now_us, slot, "not_accepted")
    for model in sorted({each.model for each in late}):
        effects += fill(tx, now_us, options, model=model, limit=STEP_LIMIT)[1]
    return len(late), effects


def sweep_tickets(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Drop tickets whose client has not polled for `options.ticket_grace` (`timed_out`).

    Not to be called while `options.store_grace` runs: no poll could be stored.
    """
    before_us = now_us - round(options.ticket_grace * 1e6)

    def is_dropped(session: SessionRecord) -> bool:
        return session.state is SessionState.QUEUED and session.polled_us < before_us

    effects: list[Effect] = []
    dropped = tx.unpolled(before_us, limit=STEP_LIMIT)
    for each in by_slot(dropped):
        effects += end_session(tx, now_us, options, session=each.id, reason="timed_out", still=is_dropped)[1]
    return len(dropped), effects


def sweep_overdue(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """End the sessions that their workers did not end in time (`max_duration`)."""
    before_us = now_us - round(OVERDUE_SLACK * 1e6)

    def is_overdue(session: SessionRecord) -> bool:
        return session.expires_us is not None and session.expires_us < before_us

    effects: list[Effect] = []
    overdue = tx.overdue(before_us, limit=STEP_LIMIT)
    for each in by_slot(overdue):
        effects += end_session(tx, now_us, options, session=each.id, reason="max_duration", still=is_overdue)[1]
    return len(overdue), effects


def sweep_queues(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Serve tickets that wait while a slot is free."""
    served, effects = 0, list[Effect]()
    for model in tx.queued_models():
        now_served, told = fill(tx, now_us, options, model=model, limit=STEP_LIMIT - served)
        served, effects = served + now_served, effects + told
        if served == STEP_LIMIT:
            break
    return served, effects


def sweep_clock(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Bring times from the future, written before the clock was set back, to now.

    Needed at the start and now and then (every minute).
    """
    live = tx.workers(states=LIVE)
    ahead = [each for each in live if lease.is_ahead_of_time(each, now_us, options.lease)][:STEP_LIMIT]
    for each in sorted(ahead, key=lambda each: each.id):
        worker = tx.worker(each.id, lock=True)
        if worker is not None and lease.is_ahead_of_time(worker, now_us, options.lease):
            tx.put_worker(lease.renewed(worker, now_us, options.lease))
    early = [each for each in _all(tx, _ASSIGNED) if (each.assigned_us or 0) > now_us]
    early = [*early, *tx.polled_after(now_us, limit=STEP_LIMIT)][:STEP_LIMIT]
    for each in by_slot(early):
        session, _ = with_its_slot(tx, each.id)
        if session is not None:
            assigned_us = None if session.assigned_us is None else min(session.assigned_us, now_us)
            tx.put_session(replace(session, polled_us=min(session.polled_us, now_us), assigned_us=assigned_us))
    return max(len(ahead), len(early)), []


def _all(tx: Tx, states: frozenset[SessionState]) -> Iterator[SessionRecord]:
    before_seq: int | None = None
    while page := tx.sessions(states=states, before_seq=before_seq, limit=500):
        yield from page
        before_seq = page[-1].seq
