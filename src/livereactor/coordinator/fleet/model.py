"""The workers of one model: starts missing ones, retires idle ones, and waits longer the more of them crash.

A machine holds each process of the pool, from being asked for to its end. Pure. The shell (`fleet.py`) reads the store
and passes what it found, applies the effects, reports failed starts and ended processes, and reads again at
`deadline()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from livereactor.base.machine import IGNORED, Machine, Table
from livereactor.store.records import WorkerState

SERVING: Final = frozenset({WorkerState.STARTING, WorkerState.READY})  # has, or will have, Slots to give
REGISTER_TIMEOUT: Final = 60.0  # seconds; it registers before it imports the model, which alone may take long
EXIT_TIMEOUT: Final = 15.0  # seconds after goodbye; a process has 10 to end everything


class ProcessState(Enum):
    """The state of a worker's process."""

    BEGUN = "begun"  # the pool was asked to start it; its worker has not registered
    LOADING = "loading"  # its worker has registered and loads the model
    READY = "ready"  # its slots can be given away, or are in use
    LEAVING = "leaving"  # it was asked to end, or said that it does
    KILLED = "killed"  # it is being killed and has not exited yet


@dataclass(frozen=True, slots=True)
class Seen:
    """The store has the worker in this state."""

    state: WorkerState


@dataclass(frozen=True, slots=True)
class Retired:
    """The worker was idle and is asked to end."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The worker was no longer idle, so it was not asked to end."""


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


BACK_OFF: Final = 0.5  # seconds after the first crash
BACK_OFF_MAX: Final = 30.0  # seconds: an operator who mended something waits no longer
HEALTHY: Final = 60.0  # seconds READY after which a crash is the first one again
GIVE_UP: Final = 3  # failed starts in a row after which clients are not left waiting


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A Worker as the store knows it.

    Attributes:
        held: Slots promised to a Session.
        is_empty: every Slot is free.
    """

    worker: str
    state: WorkerState
    held: int = 0
    is_empty: bool = True
    used_us: int = 0


@dataclass(frozen=True, slots=True)
class ModelView:
    """The workers wanted of a model, and the workers there are.

    Attributes:
        slots: places for Sessions on each of its Workers.
        queued: Tickets.
        workers: those that have registered and are not long gone, pooled or not.
    """

    min_ready: int
    buffer: int
    max_workers: int
    slots: int = 1
    queued: int = 0
    workers: Sequence[WorkerView] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """The store was read.

    Attributes:
        leads: it is ours to start what is missing and to retire what is idle; else another coordinator does that.
    """

    view: ModelView
    leads: bool = True


@dataclass(frozen=True, slots=True)
class Adopted:
    """The pool has this worker already."""

    worker: str


@dataclass(frozen=True, slots=True)
class StayedInUse:
    """The worker was not retired: it was no longer idle, or the store was away."""

    worker: str


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """The pool reported that the process ended, or could not start it."""

    worker: str


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a process under this id."""

    worker: str


@dataclass(frozen=True, slots=True)
class RetireWorker:
    """Ask the worker to end if it is still idle."""

    worker: str


@dataclass(frozen=True, slots=True)
class KillWorker:
    """Kill the worker's process."""

    worker: str


FleetEvent: TypeAlias = Observed | Adopted | StayedInUse | ProcessEnded
FleetEffect: TypeAlias = StartWorker | RetireWorker | KillWorker
_LIVE: Final = frozenset({ProcessState.BEGUN, ProcessState.LOADING, ProcessState.READY})


class ModelFleet:
    """The pool's workers of one model.

    Args:
        new_id: returns a new worker id at each call.
        idle_stop: seconds after which a worker that is not needed is retired.

    Attributes:
        processes: by worker, until the pool reports their end.
    """

    def __init__(self, new_id: Callable[[], str], *, idle_stop: float) -> None:
        self._new_id, self._idle_stop = new_id, idle_stop
        self.processes: dict[str, FleetProcess] = {}
        self._view = ModelView(min_ready=0, buffer=0, max_workers=0)
        self._leads = True
        self._crashes = self._failed_starts = 0  # in a row
        self._not_before = float("-inf")  # no start until then

    def handle(self, event: FleetEvent, now: float) -> list[FleetEffect]:
        """Return the effects of an event, in order; an event of an unknown worker has none."""
        match event:
            case Observed(view, leads):
                self._view, self._leads = view, leads
                killed = self._kill(now)
                return [*killed, *self._start(now), *self._retire(now)] if leads else killed
            case Adopted(worker) if worker not in self.processes:
                self._begin(worker, now)
            case StayedInUse(worker) if worker in self._in(ProcessState.LEAVING):
                self.processes[worker].handle(Kept(), now)
            case ProcessEnded(worker) if worker in self.processes:
                self._ended(self.processes.pop(worker), now)
            case _:
                pass
        return []

    def deadline(self) -> float | None:
        """Return when to read the store again without an event, possibly in the past; None = no need."""
        times = [at for process in self.processes.values() if (at := process.deadline()) is not None]
        if self._leads and min(self._missing(), self._allowance()) > 0:
            times.append(self._not_before)
        if self._leads and self._surplus() > 0:
            times += [p.idle_since + self._idle_stop for p in self.processes.values() if p.idle_since is not None]
        return min(times, default=None)

    def trouble(self, now: float) -> int:
        """Return the number of failed starts in a row, if clients should not wait for the next one; else 0.

        Once the pause after the last failure is over and no worker is wanted, the next client may try again.
        """
        trying = now < self._not_before or any(self._in(ProcessState.BEGUN, ProcessState.LOADING))
        return self._failed_starts if self._failed_starts >= GIVE_UP and trying else 0

    # --- what is wished ------------------------------------------------------------------------------------------

    def _serving(self) -> Sequence[WorkerView]:
        """List the registered workers, pooled or not, that have slots to give or will have."""
        leaving = self._in(ProcessState.LEAVING, ProcessState.KILLED)
        return [each for each in self._view.workers if each.state in SERVING and each.worker not in leaving]

    def _wished(self) -> int:
        """Return the number of workers in use and waited for, plus the buffer; at least `min_ready`."""
        view, serving = self._view, self._serving()
        in_use = sum(each.held > 0 for each in serving)
        needed = -(-(sum(each.held for each in serving) + view.queued) // view.slots)
        return max(view.min_ready, max(in_use, needed) + view.buffer)

    def _missing(self) -> int:
        known = {each.worker for each in self._view.workers}
        coming = sum(worker not in known for worker in self._in(ProcessState.BEGUN))
        room = self._view.max_workers - len(self.processes)  # those that end still hold their memory
        return min(self._wished() - len(self._serving()) - coming, room)

    def _allowance(self) -> int:
        """Return how many may be started together: after a failed start one at a time, until one succeeds."""
        on_their_way = len(self._in(ProcessState.BEGUN, ProcessState.LOADING))
        return 1 - on_their_way if self._failed_starts else self._view.max_workers

    def _surplus(self) -> int:
        ready = sum(each.state is WorkerState.READY for each in self._serving())
        return ready - self._wished()

    # --- doing something about it --------------------------------------------------------------------------------

    def _kill(self, now: float) -> list[FleetEffect]:
        """Take in what was seen of each process; kill what is lost or overdue."""
        seen = {each.worker: each for each in self._view.workers}
        killed: list[str] = []
        for worker, process in self.processes.items():
            if (view := seen.get(worker)) is not None and self._see(process, view, now):
                killed.append(worker)
            elif (deadline := process.deadline()) is not None and deadline <= now:
                process.handle(Overdue(), now)
                killed.append(worker)
        return [KillWorker(worker) for worker in killed]

    def _see(self, process: FleetProcess, view: WorkerView, now: float) -> bool:
        was_ready = process.was_ready
        killed = bool(process.handle(Seen(view.state), now))
        if process.was_ready and not was_ready:
            self._failed_starts = 0
        if process.state is ProcessState.READY and view.is_empty:
            process.idle_since = now if process.idle_since is None else process.idle_since
        else:
            process.idle_since = None
        return killed

    def _start(self, now: float) -> list[FleetEffect]:
        count = min(self._missing(), self._allowance()) if now >= self._not_before else 0
        started = [self._new_id() for _ in range(count)]
        for worker in started:
            self._begin(worker, now)
        return [StartWorker(worker) for worker in started]

    def _retire(self, now: float) -> list[FleetEffect]:
        used = {each.worker: each.used_us for each in self._view.workers}
        idle = [
            w for w, p in self.processes.items() if p.idle_since is not None and now - p.idle_since >= self._idle_stop
        ]
        retired = sorted(idle, key=lambda worker: used.get(worker, 0))[: max(0, self._surplus())]
        for worker in retired:
            self.processes[worker].handle(Retired(), now)
        return [RetireWorker(worker) for worker in retired]

    # --- crashes -------------------------------------------------------------------------------------------------

    def _begin(self, worker: str, now: float) -> None:
        self.processes[worker] = FleetProcess(deadline=now + REGISTER_TIMEOUT)

    def _ended(self, process: FleetProcess, now: float) -> None:
        if process.state is ProcessState.LEAVING:
            return
        if not process.was_ready:
            self._failed_starts += 1
        if process.ready_since is not None and now - process.ready_since >= HEALTHY:
            self._crashes = 0
        if now >= self._not_before:  # else it is of the same trouble as the last one
            self._not_before = now + min(BACK_OFF * 2**self._crashes, BACK_OFF_MAX)
            self._crashes = min(self._crashes + 1, 16)

    def _in(self, *states: ProcessState) -> frozenset[str]:
        return frozenset(worker for worker, process in self.processes.items() if process.state in states)
