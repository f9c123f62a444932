"""Workers' reports on their slots, compared with the records: the common part of beats and registrations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from livereactor.coordinator.decisions import moves
from livereactor.coordinator.decisions.effects import Effect, NotifyEnded
from livereactor.coordinator.decisions.locks import held
from livereactor.coordinator.machines import lease
from livereactor.coordinator.machines.lease import Standing
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol.link import SlotReport
from livereactor.store.port import Tx
from livereactor.store.records import SessionRecord, SessionState, SlotRecord, SlotState


@dataclass(slots=True)
class ReportOutcome:
    """The outcome of the reports on a worker's slots.

    Attributes:
        held: Slots that are the Worker's own, as it reported them.
        emptied: Slots that can be given away now.
        stuck: Sessions that are over and were not ended in time.
    """

    held: list[int] = field(default_factory=list[int])
    emptied: int = 0
    stuck: list[SessionRecord] = field(default_factory=list[SessionRecord])
    effects: list[Effect] = field(default_factory=list[Effect])


def apply_reports(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, known: list[SlotRecord], reports: list[SlotReport]
) -> ReportOutcome:
    """Apply reports on locked slots; a report on an unknown slot is ignored."""
    outcome = ReportOutcome()
    by_number = {slot.n: slot for slot in known}
    for report in reports:
        slot = by_number.get(report.n)
        if slot is not None:
            by_number[report.n] = _apply_report(tx, now_us, options, outcome, slot, report)
    return outcome


def _apply_report(
    tx: Tx, now_us: int, options: CoordinatorOptions, outcome: ReportOutcome, slot: SlotRecord, report: SlotReport
) -> SlotRecord:
    match lease.standing(slot, report):
        case Standing.EMPTY:
            outcome.effects += _vacated(tx, now_us, slot)
            outcome.emptied += slot.state is not SlotState.FREE
            return _put(tx, slot, lease.Emptied())
        case Standing.HOLDS:
            outcome.held.append(slot.n)
            outcome.effects += _goes_on(tx, now_us, options, slot, report)
            return slot
        case Standing.ENDING:
            outcome.held.append(slot.n)
            _ending(tx, outcome, slot, report)
            return slot
        case Standing.BEHIND:
            outcome.effects += _assigned_notice(tx, options, slot)
            return slot
        case Standing.STALE:
            return slot
        case Standing.AHEAD:
            outcome.effects += _vacated(tx, now_us, slot)
            return _put(tx, slot, lease.Doubted(report.fence, report.session))


def _put(tx: Tx, slot: SlotRecord, event: lease.SlotEvent) -> SlotRecord:
    moved = lease.move(slot, event)
    if moved != slot:
        tx.put_slot(moved)
    return moved


def _vacated(tx: Tx, now_us: int, slot: SlotRecord) -> list[Effect]:
    """Queue again or end the session that a slot is promised to, and that its worker does not have."""
    record = held(tx, slot)
    if record is None:
        return []
    if record.state is SessionState.ASSIGNED:
        return moves.unassign(tx, now_us, record, "not_accepted")
    # The session ran and ended, and the report with the reason was lost.
    return moves.close(tx, now_us, record, "error", detail="its worker reported the end without a reason")


def _goes_on(tx: Tx, now_us: int, options: CoordinatorOptions, slot: SlotRecord, report: SlotReport) -> list[Effect]:
    record = held(tx, slot)
    return [] if record is None else follow_phase(tx, now_us, options, record, report.phase)


def follow_phase(
    tx: Tx, now_us: int, options: CoordinatorOptions, record: SessionRecord, phase: str, *, first_frame: bool = False
) -> list[Effect]:
    """Accept an assigned session on the report of the worker that holds it, and follow it into the phase reported."""
    effects: list[Effect] = []
    if record.state is SessionState.ASSIGNED:
        record, effects = moves.accept(tx, now_us, options, record)
    _, told = moves.follow(tx, now_us, record, phase, first_frame=first_frame)
    return [*effects, *told]


def _ending(tx: Tx, outcome: ReportOutcome, slot: SlotRecord, report: SlotReport) -> None:
    record = None if slot.session is None else tx.session(slot.session)
    if record is None or slot.session is None:
        return
    outcome.stuck.append(record)
    if report.phase != "closing":
        outcome.effects.append(_ended_notice(slot, record))


def repeat_notice(tx: Tx, options: CoordinatorOptions, slot: SlotRecord) -> list[Effect]:
    """Return the last effect about a slot: that it is assigned, or that its session has ended. Reads only."""
    if slot.state is SlotState.HELD:
        return _assigned_notice(tx, options, slot)
    record = None if slot.session is None else tx.session(slot.session)
    if slot.state is not SlotState.CLOSING or record is None:
        return []
    return [_ended_notice(slot, record)]


def _ended_notice(slot: SlotRecord, record: SessionRecord) -> NotifyEnded:
    reason = record.end_reason or "stopped"
    return NotifyEnded(slot.worker, slot.n, slot.fence, record.id, reason, reason == "moderated")


def _assigned_notice(tx: Tx, options: CoordinatorOptions, slot: SlotRecord) -> list[Effect]:
    record = held(tx, slot)
    if record is None or record.state is not SessionState.ASSIGNED:
        return []
    return [replace(moves.notify_assigned(options, record), again=True)]
