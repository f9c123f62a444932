"""A Service over a store in memory, with a clock turned by hand and Workers whose sockets are lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from livereactor.base.errors import UnavailableError
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.coordinator.queries import queued
from livereactor.coordinator.service import Service
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.protocol import link
from livereactor.protocol.http import CreateSession, SessionDescriptor
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import ModelRecord, SessionRecord

T = TypeVar("T")
START_US = 1_900_000_000_000_000
CAPABILITIES = {
    "protocol_version": "v0",
    "tracks": [{"name": "main_video", "kind": "video", "direction": "recvonly"}],
    "commands": [],
}
UNLIMITED = Quotas(concurrent_sessions=0, sessions_per_minute=0)
ALICE = Caller("alice")


class FakeLinks(WorkerSockets):
    """Remembers what Workers were told; `replies` answers requests.

    Attributes:
        here: Workers whose socket is open.
        told: (worker, frame), in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.here: set[str] = set()
        self.told: list[tuple[str, link.FromCoordinator]] = []
        self.reply: Callable[[link.Request], link.Reply] = lambda request: link.Reply(id=1, status=200, body="{}")

    def is_here(self, worker: str) -> bool:
        return worker in self.here

    def send(self, worker: str, frame: link.FromCoordinator) -> bool:
        self.told.append((worker, frame))
        return worker in self.here

    async def ask(self, worker: str, request: link.Request, *, timeout: float) -> link.Reply:
        if worker not in self.here:
            raise UnavailableError("away")
        self.told.append((worker, request))
        return self.reply(request)

    def frames(self, kind: type[T]) -> list[T]:
        """All that were told of one kind."""
        return [frame for _, frame in self.told if isinstance(frame, kind)]


class FrailStore:
    """A store that can be away, and counts what it is asked.

    Attributes:
        away: every call fails.
        calls: how many came.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away, self.calls = False, 0

    async def transact(self, work: Callable[[Tx], T]) -> T:
        self._count()
        return await self._store.transact(work)

    async def read(self, work: Callable[[Tx], T]) -> T:
        self._count()
        return await self._store.read(work)

    async def aclose(self) -> None:
        await self._store.aclose()

    def _count(self) -> None:
        self.calls += 1
        if self.away:
            raise StoreUnavailableError("the database does not answer; retry in 1 s")


class Rig:
    """A Service, its store, its Workers."""

    def __init__(self, options: CoordinatorOptions | None = None, *, store: Store | None = None) -> None:
        self.now_us = START_US
        self.store = FrailStore(store or MemoryStore())
        self.links = FakeLinks()
        self.options = options or CoordinatorOptions(quotas=UNLIMITED)
        self.service = Service(self.store, self.links, self.options, unix_us=lambda: self.now_us)
        self.effects: list[Effect] = []
        self.service.decider.subscribe(self.effects.append)
        self._beats = 0

    def advance(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6)

    async def model(self, name: str = "pond", *, max_workers: int = 1, **spec: Any) -> None:
        record = ModelRecord(name, "1.0", {"capabilities": CAPABILITIES, **spec}, max_workers=max_workers)
        await self.store.transact(lambda tx: tx.put_model(record))

    async def create(self, model: str = "pond", *, caller: Caller = ALICE, **more: Any) -> SessionDescriptor:
        body = CreateSession.model_validate({"model": {"name": model}, **more})
        return await self.service.create(caller, body, idempotency_key=None)

    async def worker(self, name: str = "w1", *, model: str = "pond", state: Any = "ready", slots: int = 1) -> None:
        """One dials in."""
        reports = [link.SlotReport(n=n) for n in range(slots)]
        hello = link.Hello(
            worker=name,
            incarnation="incarnation",
            model=model,
            version="1.0",
            spec={"capabilities": CAPABILITIES},
            state=state,
            slots=reports,
        )
        answer = await self.service.hello(hello)
        assert isinstance(answer, link.Welcome), answer
        self.links.here.add(name)

    async def beat(self, *reports: link.SlotReport, worker: str = "w1", state: Any = "ready", **more: Any) -> Any:
        self._beats += 1
        said = link.Beat(number=self._beats, state=state, slots=list(reports), **more)
        return await self.service.beat(worker, "incarnation", said)

    async def accept(self, worker: str = "w1") -> link.Renewed:
        """The Worker accepts what it was told of last."""
        told = next(frame for name, frame in reversed(self.links.told) if name == worker and is_assign(frame))
        assert isinstance(told, link.Assign)
        report = link.SlotReport(n=told.slot, phase="accepting", session=told.session, fence=told.fence)
        return await self.beat(report, worker=worker)

    async def report(self, session: str, phase: Any, *, worker: str = "w1", **more: Any) -> None:
        record = await self.record(session)
        assert record.slot is not None
        assert record.fence is not None
        said = link.SessionReport(slot=record.slot, session=session, fence=record.fence, phase=phase, **more)
        await self.service.report(worker, "incarnation", said)

    async def record(self, session: str) -> SessionRecord:
        found = await self.store.read(lambda tx: tx.session(session))
        assert found is not None
        return found

    async def queue(self, model: str | None = None) -> list[dict[str, Any]]:
        """The queue as operators see it."""
        return await self.store.read(lambda tx: queued(tx, self.now_us, model))

    async def ready(self) -> str:
        """A Session that runs on w1."""
        await self.model()
        await self.worker()
        view = await self.create()
        await self.accept()
        return view.session_id


def is_assign(frame: object) -> bool:
    return isinstance(frame, link.Assign)


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)
