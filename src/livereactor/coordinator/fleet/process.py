"""One process of the pool, from being asked for to its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from livereactor.base.machine import IGNORED, Machine, Table
from livereactor.store.records import WorkerState

REGISTER_TIMEOUT: Final = 60.0  # seconds; it registers before it imports the model, which alone may take long
EXIT_TIMEOUT: Final = 15.0  # seconds after goodbye; a process has 10 to end everything


class ProcessState(Enum):
    """The state of a worker's process."""

    BEGUN = "begun"  # asked of the pool; nothing was heard of it
    LOADING = "loading"  # it has registered
    READY = "ready"  # its Slots can be given away, or are
    LEAVING = "leaving"  # it ends because it was asked to, or said so
    KILLED = "killed"  # it is being killed; only its end is waited for


@dataclass(frozen=True, slots=True)
class Seen:
    """The store knows it in this state."""

    state: WorkerState


@dataclass(frozen=True, slots=True)
class Retired:
    """It was idle and is asked to end."""


@dataclass(frozen=True, slots=True)
class Kept:
    """It was not idle any more: it was not asked to end."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """The deadline passed before the process did what was due."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The process has to be killed now."""


ProcessEvent: TypeAlias = Seen | Retired | Kept | Overdue

_S = ProcessState
_SEEN: Final[Mapping[WorkerState, ProcessState]] = {
    WorkerState.STARTING: _S.LOADING,
    WorkerState.READY: _S.READY,
    WorkerState.DRAINING: _S.LEAVING,
    WorkerState.GONE: _S.LEAVING,
    WorkerState.LOST: _S.KILLED,
}
LEGAL: Final[Table[ProcessState, ProcessEvent]] = Table(
    "FleetProcess",
    {
        _S.BEGUN: {Seen: (_S.LOADING, _S.READY, _S.LEAVING, _S.KILLED), Overdue: _S.KILLED},
        _S.LOADING: {Seen: (_S.LOADING, _S.READY, _S.LEAVING, _S.KILLED), Overdue: _S.KILLED},
        # READY to LOADING: it came back with a new incarnation.
        _S.READY: {
            Seen: (_S.READY, _S.LOADING, _S.LEAVING, _S.KILLED),
            Retired: _S.LEAVING,
            Overdue: _S.KILLED,
        },
        _S.LEAVING: {Seen: (_S.LEAVING, _S.KILLED), Kept: _S.READY, Overdue: _S.KILLED},
        _S.KILLED: {Seen: IGNORED},
    },
)


class FleetProcess(Machine[ProcessState, ProcessEvent, Kill]):
    """A process of the pool.

    Args:
        deadline: when it is overdue; None = never.

    Attributes:
        was_ready: it has been READY once: its end does not mean that it cannot start.
        ready_since: when it became READY the last time; None while it loads.
        idle_since: None while it is not READY and empty.
    """

    __slots__ = ("_deadline", "idle_since", "ready_since", "was_ready")

    def __init__(self, deadline: float | None = None) -> None:
        super().__init__(LEGAL)
        self._deadline = deadline
        self.was_ready = False
        self.ready_since: float | None = None
        self.idle_since: float | None = None

    def deadline(self) -> float | None:
        """Return when `Overdue` is due; None = never."""
        return self._deadline

    def _decide(self, event: ProcessEvent, now: float) -> list[Kill]:
        match event:
            case Seen(state):
                return self._seen(state, now)
            case Retired() | Kept():
                self.idle_since = None
                return []
            case Overdue():
                self._deadline = self.idle_since = None
                return [Kill()]

    def _seen(self, state: WorkerState, now: float) -> list[Kill]:
        target = _SEEN[state]
        if state is WorkerState.GONE and self._deadline is None:
            self._deadline = now + EXIT_TIMEOUT
        is_old = self.state is ProcessState.LEAVING and target is not ProcessState.KILLED
        if target is self.state or is_old:
            return []  # nothing new, or what it was asked since is not seen yet
        self._go(target)
        self._deadline = now + EXIT_TIMEOUT if state is WorkerState.GONE else None
        self.idle_since = None
        if target is ProcessState.READY:
            self.was_ready, self.ready_since = True, now
        elif target is ProcessState.LOADING:
            self.ready_since = None
        return [Kill()] if target is ProcessState.KILLED else []
