"""One cell in virtual time: visitors come, wait, are served and leave; workers start, crash and are replaced.

What is decided is decided by the coordinator's own code (`decisions`, `ModelFleet`, `estimate`), on the store in
memory. Workers and visitors are as simple as they can be. Beats that change nothing and the looks of held polls are
counted at what one costs, not carried out: they are nine tenths of all that is asked.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

from bench.simulate.clock import Clock, Database
from bench.simulate.people import Figures, Queue, Visit, Worker
from bench.simulate.world import World, pace
from livereactor.coordinator import creation, decisions, longpoll
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decisions.effects import (
    Effect,
    FleetChanged,
    NotifyAssigned,
    QueueChanged,
    SessionChanged,
    WorkerDeclaredLost,
)
from livereactor.coordinator.fleet import fleet
from livereactor.coordinator.fleet.fleet import observe, retire
from livereactor.coordinator.fleet.model import (
    FleetEvent,
    KillWorker,
    ModelFleet,
    Observed,
    ProcessEnded,
    RetireWorker,
    StartWorker,
    StayedInUse,
)
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.protocol import link
from livereactor.protocol.http import CreateSession, ModelInfo
from livereactor.store.port import Tx
from livereactor.store.records import ModelRecord

WAY = 0.02  # seconds between a worker and its coordinator
CLIENT_COMES = 0.5  # seconds from a worker's yes to its client
NODE = 8  # workers of a machine
BEATS_IN = 0.1  # seconds whose beats are counted together
# Store calls of a held poll (`coordinator/queries.py`), counted by a test: the session, its model, its place.
LOOK_CALLS = 9
IDLE_BEAT_CALLS, HELD_BEAT_CALLS = 3, 4  # a beat that changes nothing, likewise


class Cell:
    """One cell of so many sessions; the same seed gives the same figures."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._dice = world, random.Random(seed)
        self._clock = Clock()
        options = CoordinatorOptions(quotas=Quotas(0, 0, 1), lease=10 * 24 * 3600.0)  # silence is ours to tell, below
        self.options = options
        self.database = Database(self._clock, options, pace=1.0)
        self.figures = Figures()
        self._names = itertools.count()
        self._workers: dict[str, Worker] = {}
        self._visits: dict[str, Visit] = {}
        self._models = [f"model-{n}" for n in range(world.models)]
        self._queues = {model: Queue() for model in self._models}
        self._fleets = {model: ModelFleet(self._new_worker, idle_stop=world.idle_stop) for model in self._models}
        self._is_looked_at: set[str] = set()
        self._caller = Caller("visitors")

    def run(self) -> Figures:
        """From an empty cell to its end; the first third is for filling it and is not counted."""
        world, end = self._world, self._world.minutes * 60
        self.database = Database(self._clock, self.options, pace=pace(self._calls_of_a_creation()))
        self.database.read(self._found)
        self._look_at_all()
        self._clock.at(0.0, self._arrive)
        for every, do in (
            (BEATS_IN, self._beat),
            (1.0, self._sweep),
            (5.0, self._poll),
            (1.0, self._sample),
            (fleet.TICK, self._look_at_all),
        ):
            self._repeat(every, do)
        self._clock.after(self._dice.expovariate(world.slots() / NODE / world.node_life), self._lose_node)
        self._clock.run(end)
        return self.figures

    def _repeat(self, every: float, do: Callable[[], None]) -> None:
        def again() -> None:
            do()
            self._clock.after(every, again)

        self._clock.after(every, again)

    # --- the facts ----------------------------------------------------------------------------------------------------

    def _found(self, tx: Tx) -> None:
        for model, share in zip(self._models, self._world.shares(), strict=True):
            most = math.ceil(share * self._world.slots())
            tx.put_model(
                ModelRecord(
                    model, "v1", {"max_sessions": 1}, min_ready=1, buffer=math.ceil(most / 50), max_workers=most
                )
            )

    def _calls_of_a_creation(self) -> int:
        """Of one that waits, as P18 makes them."""
        trial = Database(Clock(), self.options, pace=1.0)
        trial.read(self._found)
        trial.decide("create", self._create, lambda *_: None, model=self._models[0], name="trial")
        return trial.calls["create"]

    def _create(self, tx: Tx, now_us: int, options: CoordinatorOptions, *, model: str, name: str) -> Any:
        asked = creation.CreationRequest(self._caller, CreateSession(model=ModelInfo(name=model)), name)
        return creation.create(tx, now_us, options, asked, capacity=lambda model: None)

    # --- visitors -----------------------------------------------------------------------------------------------------

    def _arrive(self) -> None:
        """One comes, or (thinning) would have come at the highest rate and does not."""
        world, dice = self._world, self._dice
        self._clock.after(dice.expovariate(world.highest_rate()), self._arrive)
        if dice.random() * world.highest_rate() > world.rate(self._clock.now):
            return
        model = dice.choices(self._models, self._world.shares())[0]
        name = f"ses_{next(self._names)}"
        length = dice.lognormvariate(math.log(world.length) - 0.32, 0.8)  # 0.32 = sigma squared halves: the mean stays
        visit = Visit(model, self._clock.now, length, dice.expovariate(1 / world.patience))
        self._visits[name] = visit
        self._queues[model].waiting += 1

        def made(_: Any, effects: list[Effect]) -> None:
            self._carry_out(effects)
            self.database.decide("polled", decisions.polled, self._told, session=name)

        self.database.decide("create", self._create, made, model=model, name=name)
        self._clock.after(visit.patience, lambda: self._give_up(name))

    def _told(self, _: Any, effects: list[Effect]) -> None:
        self._carry_out(effects)

    def _give_up(self, name: str) -> None:
        visit = self._visits.get(name)
        if visit is not None and visit.served is None:
            self._leave_queue(visit, "gave up")
            del self._visits[name]
            self.database.decide("end", decisions.end_session, self._told, session=name)

    def _leave_queue(self, visit: Visit, how: str) -> None:
        self._queues[visit.model].waiting -= 1
        waited = self._clock.now - visit.came
        if self._counts():
            self.figures.tally[how] += 1
            self.figures.waits.append(waited)

    def _counts(self) -> bool:
        return self._clock.now > self._world.minutes * 20

    # --- workers ------------------------------------------------------------------------------------------------------

    def _new_worker(self) -> str:
        return f"wrk_{next(self._names)}"

    def _start(self, model: str, worker: str) -> None:
        made = Worker(worker, model, self._dice.randrange(max(1, self._world.slots() // NODE)))
        self._workers[worker] = made
        self._clock.after(1.0, lambda: self._hello(made))
        self._clock.after(self._dice.uniform(*self._world.loads_in), lambda: self._ready(made))
        self._clock.after(self._dice.expovariate(1 / self._world.process_life), lambda: self._crash(made))

    def _hello(self, worker: Worker) -> None:
        hello = link.Hello(
            worker=worker.worker, incarnation=f"life-{worker.worker}", model=worker.model, slots=[link.SlotReport(n=0)]
        )
        if not worker.is_dead:
            self.database.decide("register", decisions.register, self._told, hello=hello)

    def _ready(self, worker: Worker) -> None:
        if not worker.is_dead:
            self._say(worker, "free")

    def _say(self, worker: Worker, phase: link.SlotPhase) -> None:
        """A beat with news."""
        worker.number += 1
        report = link.SlotReport(n=0, phase=phase, session=worker.session, fence=worker.fence)
        beat = link.Beat(number=worker.number, state="ready", slots=[report])
        who = {"worker": worker.worker, "incarnation": f"life-{worker.worker}"}

        def heard(answer: Any, effects: list[Effect]) -> None:
            self._carry_out(effects)
            if phase == "accepting" and isinstance(answer, link.Renewed) and answer.held:
                self._clock.after(WAY, lambda: self._begin(worker))

        self.database.decide("beat", decisions.beat, heard, beat=beat, **who)

    def _assigned(self, effect: NotifyAssigned) -> None:
        worker = self._workers.get(effect.worker)
        if worker is None or worker.is_dead or effect.fence <= worker.fence:
            return
        worker.session, worker.fence = effect.session, effect.fence
        self._say(worker, "accepting")

    def _begin(self, worker: Worker) -> None:
        name = worker.session
        visit = None if name is None else self._visits.get(name)
        if worker.is_dead or name is None:
            return
        if visit is None:  # he gave up in the very moment
            self._report(worker, name, "closed")
            return
        if visit.served is None:
            visit.served = self._clock.now
            self._leave_queue(visit, "served")
        self._clock.after(CLIENT_COMES, lambda: self._report(worker, name, "streaming"))
        self._clock.after(CLIENT_COMES + visit.length, lambda: self._report(worker, name, "closed"))

    def _report(self, worker: Worker, name: str, phase: str) -> None:
        if worker.is_dead or worker.session != name:
            return
        said: dict[str, Any] = {"slot": 0, "session": name, "fence": worker.fence, "phase": phase}
        report = link.SessionReport(**said, reason="stopped" if phase == "closed" else "", first_frame=True)
        if phase == "closed":
            worker.session = None
            self._visits.pop(name, None)
        who = {"worker": worker.worker, "incarnation": f"life-{worker.worker}"}
        self.database.decide("report", decisions.report, self._told, report=report, **who)

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    def _crash(self, worker: Worker) -> None:
        """Its process ends: the pool knows at once."""
        if worker.is_dead:
            return
        self.figures.tally["crashes"] += 1
        self._end(worker)
        self._lost(worker, "exited")

    def _lose_node(self) -> None:
        """A machine is gone: its workers' leases run out."""
        self._clock.after(self._dice.expovariate(self._world.slots() / NODE / self._world.node_life), self._lose_node)
        node = self._dice.randrange(max(1, self._world.slots() // NODE))
        for worker in [each for each in self._workers.values() if each.node == node]:
            self.figures.tally["lost with their machine"] += 1
            self._end(worker)
            self._clock.after(link.LEASE, lambda worker=worker: self._lost(worker, "silent"))

    def _end(self, worker: Worker) -> None:
        worker.is_dead = True
        del self._workers[worker.worker]
        if worker.session is not None and worker.session in self._visits:
            del self._visits[worker.session]
            self.figures.tally["sessions lost with a worker"] += 1

    def _lost(self, worker: Worker, reason: str) -> None:
        self.database.decide("lost", decisions.worker_lost, self._told, worker=worker.worker, reason=reason)
        self._tell(worker.model, ProcessEnded(worker.worker))
        self._look_soon(worker.model)

    # --- the fleet ----------------------------------------------------------------------------------------------------

    def _look_soon(self, model: str) -> None:
        if model not in self._is_looked_at:
            self._is_looked_at.add(model)
            self._clock.after(0.5, lambda: self._look(model))

    def _look(self, model: str) -> None:
        self._is_looked_at.discard(model)
        view = self.database.read(observe([model], self._fleets[model].processes.keys()))[model]
        self._tell(model, Observed(view))

    def _look_at_all(self) -> None:
        for model in self._models:
            self._look(model)

    def _tell(self, model: str, event: FleetEvent) -> None:
        for effect in self._fleets[model].handle(event, self._clock.now):
            match effect:
                case StartWorker(worker):
                    self._start(model, worker)
                case RetireWorker(worker):
                    self._retire(model, worker)
                case KillWorker(worker):
                    self._tell(model, ProcessEnded(worker))

    def _retire(self, model: str, worker: str) -> None:
        options = self.options
        now_us = self.database.now_us()
        if not self.database.read(lambda tx: retire(tx, now_us, options, worker=worker)):
            self._tell(model, StayedInUse(worker))
            return
        gone = self._workers.pop(worker)
        gone.is_dead = True
        who = {"worker": worker, "incarnation": f"life-{worker}"}
        self.database.decide("bye", decisions.bye, self._told, **who)
        self._tell(model, ProcessEnded(worker))

    # --- what passes by itself ----------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case NotifyAssigned():
                    self._clock.after(WAY, lambda effect=effect: self._assigned(effect))
                case QueueChanged(model):
                    self._moved(model)
                case FleetChanged(model):
                    self._look_soon(model)
                case SessionChanged():
                    self.database.charge("looks", LOOK_CALLS, count=1)
                case WorkerDeclaredLost():
                    self.figures.tally["workers lost"] += 1
                case _:
                    pass

    def _moved(self, model: str) -> None:
        """As `longpoll.HeldPolls.queue_changed`: all who wait look, and then for a while only once more."""
        queue = self._queues[model]
        if queue.is_paused:
            queue.moved = True
            return
        self.database.charge("looks", LOOK_CALLS, count=queue.waiting)
        queue.is_paused, queue.moved = True, False
        self._clock.after(longpoll.APART + longpoll.APART_EACH * queue.waiting, lambda: self._resume(model))

    def _resume(self, model: str) -> None:
        queue = self._queues[model]
        queue.is_paused = False
        if queue.moved:
            self._moved(model)

    def _beat(self) -> None:
        """A tenth of a second's share of the beats that change nothing."""
        held, every = self._held(), round(link.BEAT_EVERY / BEATS_IN)
        self.database.charge("beats", HELD_BEAT_CALLS, count=held // every)
        self.database.charge("beats", IDLE_BEAT_CALLS, count=(len(self._workers) - held) // every)

    def _poll(self) -> None:
        """Whoever waits is written down as being there, every five seconds."""
        for name, visit in list(self._visits.items()):
            if visit.served is None:
                self.database.decide("polled", decisions.polled, self._told, session=name)

    def _sweep(self) -> None:
        for step in (decisions.sweep_assignments, decisions.sweep_queues):
            self.database.decide("sweep", step, self._told)

    def _sample(self) -> None:
        if self._counts():
            waiting = sum(each.waiting for each in self._queues.values())
            self.figures.samples.append((self._clock.now, len(self._workers), self._held(), waiting))

    def _held(self) -> int:
        return sum(each.session is not None for each in self._workers.values())
