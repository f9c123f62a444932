"""The fleet on a store and a pool in memory: what it starts, adopts, replaces and stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from livereactor.base.errors import UnavailableError
from livereactor.base.limits import Limits
from livereactor.coordinator.auth.caller import ALL_SCOPES, Caller
from livereactor.coordinator.cluster.role import Role
from livereactor.coordinator.fleet import fleet
from livereactor.coordinator.fleet.fleet import Fleet, FleetPlan
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.coordinator.service import Service
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.pool.port import Handle, PoolUnavailableError, WorkerSpec
from livereactor.protocol import link
from livereactor.protocol.http import CreateSession
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Tx
from livereactor.store.records import ModelRecord, WorkerRecord, WorkerState
from tests.tools.memory_pool import MemoryMachine, MemoryPool, Program

T = TypeVar("T")
NOBODY = Caller("guest", ALL_SCOPES)
OPTIONS = CoordinatorOptions(Limits(exit_timeout=0.1), Quotas(0, 0, 100), drain_timeout=0.1)


class NoLinks(WorkerSockets):
    """No Worker has its socket here."""

    def send(self, worker: str, frame: link.FromCoordinator) -> bool:
        return False


def unix_us() -> int:
    return time.time_ns() // 1000


class House:
    """A coordinator without HTTP. Its Workers register, are ready at once, and say goodbye when asked to end."""

    def __init__(
        self,
        *,
        program: Program | None = None,
        room: int | None = None,
        store: MemoryStore | None = None,
        **plan: Any,
    ) -> None:
        self.store = store or MemoryStore()
        self.service = Service(self.store, NoLinks(), OPTIONS, unix_us=unix_us)
        self.machine = MemoryMachine(program or self.behave, room=room)
        self.started = asyncio.Queue[str]()
        self.idle_stop = plan.pop("idle_stop", 300.0)
        self.model = ModelRecord("pond", "1", {}, **plan)
        self.fleet = self.new_fleet()

    def new_fleet(self, role: Role | None = None) -> Fleet:
        plan = FleetPlan({"pond": "pond.py"}, idle_stop=self.idle_stop)
        return Fleet(self.store, self.service, MemoryPool(self.machine), OPTIONS, plan, unix_us=unix_us, role=role)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.store.transact(lambda tx: tx.put_model(self.model))
        task = asyncio.create_task(self.fleet.run("http://127.0.0.1:1"))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def behave(self, spec: WorkerSpec, terminated: asyncio.Event) -> int:
        self.started.put_nowait(spec.worker)
        await self.register(spec)
        await terminated.wait()
        await self.service.bye(spec.worker, f"incarnation of {spec.worker}")
        return 0

    async def register(self, spec: WorkerSpec) -> None:
        slots = [link.SlotReport(n=0)]
        hello = link.Hello(
            worker=spec.worker,
            incarnation=f"incarnation of {spec.worker}",
            model=spec.model,
            slots=slots,
            state="ready",
        )
        assert isinstance(await self.service.hello(hello), link.Welcome)

    async def next_start(self) -> str:
        return await asyncio.wait_for(self.started.get(), 10)

    async def worker(self, worker: str) -> WorkerRecord | None:
        return await self.store.read(lambda tx: tx.worker(worker))

    async def registered(self, *workers: str) -> None:
        async with asyncio.timeout(10):
            for worker in workers:
                while await self.worker(worker) is None:  # noqa: ASYNC110  the store in memory tells nobody
                    await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  a task's end tells the pool, not us
                await asyncio.sleep(0.01)


async def test_as_many_workers_as_are_to_be_kept_ready_are_started_at_once() -> None:
    house = House(min_ready=2, max_workers=3)
    async with house.running():
        assert len({await house.next_start(), await house.next_start()}) == 2
    assert len(house.machine.living) == 2


async def test_a_model_that_keeps_none_ready_is_started_by_its_first_session() -> None:
    house = House(min_ready=0, max_workers=1)
    async with house.running():
        assert not house.machine.living
        asked = CreateSession.model_validate({"model": {"name": "pond"}})
        session = await house.service.create(NOBODY, asked, idempotency_key=None)
        worker = await house.next_start()
        await house.until(lambda: house.machine.living.keys() == {worker})
        record = await house.store.read(lambda tx: tx.session(session.session_id))
        assert record is not None
        assert record.worker in (None, worker)


async def test_a_crashed_worker_is_lost_at_once_and_replaced() -> None:
    house = House(min_ready=1, max_workers=1)
    async with house.running():
        first = await house.next_start()
        await house.until(lambda: first in house.machine.living)
        house.machine.die(first)
        second = await house.next_start()
        assert second != first
        record = await house.worker(first)
        assert record is not None
        assert record.state is WorkerState.LOST
        assert record.info["ended"]  # and nobody registers under its id again


async def test_a_lost_worker_is_killed_and_replaced() -> None:
    house = House(min_ready=1, max_workers=1)
    async with house.running():
        first = await house.next_start()
        await house.service.worker_died(first, reason="silent for 15 s")
        second = await house.next_start()
        assert house.machine.living.keys() == {second}


async def test_living_workers_are_adopted_not_doubled() -> None:
    house = House(min_ready=1, max_workers=2)
    async with house.running():
        first = await house.next_start()
    house.fleet = house.new_fleet()
    async with house.running():
        house.machine.die(first)  # its end is told to the new one
        second = await house.next_start()
        assert house.machine.living.keys() == {second}


async def test_whoever_leads_next_counts_the_workers_of_who_led_before_though_they_are_in_no_pool_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "TICK", 0.1)
    store = MemoryStore()
    before, after = (House(store=store, min_ready=2, max_workers=3) for _ in range(2))
    for house in (before, after):
        house.fleet = house.new_fleet(Role("fleet", lasts=0.2, unix_us=unix_us))
    async with before.running():
        lost, serving = await before.next_start(), await before.next_start()
        await before.registered(lost, serving)
    async with after.running():
        await after.service.worker_died(lost, reason="its machine is gone")
        only = await after.next_start()
        await after.registered(only)
        assert after.machine.living.keys() == {only}


async def test_a_worker_of_a_model_that_is_not_served_any_more_is_stopped() -> None:
    house = House(min_ready=0, max_workers=1)
    house.machine.start(WorkerSpec("wrk_old", "garden", "garden.py", "http://127.0.0.1:1"))
    async with house.running():
        await house.until(lambda: not house.machine.living)


async def test_an_idle_worker_is_stopped_in_order() -> None:
    house = House(min_ready=0, buffer=1, max_workers=1, idle_stop=0.1)
    async with house.running():
        worker = await house.next_start()
        house.model = ModelRecord("pond", "1", {}, min_ready=0, buffer=0, max_workers=1)
        await house.store.transact(lambda tx: tx.put_model(house.model))
        await house.until(lambda: not house.machine.living)
        record = await house.worker(worker)
        assert record is not None
        assert record.state is WorkerState.GONE


async def test_drain_ends_all_in_time_and_starts_no_more() -> None:
    async def stubborn(spec: WorkerSpec, terminated: asyncio.Event) -> int:
        house.started.put_nowait(spec.worker)
        await house.register(spec)
        await asyncio.Event().wait()
        return 0

    house = House(program=stubborn, min_ready=2, max_workers=2)
    async with house.running():
        await house.next_start()
        await house.next_start()
        await asyncio.wait_for(house.fleet.drain(), 5)
        assert not house.machine.living
    assert house.started.empty()


class HeldStore(MemoryStore):
    """Keeps back what it read while it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on, self.has_read = asyncio.Event(), asyncio.Event()
        self.goes_on.set()

    async def read(self, work: Callable[[Tx], T]) -> T:
        found = await super().read(work)
        if not self.goes_on.is_set():
            self.has_read.set()
            await self.goes_on.wait()
        return found


async def test_a_look_that_ends_after_the_drain_starts_nobody() -> None:
    store = HeldStore()
    house = House(store=store, min_ready=0, max_workers=1)
    async with house.running():
        store.goes_on.clear()
        house.model = ModelRecord("pond", "1", {}, min_ready=1, max_workers=1)
        await store.transact(lambda tx: tx.put_model(house.model))
        await asyncio.wait_for(store.has_read.wait(), 10)
        await asyncio.wait_for(house.fleet.drain(), 10)
        store.goes_on.set()
        for _ in range(50):  # whatever it leads to comes by turns of the loop, without a wait
            await asyncio.sleep(0)
        assert not house.machine.living
    assert house.started.empty()


async def test_a_pool_that_does_not_answer_yet_is_asked_again_and_its_workers_are_adopted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused, living = [PoolUnavailableError("the cluster cannot be reached")] * 3, MemoryPool.list

    async def asked(self: MemoryPool) -> Sequence[Handle]:
        if refused:
            raise refused.pop()
        return await living(self)

    monkeypatch.setattr(MemoryPool, "list", asked)
    monkeypatch.setattr(fleet, "TICK", 0.01)
    house = House(min_ready=1, max_workers=1)
    house.machine.start(WorkerSpec("wrk_before", "pond", "pond.py", "http://127.0.0.1:1"))
    async with house.running():
        await house.next_start()
        await house.until(lambda: not refused)
        await asyncio.wait_for(house.fleet.drain(), 10)
        assert not house.machine.living
    assert house.started.empty()  # the one of before was enough


async def test_a_pool_that_never_answered_does_not_hold_up_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(self: MemoryPool) -> Sequence[Handle]:
        raise PoolUnavailableError("the cluster cannot be reached")

    monkeypatch.setattr(MemoryPool, "list", away)
    house = House(min_ready=1, max_workers=1)
    async with house.running():
        await asyncio.wait_for(house.fleet.drain(), 10)
    assert house.started.empty()


async def test_a_pool_that_breaks_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    start, broken = MemoryPool.start, [OSError("disk"), RuntimeError("a mistake of ours")]

    async def breaking(self: MemoryPool, spec: WorkerSpec) -> Handle:
        if broken:
            raise broken.pop()
        return await start(self, spec)

    monkeypatch.setattr(MemoryPool, "start", breaking)
    house = House(min_ready=1, max_workers=1)
    async with house.running():
        assert await house.next_start() in house.machine.living
    assert not broken


async def test_a_store_that_breaks_is_looked_at_again_and_ends_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = 2

    async def breaking(*_: object, **__: object) -> None:
        nonlocal broken
        broken -= 1
        raise RuntimeError("a mistake of ours")

    house = House(min_ready=1, max_workers=1)
    async with house.running():
        first = await house.next_start()
        await house.until(lambda: first in house.machine.living)
        with monkeypatch.context() as patch:
            patch.setattr(house.service, "worker_died", breaking)
            patch.setattr(house.store, "read", breaking)
            house.machine.die(first)
            await house.until(lambda: broken <= 0)
        await house.service.worker_died(first, reason="its lease ran out")
        second = await house.next_start()
        await house.until(lambda: second in house.machine.living)
        house.machine.die(second)
        assert await house.next_start() not in (first, second)


async def test_clients_are_not_left_waiting_for_what_does_not_start() -> None:
    house = House(min_ready=1, max_workers=1, room=0)
    async with house.running():
        await house.until(lambda: house.fleet.capacity("pond") is not None)
        asked = CreateSession.model_validate({"model": {"name": "pond"}})
        with pytest.raises(UnavailableError, match="none could be started in 3 attempts") as refusal:
            await house.service.create(NOBODY, asked, idempotency_key=None)
        assert refusal.value.code == "NO_CAPACITY"
