"""The life of a Session as the coordinator sees it: queued, assigned, accepted, with clients and without, over.

Pure, on records: `move` returns the Session after an event.
What its Worker sees is finer (`runtime/session/lifecycle.py`),
and a Session's windows are the Worker's too; here is what must not be lost when either of the two dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from livereactor.base.machine import Table
from livereactor.store.records import SessionRecord, SessionState


@dataclass(frozen=True, slots=True)
class Assigned:
    """A slot was promised to the session."""

    worker: str
    slot: int
    fence: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The worker accepted the session; `expires_us` as in `SessionRecord`."""

    at_us: int
    expires_us: int | None


@dataclass(frozen=True, slots=True)
class Streaming:
    """A client is connected; `first_frame`: a client has received a frame."""

    at_us: int
    first_frame: bool = False


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The session's last connection left."""

    at_us: int


@dataclass(frozen=True, slots=True)
class Unassigned:
    """The worker did not accept the session, which goes back to its old place in the queue."""

    at_us: int


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker is lost, and the session is queued for another, before the sessions that lost no worker."""

    at_us: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The session ended."""

    at_us: int
    reason: str


SessionEvent: TypeAlias = Assigned | Accepted | Streaming | Orphaned | Unassigned | WorkerLost | Ended

_S = SessionState
LEGAL: Final[Table[SessionState, SessionEvent]] = Table(
    "Session",
    {
        _S.QUEUED: {Assigned: _S.ASSIGNED, Ended: _S.CLOSED},
        _S.ASSIGNED: {Accepted: _S.WAITING, Unassigned: _S.QUEUED, WorkerLost: _S.QUEUED, Ended: _S.CLOSED},
        # A client may come and leave between two reports: the first report is then `orphaned`.
        _S.WAITING: {Streaming: _S.ACTIVE, Orphaned: _S.ORPHANED, WorkerLost: _S.QUEUED, Ended: _S.CLOSED},
        _S.ACTIVE: {Streaming: _S.ACTIVE, Orphaned: _S.ORPHANED, WorkerLost: _S.QUEUED, Ended: _S.CLOSED},
        _S.ORPHANED: {Streaming: _S.ACTIVE, WorkerLost: _S.QUEUED, Ended: _S.CLOSED},
        _S.CLOSED: {},
    },
)
_NOWHERE: Final[Mapping[str, Any]] = {
    "worker": None,
    "slot": None,
    "fence": None,
    "assigned_us": None,
    "accepted_us": None,
    "connected_us": None,
    "expires_us": None,
    "waited": True,
}


def move(session: SessionRecord, event: SessionEvent) -> SessionRecord:
    """Return the Session after an event; raises `IllegalTransitionError` where its state does not take it."""
    return replace(session, state=LEGAL.after(session.state, event), **_changes(session, event))


def _changes(session: SessionRecord, event: SessionEvent) -> dict[str, Any]:
    match event:
        case Assigned(worker, slot, fence, at_us):
            return {"worker": worker, "slot": slot, "fence": fence, "assigned_us": at_us}
        case Accepted(at_us, expires_us):
            return {"accepted_us": at_us, "expires_us": expires_us}
        case Streaming(at_us, first_frame):
            return {"connected_us": _first(session, at_us), "first_frame": session.first_frame or first_frame}
        case Orphaned(at_us):
            return {"connected_us": _first(session, at_us)}
        case Unassigned(at_us):
            # Its client did not have to poll meanwhile.
            return {**_NOWHERE, "polled_us": at_us}
        case WorkerLost(at_us):
            return {**_NOWHERE, "polled_us": at_us, "prio": session.prio + 1, "requeues": session.requeues + 1}
        case Ended(at_us, reason):
            return {"ended_us": at_us, "end_reason": reason}


def _first(session: SessionRecord, at_us: int) -> int:
    return at_us if session.connected_us is None else session.connected_us


def may_go_on(session: SessionRecord, spec: Mapping[str, Any]) -> bool:
    """Return whether a session may have another worker: once, and after its first frame only if its model says so."""
    return session.requeues == 0 and (not session.first_frame or bool(spec.get("requeue")))


def seconds_used(session: SessionRecord, now_us: int) -> float:
    """Return the seconds for which the session had a worker, by which usage is counted; 0 before one accepted."""
    if session.accepted_us is None:
        return 0.0
    end_us = now_us if session.ended_us is None else session.ended_us
    return max(0, end_us - session.accepted_us) / 1e6
