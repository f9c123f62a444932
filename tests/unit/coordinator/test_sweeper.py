"""What passes by itself, and what may not while nobody can be heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from livereactor.coordinator import sweeper as module
from livereactor.coordinator.decider import Decider, Outages
from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.sweeper import Sweeper
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.records import SessionState
from tests.unit.coordinator.service_rig import ALICE, UNLIMITED, Rig

NO_GRACE = CoordinatorOptions(quotas=UNLIMITED, store_grace=0.0)


class SweptRig(Rig):
    """A Rig with a sweeper that sweeps when it is told to."""

    def __init__(self, options: CoordinatorOptions = NO_GRACE) -> None:
        super().__init__(options)
        self.decider = Decider(self.store, self.links, self.options, lambda: self.now_us)
        self.sweeper = Sweeper(self.decider)

    async def state(self, session: str) -> SessionState:
        return (await self.record(session)).state


async def test_a_worker_that_fell_silent_loses_its_lease_and_its_session_waits_again() -> None:
    rig = SweptRig()
    session = await rig.ready()
    rig.advance(14)
    await rig.sweeper.sweep()
    assert await rig.state(session) is SessionState.WAITING
    rig.advance(2)
    await rig.sweeper.sweep()
    assert await rig.state(session) is SessionState.QUEUED


async def test_a_ticket_nobody_asks_for_is_dropped() -> None:
    rig = SweptRig()
    await rig.model()
    view = await rig.create()
    rig.advance(61)
    await rig.sweeper.sweep()
    record = await rig.record(view.session_id)
    assert (record.state, record.end_reason) == (SessionState.CLOSED, "timed_out")


async def test_an_assignment_nobody_takes_is_taken_back() -> None:
    rig = SweptRig()
    await rig.model()
    await rig.worker()
    view = await rig.create()
    rig.advance(6)
    await rig.sweeper.sweep()
    assert await rig.state(view.session_id) is SessionState.QUEUED


async def test_nobody_is_judged_by_silence_after_the_start_and_after_an_outage() -> None:
    rig = SweptRig(CoordinatorOptions(quotas=UNLIMITED, store_grace=1000.0))
    session = await rig.ready()
    ticket = (await rig.create()).session_id
    rig.advance(900)
    await rig.sweeper.sweep()
    assert await rig.state(session) is SessionState.WAITING
    assert await rig.state(ticket) is SessionState.QUEUED


async def test_silence_counts_once_the_store_was_there_for_long_enough() -> None:
    outages = Outages(15.0, now=100.0)

    async def call(away: bool) -> None:
        if away:
            raise StoreUnavailableError("away")

    assert [outages.is_steady(now) for now in (100.0, 114.9, 115.0)] == [False, False, True]
    with pytest.raises(StoreUnavailableError):
        await outages.notice(call(True), lambda: 200.0)
    assert outages.away
    assert not outages.is_steady(1000.0)
    await outages.notice(call(False), lambda: 230.0)
    assert not outages.away
    assert [outages.is_steady(now) for now in (230.0, 244.9, 245.0)] == [False, False, True]
    assert outages.errors == 1


def test_after_a_gap_in_which_nobody_could_be_heard_silence_counts_anew() -> None:
    outages = Outages(15.0, now=0.0)
    for now in (20.0, 21.0, 22.0):
        outages.tick(now, 1000.0 + now)
    assert outages.is_steady(22.0)
    outages.tick(28.0, 1028.0)  # this process did not run
    assert [outages.is_steady(now) for now in (28.0, 42.9, 43.0)] == [False, False, True]
    outages.tick(29.0, 1629.0)  # the host slept, or the clock was set
    assert [outages.is_steady(now) for now in (43.0, 44.0)] == [False, True]
    outages.tick(30.0, 1630.0)
    assert outages.is_steady(44.0)


async def test_a_sweep_after_the_clock_jumped_judges_nobody() -> None:
    rig = SweptRig(CoordinatorOptions(quotas=UNLIMITED, store_grace=15.0))
    rig.decider.outages = Outages(15.0, now=time.monotonic() - 60)
    session = await rig.ready()
    await rig.sweeper.sweep()
    rig.advance(20)
    await rig.sweeper.sweep()
    assert await rig.state(session) is SessionState.WAITING


async def test_a_ticket_that_was_served_while_its_drop_was_decided_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = SweptRig()
    session = await rig.ready()
    served = await rig.record(session)
    rig.advance(10)
    monkeypatch.setattr(
        "livereactor.store.memory.store._MemoryTx.unpolled", lambda tx, before_us, limit=100: [served]
    )  # as it was seen
    await rig.sweeper.sweep()
    assert await rig.state(session) is SessionState.WAITING


async def test_what_is_old_and_cannot_be_thrown_away_keeps_no_lease_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(tx: Tx, *, before_us: int, events_before_us: int, limit: int = 500) -> int:
        raise StoreUnavailableError("too slow")

    rig = SweptRig()
    monkeypatch.setattr("livereactor.store.memory.store._MemoryTx.prune", fails)
    session = await rig.ready()
    rig.advance(100)
    with pytest.raises(StoreUnavailableError):
        await rig.sweeper.sweep()
    assert await rig.state(session) is SessionState.QUEUED


async def test_a_store_that_goes_away_in_the_middle_of_a_sweep_ends_it_and_silence_counts_for_nothing() -> None:
    rig = SweptRig()
    session = await rig.ready()
    rig.advance(100)
    rig.store.away = True
    with pytest.raises(StoreUnavailableError):
        await rig.sweeper.sweep()
    rig.store.away = False
    assert await rig.state(session) is SessionState.WAITING


async def test_only_the_leader_sweeps_and_another_takes_over_from_one_that_is_gone() -> None:
    rig = SweptRig()
    await rig.sweeper.sweep()
    session = await rig.ready()
    other = Sweeper(rig.decider)
    rig.advance(14)
    await rig.sweeper.sweep()
    rig.advance(2)
    await other.sweep()
    assert await rig.state(session) is SessionState.WAITING
    rig.advance(module.LEADS_FOR)
    await other.sweep()
    assert await rig.state(session) is SessionState.QUEUED


async def test_a_step_that_fails_keeps_the_others_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "_ALWAYS", (fails,))
    rig = SweptRig()
    session = await rig.ready()
    rig.advance(100)
    await rig.sweeper.sweep()
    assert await rig.state(session) is SessionState.QUEUED


async def test_a_mass_of_work_in_one_step_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def endless(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
        nonlocal calls
        calls += 1
        return module.STEP_LIMIT, []

    monkeypatch.setattr(module, "_ALWAYS", (endless,))
    rig = SweptRig()
    session = await rig.ready()
    rig.advance(100)
    await rig.sweeper.sweep()
    assert calls == module.ROUNDS
    assert await rig.state(session) is SessionState.QUEUED


async def test_no_error_ends_the_sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    rig = SweptRig()
    swept = asyncio.Event()
    errors: list[Callable[[], Exception]] = [
        lambda: RuntimeError("a bug"),
        lambda: StoreUnavailableError("away"),
    ]

    async def sweep() -> None:
        if errors:
            raise errors.pop()()
        swept.set()

    monkeypatch.setattr(rig.sweeper, "sweep", sweep)
    task = asyncio.create_task(rig.sweeper.run())
    async with asyncio.timeout(5):
        await swept.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_old_is_thrown_away_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = SweptRig()
    session = await rig.ready()
    await rig.service.end(ALICE, session)
    rig.advance(rig.options.kept + 1)
    await rig.sweeper.sweep()
    assert await rig.store.read(lambda tx: tx.session(session)) is None
    before = rig.store.calls
    await rig.sweeper.sweep()
    usual = rig.store.calls - before
    later = time.monotonic() + module.RARELY + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    before = rig.store.calls
    await rig.sweeper.sweep()
    assert rig.store.calls - before == usual + 2


async def test_what_happened_is_known_for_longer_than_the_session_it_happened_to() -> None:
    rig = SweptRig()
    session = await rig.ready()
    await rig.service.end(ALICE, session)
    rig.advance(rig.options.kept + 61)
    await rig.sweeper.sweep()
    assert await rig.store.read(lambda tx: tx.session(session)) is None
    kinds = [each.kind for each in await rig.store.read(lambda tx: tx.events())]
    assert "session.ended" in kinds, "a month is billed when it is over"
    rig.advance(rig.options.events_kept + 1)
    rig.sweeper = Sweeper(rig.decider)  # it tidies at its start, and seldom
    await rig.sweeper.sweep()
    left = await rig.store.read(lambda tx: tx.events())
    assert all(each.at_us > rig.now_us - rig.options.events_kept * 1e6 for each in left)
