"""Decisions on a Worker: it registers, beats, reports how its Sessions move, drains, says goodbye, is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from livereactor.base.errors import NotFoundError
from livereactor.coordinator.decisions import moves
from livereactor.coordinator.decisions.effects import (
    Effect,
    FirstFrame,
    FleetChanged,
    NotifyDrain,
    NotifyEnded,
    QueueChanged,
    WorkerDeclaredLost,
)
from livereactor.coordinator.decisions.locks import held
from livereactor.coordinator.decisions.moves import fill
from livereactor.coordinator.decisions.slots import ReportOutcome, apply_reports, follow_phase, repeat_notice
from livereactor.coordinator.machines import lease
from livereactor.coordinator.machines import worker as machine
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Tx
from livereactor.store.records import (
    EventRecord,
    ModelRecord,
    SessionState,
    SlotRecord,
    SlotState,
    WorkerRecord,
    WorkerState,
)

ENDED: Final = "ended"  # in a worker's `info`: its pool said that its process has ended


def register(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, hello: link.Hello, since: int | None = None
) -> tuple[link.Welcome | link.Refused, list[Effect]]:
    """Register a worker: for the first time, anew after its sessions were lost, or again after its socket broke.

    The same incarnation, not lost, keeps its Sessions (`Welcome.held`). A new one has to be empty; what was promised to
    the one before is treated as lost. An unknown Worker may hold Slots (the coordinator lost its data): none is held,
    and each can be given away once it is reported free.

    A credential of a pool is for one process. A model may have kept it, so it registers nobody once that process has
    ended, nor when it is so old that the end may have been forgotten.

    The model is made known if it is not, and its `spec` and `version` are kept up to date.

    Args:
        since: Unix seconds at which a pool made the credential that was shown; None = not of a pool.
    """
    known = tx.worker(hello.worker, lock=True)
    effects: list[Effect] = []
    if known is not None and known.info.get(ENDED):
        return _ended(hello.worker), []
    if known is None and since is not None and now_us > (since + options.kept) * 1e6:
        return _ended(hello.worker), []
    if known is None:
        record = _first(now_us, hello)
    elif known.incarnation == hello.incarnation:
        if known.state not in machine.LIVE:
            return stale(hello.worker), []
        record = known
    elif _is_empty(hello) and hello.incarnation not in machine.past_incarnations(known):
        effects = _release_slots(tx, now_us, known)
        record = machine.move(known, machine.Registered(hello.incarnation, now_us))
    else:
        return stale(hello.worker), []
    held, told = _store_registration(tx, now_us, options, record, hello, anew=record is not known)
    return link.Welcome(held=held), effects + told


def _first(now_us: int, hello: link.Hello) -> WorkerRecord:
    return WorkerRecord(
        id=hello.worker,
        model=hello.model,
        incarnation=hello.incarnation,
        node=hello.node,
        state=WorkerState.STARTING,
        slots=len(hello.slots),
        started_us=now_us,
        lease_until_us=now_us,
    )


def _is_empty(hello: link.Hello) -> bool:
    return all(each.phase == "free" for each in hello.slots)


def _store_registration(
    tx: Tx, now_us: int, options: CoordinatorOptions, record: WorkerRecord, hello: link.Hello, *, anew: bool
) -> tuple[list[int], list[Effect]]:
    """Store a worker whose registration is valid, its slots and its model."""
    slots = [_slot(tx, record, each, anew=anew) for each in hello.slots]
    outcome = apply_reports(tx, now_us, options, known=slots, reports=hello.slots)
    _know_model(tx, hello)
    moved, effects = advance(tx, now_us, options, record, hello.state)
    info: dict[str, Any] = {**record.info, "pid": hello.pid}
    described = replace(
        moved,
        model=hello.model,
        node=hello.node,
        pooled=hello.pooled,
        slots=len(hello.slots),
        home=options.peer_url or "",
        info=info,
    )
    tx.put_worker(lease.renewed(described, now_us, options.lease))
    effects = [*outcome.effects, *effects, FleetChanged(hello.model), QueueChanged(hello.model)]
    return outcome.held, effects + fill(tx, now_us, options, model=hello.model, limit=len(slots))[1]


def _slot(tx: Tx, record: WorkerRecord, report: link.SlotReport, *, anew: bool) -> SlotRecord:
    """Return the known slot for a report; a slot of an empty new process becomes free and keeps its fence."""
    slot = tx.slot(record.id, report.n, lock=True)
    if slot is None:
        slot = SlotRecord(record.id, report.n)
    elif not anew:
        return slot
    elif slot.state is not SlotState.FREE:
        slot = lease.move(slot, lease.Emptied())
    tx.put_slot(slot)
    return slot


def _know_model(tx: Tx, hello: link.Hello) -> None:
    if not hello.spec:
        return
    model = tx.model(hello.model, lock=True)
    if model is None:
        tx.put_model(ModelRecord(hello.model, hello.version, hello.spec))
    elif (model.version, model.spec) != (hello.version, hello.spec):
        tx.put_model(replace(model, version=hello.version, spec=hello.spec))


def advance(
    tx: Tx, now_us: int, options: CoordinatorOptions, record: WorkerRecord, said: str
) -> tuple[WorkerRecord, list[Effect]]:
    """Return the worker after its report, not stored yet; as it begins to drain, queue again what it did not accept."""
    moved = machine.move(record, machine.said(said, now_us))
    if moved.state is record.state:
        # The worker does not know of the drain: the message was lost.
        unheard = moved.state is WorkerState.DRAINING and said != "draining"
        return moved, [NotifyDrain(record.id, options.drain_timeout)] if unheard else []
    _note(tx, now_us, f"worker.{moved.state.value}", moved)
    effects: list[Effect] = [FleetChanged(moved.model), QueueChanged(moved.model)]
    if moved.state is WorkerState.DRAINING:
        # It accepts no more sessions: those promised to it go to others.
        for slot in tx.slots(record.id, lock=True):
            effects += requeue_unaccepted(tx, now_us, slot, "worker_draining")
    return moved, effects


def requeue_unaccepted(tx: Tx, now_us: int, slot: SlotRecord, why: str) -> list[Effect]:
    """Queue the Session of a locked Slot again if it was not accepted, and close the Slot."""
    session = held(tx, slot)
    if session is None or session.state is not SessionState.ASSIGNED:
        return []
    tx.put_slot(lease.move(slot, lease.Released(accepted=False)))
    told = NotifyEnded(slot.worker, slot.n, slot.fence, session.id, why)
    return [told, *moves.unassign(tx, now_us, session, why)]


def bye(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str
) -> tuple[None, list[Effect]]:
    """Record a worker's goodbye. A session that it still held is queued again or ended, as with a lost worker."""
    record = tx.worker(worker, lock=True)
    if record is None or record.incarnation != incarnation or record.state not in machine.LIVE:
        return None, []
    effects = _release_slots(tx, now_us, record)
    moved = machine.move(record, machine.SaidBye())
    tx.put_worker(moved)
    _note(tx, now_us, "worker.gone", moved)
    effects += [FleetChanged(record.model), QueueChanged(record.model)]
    return None, effects + fill(tx, now_us, options, model=record.model)[1]


def worker_lost(
    tx: Tx,
    now_us: int,
    options: CoordinatorOptions,
    *,
    worker: str,
    reason: str,
    incarnation: str | None = None,
    is_final: bool = False,
) -> tuple[bool, list[Effect]]:
    """Mark a worker as lost, as its process is gone or silent: its sessions are queued again once, or end.

    Args:
        reason: for operators: `exited with code -9`, `silent for 15 s`.
        incarnation: only if it still has that one; None = any.
        is_final: nobody may register under this id again.

    Returns:
        whether the worker was live.
    """
    record = tx.worker(worker, lock=True)
    if record is not None and is_final:
        record = replace(record, info={**record.info, ENDED: True})
        tx.put_worker(record)
    if record is None or record.state not in machine.LIVE or incarnation not in (None, record.incarnation):
        return False, []
    effects = lose_worker(tx, now_us, record, reason)
    return True, effects + fill(tx, now_us, options, model=record.model)[1]


def lose_worker(tx: Tx, now_us: int, record: WorkerRecord, reason: str) -> list[Effect]:
    """Mark a locked, LIVE worker as lost; its sessions are queued again or ended."""
    effects = _release_slots(tx, now_us, record)
    moved = machine.move(record, machine.Lost())
    tx.put_worker(moved)
    _note(tx, now_us, "worker.lost", moved, reason=reason)
    return [
        *effects,
        WorkerDeclaredLost(record.id, record.model),
        FleetChanged(record.model),
        QueueChanged(record.model),
    ]


def _release_slots(tx: Tx, now_us: int, record: WorkerRecord) -> list[Effect]:
    """Put the worker's slots out of use, and queue again or end each of its sessions."""
    effects: list[Effect] = []
    for slot in tx.slots(record.id, lock=True):
        if (session := held(tx, slot)) is not None:
            effects += moves.lose(tx, now_us, session)
        tx.put_slot(lease.move(slot, lease.Doubted()))
    return effects


def drain(tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str) -> tuple[None, list[Effect]]:
    """Drain a worker: it finishes its sessions and ends. Repeated with each beat until it says that it drains.

    Raises:
        NotFoundError: no such Worker.
    """
    record = tx.worker(worker, lock=True)
    if record is None:
        raise NotFoundError(f"no worker {worker[:64]!r}; `livereactor workers` lists them")
    if record.state not in machine.LIVE:
        return None, []
    moved, effects = advance(tx, now_us, options, record, "draining")
    tx.put_worker(moved)
    effects += fill(tx, now_us, options, model=record.model)[1]
    return None, [*effects, NotifyDrain(worker, options.drain_timeout)]


def _ended(worker: str) -> link.Refused:
    return link.Refused(
        code="bad_frame", message=f"the process of worker {worker!r} has ended; its id is not used again"
    )


def stale(worker: str) -> link.Refused:
    """Return the refusal of a worker that has to register anew."""
    return link.Refused(
        code="stale",
        message=f"worker {worker!r} is not known by this incarnation (any more); "
        "drop its sessions and register empty under a new one",
    )


def _note(tx: Tx, now_us: int, kind: str, record: WorkerRecord, **data: Any) -> None:
    tx.add_event(EventRecord(kind, now_us, data={"worker": record.id, "model": record.model, **data}))


STUCK: Final = link.SELF_FENCE  # seconds; whatever ends does so within a sixth of it, or its process is broken


def beat(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str, beat: link.Beat
) -> tuple[link.Renewed | link.Refused, list[Effect]]:
    """Renew the lease, accept what is `accepting`, take Slots back that are free, and serve the queue from them.

    Also repeats what was lost on the way: assignments, ends and drains that the worker does not know of.

    Returns:
        `Renewed` with the Slots that are its own, or `Refused("stale")`: lost, unknown, or an older incarnation.
    """
    record = _current(tx, worker, incarnation)
    if record is None:
        return stale(worker), []
    known = list(tx.slots(worker, lock=True))
    outcome = apply_reports(tx, now_us, options, known=known, reports=beat.slots)
    if _is_stuck(outcome, now_us):
        return stale(worker), outcome.effects + lose_worker(tx, now_us, record, f"no end of a session in {STUCK:.0f} s")
    moved, effects = advance(tx, now_us, options, record, beat.state)
    tx.put_worker(_renewed(moved, now_us, options, outcome, beat))
    effects = [*outcome.effects, *effects]
    if moved.state is WorkerState.STARTING and _shown(record) != (beat.progress, beat.text):
        effects.append(QueueChanged(record.model))
    became_ready = moved.state is WorkerState.READY and record.state is not WorkerState.READY
    freed = len(known) if became_ready else outcome.emptied
    if freed:
        effects += fill(tx, now_us, options, model=record.model, limit=freed)[1]
    return link.Renewed(number=beat.number, held=outcome.held), effects


def reminders(tx: Tx, options: CoordinatorOptions, *, worker: str) -> list[Effect]:
    """Return the effects that another coordinator decided for a worker whose socket is here.

    Reads only. An effect that comes twice does a worker no harm; a drain comes with its next beat.
    """
    record = tx.worker(worker)
    if record is None or record.state not in machine.LIVE:
        return []
    return [effect for slot in tx.slots(worker) for effect in repeat_notice(tx, options, slot)]


def _current(tx: Tx, worker: str, incarnation: str) -> WorkerRecord | None:
    record = tx.worker(worker, lock=True)
    is_current = record is not None and record.incarnation == incarnation and record.state in machine.LIVE
    return record if is_current else None


def _is_stuck(outcome: ReportOutcome, now_us: int) -> bool:
    return any(each.ended_us is not None and each.ended_us < now_us - STUCK * 1e6 for each in outcome.stuck)


def _renewed(
    record: WorkerRecord, now_us: int, options: CoordinatorOptions, outcome: ReportOutcome, beat: link.Beat
) -> WorkerRecord:
    told: dict[str, Any] = {"progress": beat.progress, "text": beat.text, "load": beat.load}
    used_us = now_us if outcome.held else record.used_us
    renewed, home = lease.renewed(record, now_us, options.lease), options.peer_url or ""
    return replace(renewed, used_us=used_us, home=home, info={**record.info, **told})


def _shown(record: WorkerRecord) -> tuple[float | None, str]:
    return record.info.get("progress"), record.info.get("text", "")


def report(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str, report: link.SessionReport
) -> tuple[None, list[Effect]]:
    """Apply a report that a session moved or closed. Repeats, and other fences or incarnations, are ignored."""
    record = _current(tx, worker, incarnation)
    slot = None if record is None else tx.slot(worker, report.slot, lock=True)
    if record is None or slot is None or slot.fence != report.fence or slot.state is SlotState.FREE:
        return None, []
    if report.phase == "closed":
        effects = _closed(tx, now_us, slot, report)
        return None, effects + fill(tx, now_us, options, model=record.model, limit=1)[1]
    session = held(tx, slot)
    if session is None or session.id != report.session:
        return None, []
    effects = follow_phase(tx, now_us, options, session, report.phase, first_frame=report.first_frame)
    if report.first_frame and not session.first_frame and session.accepted_us is not None:
        effects.append(FirstFrame(session.id, max(0, now_us - session.accepted_us) / 1e6))
    return None, effects


def _closed(tx: Tx, now_us: int, slot: SlotRecord, report: link.SessionReport) -> list[Effect]:
    tx.put_slot(lease.move(slot, lease.Emptied()))
    session = held(tx, slot)
    if session is None:
        return []
    return moves.close(tx, now_us, session, report.reason or "stopped", detail=report.detail)
