"""Decisions that meet in the middle of their locks, each pair made to meet where it once waited in a circle.

Postgres ends a circle by force after a second, and the loser begins anew: nothing breaks, and everybody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from livereactor.coordinator import decisions
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Store, Tx
from livereactor.store.records import SessionState, SlotState, WorkerState
from tests.contract.store import records as r
from tests.contract.store.racing import WAIT, Pause, Racers

OPTIONS = CoordinatorOptions()
NOW_US = 1_000_000_000


class Paused:
    """A transaction that pauses after the first call of one name, if that call locks."""

    def __init__(self, tx: Tx, name: str, pause: Pause) -> None:
        self._tx, self._name, self._pause = tx, name, pause

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._tx, name)
        if name != self._name:
            return asked

        def ask(*key: Any, lock: bool = False) -> Any:
            found = asked(*key, lock=lock)
            if lock and not self._pause.reached.is_set():
                self._pause()
            return found

        return ask


def pausing(name: str, pause: Pause, work: Callable[[Tx], Any]) -> Callable[[Tx], Any]:
    return lambda tx: work(cast(Tx, Paused(tx, name, pause)))


async def meet(racers: Racers, pause: Pause, first: Callable[[Tx], Any], second: Callable[[Tx], Any]) -> None:
    """The second begins while the first pauses, and the first goes on once the second waits."""
    await asyncio.to_thread(racers.open, 2)
    slow = racers.start(first)
    assert await asyncio.to_thread(pause.reached.wait, WAIT)
    quick = racers.start(second)
    await asyncio.to_thread(pause.let_go_once, quick)
    await asyncio.gather(asyncio.wrap_future(slow), asyncio.wrap_future(quick))
    assert not racers.broken, "they waited for each other in a circle"


def beat(worker: str, *slots: link.SlotReport) -> Callable[[Tx], Any]:
    said = link.Beat(number=1, state="ready", slots=list(slots))
    return lambda tx: decisions.beat(tx, NOW_US, OPTIONS, worker=worker, incarnation=f"{worker}-life", beat=said)


def accepting(n: int, session: str) -> link.SlotReport:
    return link.SlotReport(n=n, phase="accepting", session=session, fence=1)


def promised(tx: Tx, worker: str, *sessions: str, **more: Any) -> None:
    """A READY Worker, each Slot of which is promised to one of these Sessions."""
    tx.put_worker(r.worker(worker, slots=len(sessions)))
    for n, name in enumerate(sessions):
        tx.put_slot(r.slot(worker, n, SlotState.HELD, session=name, fence=1))
        given = {"worker": worker, "slot": n, "accepted_us": None, **more}
        tx.add_session(r.running(name, SessionState.ASSIGNED, **given))


async def test_a_ticket_that_gets_its_slot_while_it_is_ended_and_its_worker_beats(racers: Racers, store: Store) -> None:
    def prepare(tx: Tx) -> None:
        tx.put_model(r.model())
        tx.put_worker(r.worker())
        tx.put_slot(r.slot())
        tx.add_session(r.session("ses_1"))

    await store.transact(prepare)
    given, locked = Pause(), Pause()

    def give(tx: Tx) -> None:
        decisions.fill(tx, NOW_US, OPTIONS, model=r.MODEL)
        given()

    await asyncio.to_thread(racers.open, 3)
    filling = racers.start(give)
    assert await asyncio.to_thread(given.reached.wait, WAIT)
    ending = racers.start(
        pausing("session", locked, lambda tx: decisions.end_session(tx, NOW_US, OPTIONS, session="ses_1"))
    )
    await asyncio.to_thread(given.let_go_once, ending)
    assert await asyncio.to_thread(locked.reached.wait, WAIT)
    beating = racers.start(beat("wrk_1", accepting(0, "ses_1")))
    await asyncio.to_thread(locked.let_go_once, beating)
    await asyncio.gather(*(asyncio.wrap_future(each) for each in (filling, ending, beating)))
    assert not racers.broken, "they waited for each other in a circle"
    ended = await store.read(lambda tx: tx.session("ses_1"))
    slot = await store.read(lambda tx: tx.slot("wrk_1", 0))
    assert ended is not None
    assert ended.state is SessionState.CLOSED
    assert slot is not None
    assert slot.state is SlotState.CLOSING


async def test_assignments_that_are_late_are_taken_back_as_their_worker_beats(racers: Racers, store: Store) -> None:
    await store.transact(lambda tx: promised(tx, "wrk_1", "ses_0", "ses_1"))
    pause = Pause()
    sweep = pausing("slot", pause, lambda tx: decisions.sweep_assignments(tx, NOW_US, OPTIONS))
    await meet(racers, pause, sweep, beat("wrk_1", accepting(0, "ses_0"), accepting(1, "ses_1")))


async def test_sessions_that_are_overdue_are_ended_as_their_worker_beats(racers: Racers, store: Store) -> None:
    def prepare(tx: Tx) -> None:
        promised(tx, "wrk_1", "ses_0", "ses_1")
        for name, expires_us in (("ses_0", 200), ("ses_1", 100)):
            tx.put_session(r.running(name, slot=int(name[-1]), expires_us=expires_us))

    await store.transact(prepare)
    pause = Pause()
    sweep = pausing("slot", pause, lambda tx: decisions.sweep_overdue(tx, NOW_US, OPTIONS))
    reports = [link.SlotReport(n=n, phase="streaming", session=f"ses_{n}", fence=1) for n in range(2)]
    await meet(racers, pause, sweep, beat("wrk_1", *reports))


async def test_workers_are_lost_while_one_beats_whose_session_was_anothers(racers: Racers, store: Store) -> None:
    def prepare(tx: Tx) -> None:
        tx.put_model(r.model())
        promised(tx, "wrk_2", "ses_1")
        tx.put_worker(r.worker(lease_until_us=1))
        tx.put_slot(r.slot(state=SlotState.CLOSING, session="ses_1", fence=1))

    await store.transact(prepare)
    pause = Pause()
    sweep = pausing("session", pause, lambda tx: decisions.sweep_leases(tx, NOW_US, OPTIONS))
    await meet(racers, pause, sweep, beat("wrk_2", accepting(0, "ses_1")))


async def test_a_worker_comes_back_as_it_is_thrown_away(racers: Racers, store: Store) -> None:
    def prepare(tx: Tx) -> None:
        tx.put_worker(r.worker(state=WorkerState.LOST))
        tx.put_slot(r.slot())

    await store.transact(prepare)
    pause = Pause()
    hello = link.Hello(
        worker="wrk_1", incarnation="another-life", model=r.MODEL, state="ready", slots=[link.SlotReport(n=0)]
    )
    register = pausing("worker", pause, lambda tx: decisions.register(tx, NOW_US, OPTIONS, hello=hello))
    await meet(racers, pause, register, lambda tx: tx.prune(before_us=NOW_US, events_before_us=0))
    back, slots = await store.read(lambda tx: (tx.worker("wrk_1"), tx.slots("wrk_1")))
    assert back is not None
    assert back.state is WorkerState.READY
    assert [slot.state for slot in slots] == [SlotState.FREE]
