"""The lease of a Worker, and its Slots, each promised to one Session under a fence.

Pure, on records. A Worker keeps its lease by beats. Who holds a Slot does not depend on any clock: a Slot is given away
only while FREE, which it becomes by its Worker's own word, and each claim raises its fence, so that its
former holder can always be told from the new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, TypeAlias

from livereactor.base.machine import Table
from livereactor.protocol.link import SlotReport
from livereactor.store.records import SlotRecord, SlotState, WorkerRecord


@dataclass(frozen=True, slots=True)
class Claimed:
    """The slot was promised to a session, under the next fence."""

    session: str


@dataclass(frozen=True, slots=True)
class Released:
    """The slot's session is over, or moved. `accepted`: the worker may still run it, and must report its end."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class Emptied:
    """The worker reported that the slot is empty."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """The slot's content is unknown: its worker is lost, or runs what was never promised (`fence`, `session`)."""

    fence: int = 0
    session: str | None = None


SlotEvent: TypeAlias = Claimed | Released | Emptied | Doubted

_S = SlotState
LEGAL: Final[Table[SlotState, SlotEvent]] = Table(
    "Slot",
    {
        _S.FREE: {Claimed: _S.HELD, Emptied: _S.FREE, Doubted: _S.CLOSING},
        _S.HELD: {Released: _S.CLOSING, Emptied: _S.FREE, Doubted: _S.CLOSING},
        _S.CLOSING: {Emptied: _S.FREE, Doubted: _S.CLOSING},
    },
)


class Standing(Enum):
    """The meaning of a worker's report on a slot."""

    EMPTY = "empty"  # the slot is empty, and the report is current
    HOLDS = "holds"  # it has the session that it was promised
    ENDING = "ending"  # it has the session that it was promised, which is over by now; the worker has to end it
    BEHIND = "behind"  # the worker does not know the last promise yet
    STALE = "stale"  # it has a session that is not (or no longer) promised to it
    AHEAD = "ahead"  # it has a later promise than the record: the store lost facts


def move(slot: SlotRecord, event: SlotEvent) -> SlotRecord:
    """Return the Slot after an event; raises `IllegalTransitionError` where its state does not take it."""
    return replace(slot, state=LEGAL.after(slot.state, event), **_changes(slot, event))


def _changes(slot: SlotRecord, event: SlotEvent) -> dict[str, Any]:
    match event:
        case Claimed(session):
            return {"session": session, "fence": slot.fence + 1}
        case Released(accepted):
            return {"session": slot.session if accepted else None}
        case Emptied():
            return {"session": None}
        case Doubted(fence, session):
            return {"session": session or slot.session, "fence": max(slot.fence, fence)}


def standing(slot: SlotRecord, report: SlotReport) -> Standing:
    """Compare a report with the slot's record; reports may be late, doubled and out of order."""
    if report.fence > slot.fence:
        return Standing.AHEAD
    if report.phase == "free":
        return _standing_free(slot, report)
    if report.fence < slot.fence or report.session != slot.session:
        return Standing.STALE
    if slot.state is SlotState.HELD:
        return Standing.HOLDS
    # A session that was accepted and is over may end in its own time; one still being accepted must not begin.
    return Standing.STALE if report.phase == "accepting" else Standing.ENDING


def _standing_free(slot: SlotRecord, report: SlotReport) -> Standing:
    if report.fence == slot.fence or slot.state is SlotState.FREE:
        return Standing.EMPTY
    # An older fence may be an old report. It counts only where nothing was ever accepted under the newer one.
    is_unused = slot.state is SlotState.CLOSING and slot.session is None
    return Standing.EMPTY if is_unused else Standing.BEHIND


def renewed(worker: WorkerRecord, now_us: int, lease: float) -> WorkerRecord:
    """Return the worker with a lease of `lease` seconds from now."""
    return replace(worker, lease_until_us=now_us + round(lease * 1e6))


def is_ahead_of_time(worker: WorkerRecord, now_us: int, lease: float) -> bool:
    """Return whether the lease ends later than any given now: the clock was set back since."""
    return worker.lease_until_us > now_us + round(lease * 1e6)
