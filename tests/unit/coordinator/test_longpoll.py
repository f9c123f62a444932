"""Who waits, and what wakes them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from livereactor.coordinator import longpoll as module
from livereactor.coordinator.cluster.notices import EventPoller
from livereactor.coordinator.longpoll import HeldPoll, HeldPolls
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import EventRecord
from tests.unit.coordinator.service_rig import FrailStore, settle

LONG = 30.0  # seconds that no test waits for


async def woken(poll: HeldPoll) -> bool:
    """The poll was told of something since `rearm`."""
    task = asyncio.create_task(poll.wait(LONG))
    await settle()
    done = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return done


@pytest.fixture
def wakes() -> HeldPolls:
    return HeldPolls()


async def test_a_change_between_the_look_and_the_wait_is_not_lost(wakes: HeldPolls) -> None:
    with wakes.hold("s") as poll:
        poll.rearm()
        wakes.session_changed("s")
        await poll.wait(LONG)


async def test_only_those_who_wait_for_a_session_are_woken_by_it(wakes: HeldPolls) -> None:
    with wakes.hold("s") as one, wakes.hold("s") as other, wakes.hold("t") as elsewhere:
        wakes.session_changed("s")
        assert await woken(one)
        assert await woken(other)
        assert not await woken(elsewhere)


async def test_a_queue_that_moves_wakes_those_who_wait_in_it(wakes: HeldPolls) -> None:
    with wakes.hold("s") as queued, wakes.hold("t") as running:
        queued.queued_at("pond")
        running.queued_at(None)
        wakes.queue_changed("garden")
        assert not await woken(queued)
        wakes.queue_changed("pond")
        assert await woken(queued)
        assert not await woken(running)


async def test_a_poll_that_does_not_know_its_queue_yet_hears_of_every_move(wakes: HeldPolls) -> None:
    with wakes.hold("s") as poll:
        poll.rearm()
        wakes.queue_changed("pond")
        assert await woken(poll)


async def test_moves_close_together_are_told_twice_and_the_last_is_among_them(
    wakes: HeldPolls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "APART", 0.02)
    with wakes.hold("s") as poll:
        poll.queued_at("pond")
        told = 0
        for _ in range(10):
            wakes.queue_changed("pond")
            if await woken(poll):
                told += 1
                poll.rearm()
        assert told == 1
        await poll.wait(LONG)
        poll.rearm()
        assert not await woken(poll)


async def test_a_poll_is_held_no_longer_than_it_says(wakes: HeldPolls) -> None:
    with wakes.hold("s") as poll:
        await poll.wait(0.01)
        await poll.wait(-1)


async def test_no_more_than_so_many_are_held_and_what_is_over_makes_room(
    wakes: HeldPolls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "MOST_OF_SESSION", 2)
    with wakes.hold("s") as one:
        with wakes.hold("s") as two, wakes.hold("s") as three:
            assert (one.is_held, two.is_held, three.is_held) == (True, True, False)
        with wakes.hold("t") as four, wakes.hold("u") as five, wakes.hold("v") as six:
            assert (four.is_held, five.is_held, six.is_held) == (True, True, False)
            assert wakes.held == 3
    assert wakes.held == 0


async def test_closing_lets_all_answer_and_holds_nobody_from_then_on(wakes: HeldPolls) -> None:
    with ExitStack() as stack:
        polls = [stack.enter_context(wakes.hold(f"s{n}")) for n in range(5)]
        wakes.close()
        for poll in polls:
            await poll.wait(LONG)
            assert not poll.is_held
        assert not stack.enter_context(wakes.hold("late")).is_held
    assert wakes.held == 0


# --- what other processes changed --------------------------------------------------------------------------------


class Elsewhere:
    """A store that another process writes to."""

    def __init__(self, wakes: HeldPolls) -> None:
        self.store = FrailStore(MemoryStore())
        self.poller = EventPoller(self.store, wakes)

    async def change(self, session: str, model: str = "pond", *, count: int = 1) -> None:
        event = EventRecord("session.ended", 1, session, "acme", {"model": model})
        await self.store.transact(lambda tx: [tx.add_event(event) for _ in range(count)])


@pytest.fixture
def elsewhere(wakes: HeldPolls) -> Elsewhere:
    return Elsewhere(wakes)


async def test_a_change_of_another_process_wakes_whoever_waits_for_it(wakes: HeldPolls, elsewhere: Elsewhere) -> None:
    await elsewhere.change("s", count=3)
    with wakes.hold("s") as poll, wakes.hold("t") as queued, wakes.hold("u") as other:
        await elsewhere.poller.poll()
        for each in (poll, queued, other):
            each.queued_at(None)
            each.rearm()
        queued.queued_at("pond")
        await elsewhere.change("s")
        await elsewhere.poller.poll()
        assert await woken(poll)
        assert await woken(queued)
        assert not await woken(other)


async def test_the_first_look_wakes_all_since_nobody_knows_what_came_before_it(
    wakes: HeldPolls, elsewhere: Elsewhere
) -> None:
    with wakes.hold("s") as poll:
        poll.rearm()
        await elsewhere.change("s")
        await elsewhere.poller.poll()
        assert await woken(poll)


async def test_while_nothing_happens_a_look_is_one_query_and_wakes_nobody(
    wakes: HeldPolls, elsewhere: Elsewhere
) -> None:
    await elsewhere.change("s")
    with ExitStack() as stack:
        polls = [stack.enter_context(wakes.hold(f"s{n}")) for n in range(1000)]
        await elsewhere.poller.poll()
        for poll in polls:
            poll.rearm()
        before = elsewhere.store.calls
        await elsewhere.poller.poll()
        assert elsewhere.store.calls == before + 1
        assert not await woken(polls[0])


async def test_while_nobody_is_held_the_store_is_not_asked(elsewhere: Elsewhere) -> None:
    await elsewhere.poller.poll()
    assert elsewhere.store.calls == 0


async def test_a_flood_of_events_lets_everybody_look_and_is_not_read_to_its_end(
    wakes: HeldPolls, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livereactor.coordinator.cluster.notices.PAGE", 3)
    monkeypatch.setattr("livereactor.coordinator.cluster.notices.PAGES", 2)
    with wakes.hold("other") as poll:
        await elsewhere.poller.poll()
        poll.queued_at(None)
        poll.rearm()
        await elsewhere.change("s", count=50)
        await elsewhere.poller.poll()
        await elsewhere.poller.poll()
        assert await woken(poll)
        poll.rearm()
        await elsewhere.poller.poll()
        assert not await woken(poll)


async def test_what_happened_while_the_store_was_away_is_looked_for_when_it_is_back(
    wakes: HeldPolls, elsewhere: Elsewhere
) -> None:
    with wakes.hold("s") as poll:
        await elsewhere.poller.poll()
        poll.rearm()
        elsewhere.store.away = True
        await elsewhere.poller.poll()
        assert not await woken(poll)
        elsewhere.store.away = False
        await elsewhere.poller.poll()
        assert await woken(poll)
