"""The coordinator's decisions, made by several coordinators at once on one database, as Workers and clients come.

Nothing here waits for the others: what keeps them apart is the database. No decision may fail, and in the end nothing
is held twice, nothing is lost and everything is over.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psycopg

from livereactor.coordinator import decisions
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Store, Tx
from livereactor.store.records import OPEN, RUNNING, ModelRecord, SessionState, SlotRecord, SlotState
from tests.contract.store import records as r
from tests.contract.store.conftest import Place
from tests.contract.store.racing import Racers
from tests.tools.making import created

OPTIONS = CoordinatorOptions()
WORKERS, CLIENTS, ROUNDS = 3, 3, 25
NOW_US = 1_000_000_000


async def test_decisions_at_once_leave_nothing_held_twice_and_nothing_behind(database: Place) -> None:
    stores = [database.open() for _ in range(3)]
    before = deadlocks(database)
    await stores[0].transact(lambda tx: tx.put_model(ModelRecord(r.MODEL, "v1", {})))
    dice = random.Random(1)
    workers = [Worker(stores[n % 3], f"wrk_{n}") for n in range(WORKERS)]
    for worker in workers:
        await worker.register()
    clients = [client(stores[n % 3], n, random.Random(n)) for n in range(CLIENTS)]
    await asyncio.gather(
        *clients, *(worker.work(random.Random(n)) for n, worker in enumerate(workers)), sweep(stores[2])
    )

    while open_ones := await stores[0].read(lambda tx: tx.sessions(states=OPEN)):
        chosen = dice.choice(list(open_ones)).id
        await stores[0].transact(lambda tx, chosen=chosen: decisions.end_session(tx, NOW_US, OPTIONS, session=chosen))
    for worker in workers:
        await worker.hear_ends()
        await worker.beat()
    await stores[0].read(nothing_is_left)
    for store in stores:
        await store.aclose()
    assert deadlocks(database) == before, "decisions wait for each other in a circle, a second each time"


def deadlocks(database: Place) -> int:
    """How many Postgres had to end by force."""
    if database.kind != "postgres":
        return 0
    with psycopg.connect(database.url) as connection:
        found = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return sum(int(row[0]) for row in found)


async def test_two_that_share_a_model_and_then_want_it_alone_do_not_wait_in_a_circle(
    racers: Racers, store: Store, place: Place
) -> None:
    await store.transact(lambda tx: tx.put_model(r.model()))
    before, meet = deadlocks(place), threading.Barrier(2)

    def promote() -> Callable[[Tx], None]:
        tries = 0

        def work(tx: Tx) -> None:
            nonlocal tries
            tries += 1
            tx.model(r.MODEL, shared=True)
            if tries == 1:
                with suppress(threading.BrokenBarrierError):
                    meet.wait(0.2)  # where two may hold it, both do now
            tx.model(r.MODEL, lock=True)
            tx.add_event(r.event())

        return work

    both = [racers.start(promote()), racers.start(promote())]
    await asyncio.gather(*(asyncio.wrap_future(each) for each in both))
    assert len(await store.read(lambda tx: tx.events())) == 2
    assert deadlocks(place) == before


async def client(store: Store, number: int, dice: random.Random) -> None:
    """Makes Sessions, asks for them, and ends some of them before their time."""
    for n in range(ROUNDS):
        made = r.session(f"ses_{number}_{n}", created_us=NOW_US, polled_us=NOW_US)
        try:  # as a coordinator that remembers, rightly or not, that somebody waits
            await store.transact(lambda tx, made=made: created(tx, NOW_US, OPTIONS, session=made, crowded=True))
        except decisions.QueueEmptyError:
            await store.transact(lambda tx, made=made: created(tx, NOW_US, OPTIONS, session=made))
        await store.read(lambda tx, made=made: decisions.place(tx, NOW_US, tx.session(made.id) or made))
        for what in (decisions.polled, decisions.prefer, decisions.end_session):
            if dice.random() < 0.4:
                await store.transact(lambda tx, what=what, made=made: what(tx, NOW_US, OPTIONS, session=made.id))


async def sweep(store: Store) -> None:
    for _ in range(ROUNDS):
        for step in (
            decisions.sweep_assignments,
            decisions.sweep_queues,
            decisions.sweep_tickets,
            decisions.sweep_leases,
        ):
            await store.transact(lambda tx, step=step: step(tx, NOW_US, OPTIONS))


class Worker:
    """Takes what it is promised as the store has it, and ends it after a while."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._holds: dict[int, link.SlotReport] = {}

    async def register(self) -> None:
        hello = link.Hello(
            worker=self._name, incarnation=f"life-{self._name}", model=r.MODEL, state="ready", slots=self._reports()
        )
        await self._store.transact(lambda tx: decisions.register(tx, NOW_US, OPTIONS, hello=hello))

    def _reports(self) -> list[link.SlotReport]:
        return [self._holds.setdefault(n, link.SlotReport(n=n)) for n in range(2)]

    async def work(self, dice: random.Random) -> None:
        for _ in range(ROUNDS):
            for slot in await self._store.read(lambda tx: tx.slots(self._name)):
                self._take(slot)
            await self.hear_ends()
            await self.beat()
            for n, report in list(self._holds.items()):
                if report.phase == "waiting" and dice.random() < 0.6:
                    await self._close(n, report)
            await self.beat()

    def _take(self, slot: SlotRecord) -> None:
        mine = self._holds[slot.n]
        if mine.phase == "free" and slot.state is SlotState.HELD and slot.fence > mine.fence:
            self._holds[slot.n] = link.SlotReport(n=slot.n, phase="accepting", session=slot.session, fence=slot.fence)

    async def hear_ends(self) -> None:
        """What is over by the coordinator's word ends here."""
        for slot in await self._store.read(lambda tx: tx.slots(self._name)):
            if self._holds[slot.n].phase == "waiting" and slot.state is SlotState.CLOSING:
                self._holds[slot.n] = link.SlotReport(n=slot.n, fence=self._holds[slot.n].fence)

    async def beat(self) -> None:
        beat = link.Beat(number=1, state="ready", slots=self._reports())
        answer, _ = await self._store.transact(
            lambda tx: decisions.beat(
                tx, NOW_US, OPTIONS, worker=self._name, incarnation=f"life-{self._name}", beat=beat
            )
        )
        assert isinstance(answer, link.Renewed)
        for n, report in list(self._holds.items()):
            if report.phase != "free":
                phase = "waiting" if n in answer.held else "free"
                self._holds[n] = link.SlotReport(n=n, phase=phase, session=report.session, fence=report.fence)

    async def _close(self, n: int, report: link.SlotReport) -> None:
        told = link.SessionReport(
            slot=n, session=report.session or "", fence=report.fence, phase="closed", reason="timed_out"
        )
        await self._store.transact(
            lambda tx: decisions.report(
                tx, NOW_US, OPTIONS, worker=self._name, incarnation=f"life-{self._name}", report=told
            )
        )
        self._holds[n] = link.SlotReport(n=n, fence=report.fence)


def nothing_is_left(tx: Tx) -> None:
    sessions = tx.sessions(limit=1_000)
    assert len(sessions) == CLIENTS * ROUNDS
    assert {each.state for each in sessions} == {SessionState.CLOSED}
    assert {slot.state for worker in tx.workers() for slot in tx.slots(worker.id)} == {SlotState.FREE}
    assert not tx.sessions(states=RUNNING)
    events = Counter((each.kind, each.session) for each in tx.events(limit=10_000))
    for each in sessions:
        assert events["session.created", each.id] == 1
        assert events["session.ended", each.id] == 1
    claims = [each.data for each in tx.events(kinds=["session.assigned"], limit=10_000)]
    seats = [(each["worker"], each["slot"], each["fence"]) for each in claims]
    assert len(set(seats)) == len(seats), "a fence of a Slot was given twice"
    assert len(seats) > CLIENTS * ROUNDS / 4
