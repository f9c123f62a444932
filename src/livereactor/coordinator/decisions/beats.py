"""Decisions on what a registered Worker says: its beats, which renew its lease, and how its Sessions move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from livereactor.coordinator.decisions import moves
from livereactor.coordinator.decisions.effects import Effect, FirstFrame, QueueChanged
from livereactor.coordinator.decisions.fill import fill
from livereactor.coordinator.decisions.locks import held
from livereactor.coordinator.decisions.slots import ReportOutcome, follow_phase, repeat_notice, take_reports
from livereactor.coordinator.decisions.workers import advance, lose_worker, stale
from livereactor.coordinator.machines import lease
from livereactor.coordinator.machines import worker as machine
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Tx
from livereactor.store.records import SlotRecord, SlotState, WorkerRecord, WorkerState

STUCK: Final = link.SELF_FENCE  # seconds; whatever ends does so within a sixth of it, or its process is broken


def beat(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str, beat: link.Beat
) -> tuple[link.Renewed | link.Refused, list[Effect]]:
    """Renew the lease, accept what is `accepting`, take Slots back that are free, and serve the queue from them.

    Also brings about again what was lost on the way: assignments, ends and drains that the Worker does not know of.

    Returns:
        `Renewed` with the Slots that are its own, or `Refused("stale")`: lost, unknown, or an older incarnation.
    """
    record = _current(tx, worker, incarnation)
    if record is None:
        return stale(worker), []
    known = list(tx.slots(worker, lock=True))
    heard = take_reports(tx, now_us, options, known=known, reports=beat.slots)
    if _is_stuck(heard, now_us):
        return stale(worker), heard.effects + lose_worker(tx, now_us, record, f"no end of a session in {STUCK:.0f} s")
    moved, effects = advance(tx, now_us, options, record, beat.state)
    tx.put_worker(_renewed(moved, now_us, options, heard, beat))
    effects = [*heard.effects, *effects]
    if moved.state is WorkerState.STARTING and _shown(record) != (beat.progress, beat.text):
        effects.append(QueueChanged(record.model))
    became_ready = moved.state is WorkerState.READY and record.state is not WorkerState.READY
    freed = len(known) if became_ready else heard.emptied
    if freed:
        effects += fill(tx, now_us, options, model=record.model, limit=freed)[1]
    return link.Renewed(number=beat.number, held=heard.held), effects


def reminders(tx: Tx, options: CoordinatorOptions, *, worker: str) -> list[Effect]:
    """Return the effects that another coordinator decided for a worker whose socket is here.

    Reads only; hearing an effect twice does a worker no harm. A drain it hears with its next beat.
    """
    record = tx.worker(worker)
    if record is None or record.state not in machine.LIVE:
        return []
    return [effect for slot in tx.slots(worker) for effect in repeat_notice(tx, options, slot)]


def _current(tx: Tx, worker: str, incarnation: str) -> WorkerRecord | None:
    record = tx.worker(worker, lock=True)
    is_current = record is not None and record.incarnation == incarnation and record.state in machine.LIVE
    return record if is_current else None


def _is_stuck(heard: ReportOutcome, now_us: int) -> bool:
    return any(each.ended_us is not None and each.ended_us < now_us - STUCK * 1e6 for each in heard.stuck)


def _renewed(
    record: WorkerRecord, now_us: int, options: CoordinatorOptions, heard: ReportOutcome, beat: link.Beat
) -> WorkerRecord:
    told: dict[str, Any] = {"progress": beat.progress, "text": beat.text, "load": beat.load}
    used_us = now_us if heard.held else record.used_us
    renewed, home = lease.renewed(record, now_us, options.lease), options.peer_url or ""
    return replace(renewed, used_us=used_us, home=home, info={**record.info, **told})


def _shown(record: WorkerRecord) -> tuple[float | None, str]:
    return record.info.get("progress"), record.info.get("text", "")


def report(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str, report: link.SessionReport
) -> tuple[None, list[Effect]]:
    """A Session moved, or closed; under another fence, of another incarnation or twice: nothing happens."""
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
