"""The fleet: keeps the wanted number of workers running in the pool, and adopts those of an earlier coordinator.

The shell around `model.py`. Loop only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from livereactor.base.errors import LivereactorError, UnavailableError
from livereactor.base.ids import worker_id
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import TaskSet, set_within
from livereactor.coordinator.cluster.role import Role
from livereactor.coordinator.decisions import drain
from livereactor.coordinator.decisions.effects import Effect, FleetChanged, WorkerDeclaredLost
from livereactor.coordinator.fleet.model import (
    SERVING,
    Adopted,
    FleetEffect,
    FleetEvent,
    KillWorker,
    ModelFleet,
    ModelView,
    Observed,
    ProcessEnded,
    ProcessState,
    RetireWorker,
    StartWorker,
    StayedInUse,
    WorkerView,
)
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.service import Service
from livereactor.pool.port import Handle, Needs, Pool, PoolUnavailableError, WorkerExit, WorkerSpec
from livereactor.store.port import Store, Tx
from livereactor.store.records import ModelRecord, SlotRecord, SlotState, WorkerRecord, WorkerState

log = structlog.get_logger("livereactor.fleet")
_sparse = SparseLog(log)  # for what may fail many times a second

TICK: Final = 2.0  # seconds between two reads at most, even without events, since an event may be lost
COUNTED: Final = 1_000  # tickets; more than any pool has slots for, and counting further would cost at every read
APART: Final = 0.05  # seconds between two reads of the store at least, however many events come


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """The plan by which the pool's workers are started.

    Attributes:
        targets: the argument of `livereactor worker`, by model.
        environment: holds the worker secret where there is no `credential`, so it is never logged.
        credential: returns the credential of a worker, by its id and its model; None where the environment holds one.
        idle_stop: seconds after which a worker that is not needed is stopped.
        needs: the resources that each worker has to itself, by model.
    """

    targets: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    credential: Callable[[str, str], str] | None = field(default=None, repr=False)
    idle_stop: float = 300.0
    needs: Mapping[str, Needs] = field(default_factory=dict[str, Needs])


class Fleet:
    """The workers of one pool.

    Args:
        unix_us: the store's clock, microseconds of Unix time.
        new_id: returns a new worker id at each call.
        role: its holder among the coordinators starts and retires workers; None = this is the only one.
    """

    def __init__(
        self,
        store: Store,
        service: Service,
        pool: Pool,
        options: CoordinatorOptions,
        plan: FleetPlan,
        *,
        unix_us: Callable[[], int],
        new_id: Callable[[], str] = worker_id,
        role: Role | None = None,
    ) -> None:
        self._store, self._service, self._pool = store, service, pool
        self._options, self._plan, self._unix_us = options, plan, unix_us
        self._role, self._leads = role, role is None
        self._fleets = {model: ModelFleet(new_id, idle_stop=plan.idle_stop) for model in plan.targets}
        self._changed = asyncio.Event()
        self._starts = TaskSet()
        self._draining = False
        self._coordinator = ""
        self._group: asyncio.TaskGroup

    async def run(self, coordinator: str) -> None:
        """Run until cancelled; the workers live on.

        Args:
            coordinator: URL at which Workers reach this coordinator.
        """
        self._coordinator = coordinator
        async with asyncio.TaskGroup() as self._group:
            await self._adopt()
            self._service.decider.subscribe(self._on_effect)
            self._service.capacity = self.capacity
            self._group.create_task(self._watch_ends(), name="ends of workers")
            self._group.create_task(self._reconcile(), name="fleet")

    def capacity(self, model: str) -> str | None:
        """Return why no worker of this model will start soon, for a client; None = one may. Asked if none is READY."""
        fleet = self._fleets.get(model)
        failed = fleet.trouble(time.monotonic()) if fleet is not None else 0
        if not failed:
            return None
        return f"none could be started in {failed} attempts; see the server's log"

    async def drain(self) -> None:
        """Start no more workers and end all: each has `drain_timeout` for its sessions, and is killed if it hangs."""
        await self._start_no_more()
        living: Sequence[Handle] = ()
        with suppress(PoolUnavailableError):  # it has never answered; a worker without a coordinator ends by itself
            living = await self._pool.list()
        await asyncio.gather(*(self._dismiss(handle.worker) for handle in living))

    async def hand_over(self) -> None:
        """Start no more workers, and leave the running ones to the next coordinator with the role."""
        await self._start_no_more()
        if self._role is not None:
            await self._role.release(self._store)

    async def _start_no_more(self) -> None:
        self._draining = True
        self._changed.set()
        await self._starts.wait()

    # --- events and reads ----------------------------------------------------------------------------------------

    def _on_effect(self, effect: Effect) -> None:
        if isinstance(effect, FleetChanged | WorkerDeclaredLost):
            self._changed.set()

    async def _adopt(self) -> None:
        for handle in await self._living():
            if handle.model in self._fleets:
                self._handle(handle.model, Adopted(handle.worker))
            elif not await self._is_served(handle.model):
                log.info("worker of a model that is no longer served", worker=handle.worker, model=handle.model)
                self._group.create_task(self._dismiss(handle.worker))

    async def _living(self) -> Sequence[Handle]:
        """Ask the pool for its workers until it answers; sessions and their workers go on meanwhile."""
        while True:
            try:
                return await self._pool.list()
            except PoolUnavailableError:  # it says itself why
                await asyncio.sleep(TICK)

    async def _is_served(self, model: str) -> bool:
        """Return whether another coordinator serves the model; it may be of a newer version."""
        record = await self._store.read(lambda tx: tx.model(model))
        return record is not None and record.max_workers > 0

    async def _reconcile(self) -> None:
        while not self._draining:
            self._changed.clear()
            with _carrying_on("look at workers"):  # next tick
                await self._observe()
            await asyncio.sleep(APART)
            await set_within(self._changed, self._pause())

    async def _observe(self) -> None:
        await self._observe_role()
        pooled = {worker for fleet in self._fleets.values() for worker in fleet.processes}
        views = await self._store.read(observe(self._fleets.keys(), pooled))
        if self._draining:  # since the read began
            return
        for model, view in views.items():
            self._handle(model, Observed(view, self._leads))

    async def _observe_role(self) -> None:
        if self._role is None:
            return
        led, self._leads = self._leads, await self._store.transact(self._role.is_held)
        if self._leads and not led:
            log.info("starts and stops workers from now on")
            await self._adopt()  # a pool of several machines has those that the coordinator before us started

    def _pause(self) -> float:
        deadlines = [deadline for fleet in self._fleets.values() if (deadline := fleet.deadline()) is not None]
        return min(TICK, max(0.0, min(deadlines, default=TICK + time.monotonic()) - time.monotonic()))

    async def _watch_ends(self) -> None:
        async for ended in self._pool.ended():
            with _carrying_on("end of a worker reported"):  # its lease will run out
                await self._service.worker_died(ended.worker, reason=ended.reason, is_final=True)
            for model, fleet in self._fleets.items():
                if (process := fleet.processes.get(ended.worker)) is not None:
                    _log_end(model, ended, expected=process.state is ProcessState.LEAVING or self._draining)
                    self._handle(model, ProcessEnded(ended.worker))
            self._changed.set()

    # --- doing ---------------------------------------------------------------------------------------------------

    def _handle(self, model: str, event: FleetEvent) -> None:
        for effect in self._fleets[model].handle(event, time.monotonic()):
            task = self._group.create_task(self._apply(model, effect), name=f"{type(effect).__name__} {model}")
            if isinstance(effect, StartWorker):
                self._starts.keep(task)

    async def _apply(self, model: str, effect: FleetEffect) -> None:
        match effect:
            case StartWorker(worker):
                await self._start(model, worker)
            case RetireWorker(worker):
                with _carrying_on("worker retired"):  # killed, if it does not end by its deadline
                    await self._retire(model, worker)
            case KillWorker(worker):
                log.warning("worker is killed: it was lost, or late", worker=worker, model=model)
                with _carrying_on("worker killed"):
                    await self._pool.stop(worker, grace=0)

    async def _start(self, model: str, worker: str) -> None:
        if self._draining:  # since it was decided
            return
        plan = self._plan
        needs = plan.needs.get(model, Needs())
        shown = "" if plan.credential is None else plan.credential(worker, model)
        spec = WorkerSpec(worker, model, plan.targets[model], self._coordinator, plan.environment, needs, shown)
        try:
            await self._pool.start(spec)
        except Exception as error:
            if isinstance(error, PoolUnavailableError):
                log.warning("worker cannot be started", model=model, reason=error.message)
            else:
                log.exception("worker cannot be started", model=model)
            self._handle(model, ProcessEnded(worker))
            self._changed.set()

    async def _retire(self, model: str, worker: str) -> None:
        is_idle = False
        with suppress(UnavailableError):
            is_idle = await self._store.transact(lambda tx: retire(tx, self._unix_us(), self._options, worker=worker))
        if is_idle:
            log.info("idle worker is stopped", worker=worker, model=model)
            await self._pool.stop(worker, grace=self._grace())
        else:
            self._handle(model, StayedInUse(worker))

    async def _dismiss(self, worker: str) -> None:
        with suppress(LivereactorError):  # it never registered, or the store is away: the signal says it too
            await self._service.drain(worker)
        with _carrying_on("worker stopped"):
            await self._pool.stop(worker, grace=self._grace())

    def _grace(self) -> float:
        return self._options.drain_timeout + self._options.limits.exit_timeout


@contextmanager
def _carrying_on(what: str) -> Generator[None]:
    """Log an error of the block and go on, so that it ends neither running workers nor the rest of the fleet."""
    try:
        yield
    except UnavailableError:
        pass  # the store is away, which it says itself
    except Exception:
        _sparse.exception("failed; continues", apart=what, what=what)


def _log_end(model: str, ended: WorkerExit, *, expected: bool) -> None:
    if expected:
        log.info("worker ended", worker=ended.worker, model=model, code=ended.code)
    else:
        says = ended.last_words[-500:]
        log.warning("worker crashed", worker=ended.worker, model=model, code=ended.code, says=says)


def observe(models: Collection[str], pooled: Collection[str]) -> Callable[[Tx], Mapping[str, ModelView]]:
    """Return a read for `store.read`: views of those of `models` that are known.

    Args:
        pooled: workers whose process lives: they are in the view even if they are gone or lost.
    """
    return lambda tx: {record.name: _view_of(tx, record, pooled) for record in tx.models() if record.name in models}


def retire(tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str) -> bool:
    """Drain a worker if it is still idle; False, and nothing happens, if it is not."""
    record = tx.worker(worker, lock=True)
    if record is None or record.state is not WorkerState.READY:
        return False
    if any(slot.state is not SlotState.FREE for slot in tx.slots(worker, lock=True)):
        return False
    drain(tx, now_us, options, worker=worker)  # its effect, telling the Worker, is done by the signal that follows
    return True


def _view_of(tx: Tx, model: ModelRecord, pooled: Collection[str]) -> ModelView:
    workers = tx.workers(model=model.name, states=SERVING | {WorkerState.DRAINING})
    shown = [_worker_view(record, tx.slots(record.id)) for record in workers]
    missing = set(pooled) - {each.worker for each in shown}
    for record in map(tx.worker, sorted(missing)):
        if record is not None and record.model == model.name:
            shown.append(_worker_view(record, ()))
    return ModelView(
        min_ready=model.min_ready,
        buffer=model.buffer,
        max_workers=model.max_workers,
        slots=max([1, int(model.spec.get("max_sessions") or 1), *(record.slots for record in workers)]),
        queued=tx.queue_length(model.name, up_to=COUNTED),
        workers=shown,
    )


def _worker_view(record: WorkerRecord, slots: Sequence[SlotRecord]) -> WorkerView:
    return WorkerView(
        worker=record.id,
        state=record.state,
        held=sum(slot.state is SlotState.HELD for slot in slots),
        is_empty=all(slot.state is SlotState.FREE for slot in slots),
        used_us=record.used_us,
    )
