"""The life of a Worker as the coordinator sees it: loading, ready, draining, lost or gone.

Pure, on records: `move` returns the Worker after an event. Its lease and its Slots are `lease.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from livereactor.base.machine import Table
from livereactor.store.records import WorkerRecord, WorkerState


@dataclass(frozen=True, slots=True)
class Registered:
    """A new process of the worker registered, or the same one started over: empty, under a new incarnation."""

    incarnation: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Loading:
    """The worker's model is not loaded yet, or loads again since its author changed the file."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The worker's model is loaded."""

    at_us: int


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """The worker finishes its sessions and takes no new ones."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker's lease ran out, or its process died."""


@dataclass(frozen=True, slots=True)
class SaidBye:
    """The worker said goodbye and ends; a session that it still holds is queued again or ended."""


WorkerEvent: TypeAlias = Registered | Loading | Loaded | DrainAsked | Lost | SaidBye

_W = WorkerState
LEGAL: Final[Table[WorkerState, WorkerEvent]] = Table(
    "Worker",
    {
        _W.STARTING: {
            Registered: _W.STARTING,
            Loading: _W.STARTING,
            Loaded: _W.READY,
            DrainAsked: _W.DRAINING,
            Lost: _W.LOST,
            SaidBye: _W.GONE,
        },
        _W.READY: {
            Registered: _W.STARTING,
            Loading: _W.STARTING,
            Loaded: _W.READY,
            DrainAsked: _W.DRAINING,
            Lost: _W.LOST,
            SaidBye: _W.GONE,
        },
        # A worker does not leave draining: one that does not know of the drain yet still says that it is ready.
        _W.DRAINING: {
            Registered: _W.STARTING,
            Loading: _W.DRAINING,
            Loaded: _W.DRAINING,
            DrainAsked: _W.DRAINING,
            Lost: _W.LOST,
            SaidBye: _W.GONE,
        },
        _W.LOST: {Registered: _W.STARTING},
        _W.GONE: {Registered: _W.STARTING},
    },
)
LIVE: Final = frozenset({_W.STARTING, _W.READY, _W.DRAINING})
PAST: Final = 8  # incarnations kept, so that a frame that was long on its way is not taken for a new process


def move(worker: WorkerRecord, event: WorkerEvent) -> WorkerRecord:
    """Return the Worker after an event; raises `IllegalTransitionError` where its state does not take it."""
    return replace(worker, state=LEGAL.after(worker.state, event), **_changes(worker, event))


def _changes(worker: WorkerRecord, event: WorkerEvent) -> dict[str, Any]:
    match event:
        case Registered(incarnation, at_us):
            past = [*past_incarnations(worker), worker.incarnation][-PAST:]
            return {"incarnation": incarnation, "started_us": at_us, "ready_us": None, "info": {"past": past}}
        case Loaded(at_us):
            return {"ready_us": at_us if worker.ready_us is None else worker.ready_us}
        case Loading() | DrainAsked() | Lost() | SaidBye():
            return {}


def past_incarnations(worker: WorkerRecord) -> list[str]:
    """List the last few incarnations that the worker had before, oldest first."""
    return list(worker.info.get("past", ()))


def said(state: str, at_us: int) -> WorkerEvent:
    """Return the event for the state that a worker reports: `starting`, `ready` or `draining`."""
    events: dict[str, WorkerEvent] = {"starting": Loading(), "ready": Loaded(at_us), "draining": DrainAsked()}
    return events[state]
