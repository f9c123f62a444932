"""Whatever becomes of Workers and those who want them: no more run than may, none in use is stopped, crashes are waited
out, and where starts succeed everybody is served in the end."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.coordinator.fleet.model import (
    BACK_OFF_MAX,
    REGISTER_TIMEOUT,
    Adopted,
    FleetEvent,
    KillWorker,
    ModelFleet,
    ModelView,
    Observed,
    ProcessEnded,
    RetireWorker,
    StartWorker,
    StayedInUse,
    WorkerView,
)
from livereactor.store.records import WorkerState

IDLE_STOP = 30.0
STARTS_LATE = 0.2  # seconds by which a shell may look later than asked


@dataclass
class Process:
    """A process as it really is; `record` is what the store says of it."""

    record: WorkerView | None = None
    dying: bool = False  # SIGKILL or SIGTERM is on its way


class World:
    """Store and pool around the machine: does what a shell does, late or at random where the dice say so."""

    def __init__(self, dice: random.Random, *, min_ready: int, buffer: int, max_workers: int, slots: int) -> None:
        self.dice, self.now = dice, 0.0
        self.plan = ModelView(min_ready, buffer, max_workers, slots)
        self.ids = (f"wrk_{number}" for number in itertools.count())
        self.fleet = ModelFleet(lambda: next(self.ids), idle_stop=IDLE_STOP)
        self.processes: dict[str, Process] = {}
        self.gone: dict[str, WorkerView] = {}  # records without a process
        self.queued = 0
        self.starts: list[float] = []
        self.calm = False

    def tell(self, event: FleetEvent) -> None:
        for effect in self.fleet.handle(event, self.now):
            match effect:
                case StartWorker(worker):
                    self.starts.append(self.now)
                    self.processes[worker] = Process()
                case RetireWorker(worker):
                    record = self.processes[worker].record
                    assert record is not None
                    assert record.state is WorkerState.READY
                    assert record.is_empty
                    self._retire(worker, record)
                case KillWorker(worker):
                    assert worker in self.processes
                    self.processes[worker].dying = True
        assert len(self.processes) <= max(self.plan.max_workers, 0)
        assert set(self.fleet.processes) <= set(self.processes)

    def _retire(self, worker: str, record: WorkerView) -> None:
        if not self.calm and self.dice.random() < 0.3:  # taken in the meantime
            self.processes[worker].record = replace(record, held=1, is_empty=False)
            self.tell(StayedInUse(worker))
        else:
            self.processes[worker].record = replace(record, state=WorkerState.DRAINING)
            self.processes[worker].dying = True

    def look(self) -> None:
        records = [*self.gone.values(), *(p.record for p in self.processes.values() if p.record is not None)]
        self.tell(Observed(replace(self.plan, queued=self.queued, workers=tuple(records))))

    def pick(self, *states: WorkerState | None) -> str | None:
        found = [w for w, p in self.processes.items() if (p.record.state if p.record else None) in states]
        return self.dice.choice(found) if found else None

    def register(self) -> None:
        if (worker := self.pick(None)) is not None:
            self.processes[worker].record = WorkerView(worker, WorkerState.STARTING)

    def become_ready(self) -> None:
        if (worker := self.pick(WorkerState.STARTING)) is not None:
            self.processes[worker].record = WorkerView(worker, WorkerState.READY, used_us=int(self.now * 1e6))

    def fall_silent(self) -> None:
        if (worker := self.pick(WorkerState.STARTING, WorkerState.READY, WorkerState.DRAINING)) is not None:
            self.processes[worker].record = WorkerView(worker, WorkerState.LOST)

    def say_goodbye(self) -> None:
        if (worker := self.pick(WorkerState.READY, WorkerState.DRAINING)) is not None:
            self.processes[worker].record = WorkerView(worker, WorkerState.GONE)

    def crash(self, worker: str | None = None) -> None:
        worker = worker or self.pick(None, *WorkerState)
        if worker is not None:
            self.processes.pop(worker)
            self.gone.pop(worker, None)
            self.tell(ProcessEnded(worker))

    def dying_end(self) -> None:
        for worker in [worker for worker, process in self.processes.items() if process.dying]:
            self.crash(worker)

    def arrive(self) -> None:
        self.queued = min(self.queued + self.dice.randint(1, 3), 12)

    def assign(self) -> None:
        free = [p for p in self.processes.values() if p.record and p.record.state is WorkerState.READY]
        free = [p for p in free if p.record and p.record.held < self.plan.slots]
        if free and self.queued:
            chosen = self.dice.choice(free)
            assert chosen.record is not None
            chosen.record = replace(chosen.record, held=chosen.record.held + 1, is_empty=False)
            self.queued -= 1

    def release(self) -> None:
        for process in self.processes.values():
            if process.record is not None and process.record.held and self.dice.random() < 0.5:
                process.record = replace(process.record, held=0, is_empty=True)

    def wait(self, seconds: float | None = None) -> None:
        self.now += self.dice.choice((0.01, 0.3, 2.0, 20.0, 90.0)) if seconds is None else seconds

    def serve(self) -> None:
        """From here on all goes well, for as long as it may take."""
        self.calm = True
        for _ in range(120):
            self.dying_end()
            self.register()
            self.become_ready()
            self.look()
            self.assign()
            deadline = self.fleet.deadline()
            self.wait(2.0 if deadline is None else min(2.0, max(STARTS_LATE, deadline - self.now)))


HAPPENINGS = ("look",) * 6 + ("register", "become_ready") * 3 + ("assign", "wait") * 3
RARE = ("arrive", "arrive", "release", "crash", "dying_end", "dying_end", "fall_silent", "say_goodbye")
worlds = st.builds(
    lambda seed, min_ready, buffer, most, slots: World(
        random.Random(seed), min_ready=min_ready, buffer=buffer, max_workers=most, slots=slots
    ),
    st.integers(0, 2**32),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 5),
    st.sampled_from((1, 1, 3)),
)


def live(world: World, length: int) -> None:
    for _ in range(length):
        getattr(world, world.dice.choice(HAPPENINGS + RARE))()


@settings(max_examples=200, deadline=None)
@given(worlds, st.integers(0, 120))
def test_no_more_run_than_may_and_none_in_use_is_stopped(world: World, length: int) -> None:
    live(world, length)  # `tell` looks at every step


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(0, 80))
def test_where_starts_succeed_all_who_wait_are_served(world: World, length: int) -> None:
    live(world, length)
    world.serve()
    if world.plan.max_workers == 0:
        assert world.starts == []
        return
    while world.queued and any(p.record and p.record.held for p in world.processes.values()):
        for process in world.processes.values():  # Sessions end, so that others get their turn
            assert process.record is not None
            process.record = replace(process.record, held=0, is_empty=True)
        world.serve()
    assert world.queued == 0
    ready = [p for p in world.processes.values() if p.record and p.record.state is WorkerState.READY]
    assert len(ready) >= min(world.plan.min_ready, world.plan.max_workers)


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(0, 80))
def test_what_nobody_needs_is_stopped_in_the_end(world: World, length: int) -> None:
    live(world, length)
    world.queued = 0
    for process in world.processes.values():
        if process.record is not None:
            process.record = replace(process.record, held=0, is_empty=True)
    world.serve()
    assert len(world.processes) <= max(world.plan.min_ready, world.plan.buffer, 0) or not world.plan.max_workers


@settings(max_examples=40, deadline=None)
@given(worlds, st.integers(1, 12), st.booleans())
def test_starts_that_fail_do_not_become_a_storm(world: World, queued: int, registers: bool) -> None:
    world.queued = queued
    while world.now < 600:
        world.look()
        if registers:
            world.register()
            world.look()
        for worker in list(world.processes):
            world.crash(worker)
        deadline = world.fleet.deadline()
        world.wait(2.0 if deadline is None else min(2.0, max(0.05, deadline - world.now)))
    first = [at for at in world.starts if at == 0.0]
    assert len(first) <= world.plan.max_workers
    later = [at for at in world.starts if at > 0.0]
    assert len(later) <= 7 + 600 / BACK_OFF_MAX
    assert all(b - a >= 0.5 for a, b in itertools.pairwise(later))


@settings(max_examples=40, deadline=None)
@given(worlds, st.integers(1, 5))
def test_adopted_workers_count_and_their_silence_is_noticed(world: World, count: int) -> None:
    count = min(count, world.plan.max_workers)
    for number in range(count):
        world.processes[f"old_{number}"] = Process()
        world.tell(Adopted(f"old_{number}"))
    world.queued = 9
    world.look()
    assert len(world.processes) <= world.plan.max_workers
    world.wait(REGISTER_TIMEOUT)
    world.look()
    assert all(world.processes[f"old_{number}"].dying for number in range(count))
