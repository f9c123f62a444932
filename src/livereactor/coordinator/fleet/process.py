"""One process of the pool, from being asked for to its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from livereactor.base.errors import IllegalTransitionError
from livereactor.store.records import WorkerState

REGISTER_TIMEOUT: Final = 60.0  # seconds; it registers before it imports the model, which alone may take long
EXIT_TIMEOUT: Final = 15.0  # seconds after goodbye: behaviour 32.4 has 10 for everything that ends


class ProcessState(Enum):
    """How far a process has come."""

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
    """What it had to do by its deadline it has not done."""


ProcessEvent: TypeAlias = Seen | Retired | Kept | Overdue

_S = ProcessState
_SEEN: Final[Mapping[WorkerState, ProcessState]] = {
    WorkerState.STARTING: _S.LOADING,
    WorkerState.READY: _S.READY,
    WorkerState.DRAINING: _S.LEAVING,
    WorkerState.GONE: _S.LEAVING,
    WorkerState.LOST: _S.KILLED,
}
# From each state to which; looking twice is no move, and what is late or lost is never an error of ours.
LEGAL: Final[Mapping[ProcessState, frozenset[ProcessState]]] = {
    _S.BEGUN: frozenset({_S.LOADING, _S.READY, _S.LEAVING, _S.KILLED}),
    _S.LOADING: frozenset({_S.READY, _S.LEAVING, _S.KILLED}),
    _S.READY: frozenset({_S.LOADING, _S.LEAVING, _S.KILLED}),  # LOADING: it came back with a new incarnation
    _S.LEAVING: frozenset({_S.READY, _S.KILLED}),  # READY: kept
    _S.KILLED: frozenset(),
}


@dataclass(slots=True)
class FleetProcess:
    """A process of the pool.

    Attributes:
        deadline: when it is overdue; None = never.
        was_ready: it has been READY once: what its end says is not that it cannot start.
        ready_since: when it became READY the last time; None while it loads.
        idle_since: None while it is not READY and empty.
    """

    state: ProcessState = ProcessState.BEGUN
    deadline: float | None = None
    was_ready: bool = False
    ready_since: float | None = None
    idle_since: float | None = None

    def handle(self, event: ProcessEvent, now: float) -> bool:
        """Take it in; True if the process has to be killed now."""
        match event:
            case Seen(state):
                return self._seen(state, now)
            case Retired():
                self._move(ProcessState.LEAVING)
                return False
            case Kept():
                self._move(ProcessState.READY)
                return False
            case Overdue():
                self._move(ProcessState.KILLED)
                return True

    def _seen(self, state: WorkerState, now: float) -> bool:
        target = _SEEN[state]
        if state is WorkerState.GONE and self.deadline is None and self.state is not ProcessState.KILLED:
            self.deadline = now + EXIT_TIMEOUT
        if target not in LEGAL[self.state] or (self.state, target) == (ProcessState.LEAVING, ProcessState.READY):
            return False  # nothing new, or what it was asked since is not seen yet
        self._move(target)
        self.deadline = now + EXIT_TIMEOUT if state is WorkerState.GONE else None
        if target is ProcessState.READY:
            self.was_ready, self.ready_since = True, now
        elif target is ProcessState.LOADING:
            self.ready_since = None
        return target is ProcessState.KILLED

    def _move(self, target: ProcessState) -> None:
        if target not in LEGAL[self.state]:
            raise IllegalTransitionError("FleetProcess", self.state.value, target.value)
        self.state = target
        if target is ProcessState.KILLED:
            self.deadline = None
        self.idle_since = None
