"""The order in which events can be read, while transactions that write them run beside each other."""

from __future__ import annotations

import asyncio

import pytest

from livereactor.store.port import Store, Tx
from tests.contract.store import records as r
from tests.contract.store.conftest import make_place
from tests.contract.store.racing import WAIT, Pause, Racers


async def test_no_event_is_passed_over_by_a_reader_that_came_between(racers: Racers, store: Store) -> None:
    pause = Pause()

    def slow(tx: Tx) -> None:
        tx.add_event(r.event("slow"))
        pause()

    first = racers.start(slow)
    assert await asyncio.to_thread(pause.reached.wait, WAIT)
    second = racers.start(lambda tx: tx.add_event(r.event("quick")))
    await asyncio.to_thread(pause.let_go_once, second)
    await asyncio.wrap_future(second)
    seen: list[str] = []
    after = 0
    while len(seen) < 2:
        for each in await store.read(lambda tx, after=after: tx.events(after_seq=after)):
            seen.append(each.kind)
            after = each.seq
        if first.done():
            first.result()
    assert sorted(seen) == ["quick", "slow"]


async def test_a_reader_between_sees_no_event_before_an_older_one_is_settled(request: pytest.FixtureRequest) -> None:
    """As above, read while the slow one still runs: only Postgres lets anybody in then."""
    place = make_place(request, "postgres")
    store, racers, pause = place.open(), Racers(place.open), Pause()

    def slow(tx: Tx) -> None:
        tx.add_event(r.event("slow"))
        pause()

    first = racers.start(slow)
    assert await asyncio.to_thread(pause.reached.wait, WAIT)
    await store.transact(lambda tx: tx.add_event(r.event("quick")))
    between = await store.read(lambda tx: (tx.last_event(), list(tx.events())))
    pause.go_on.set()
    await asyncio.wrap_future(first)
    assert between == (0, [])
    assert [each.kind for each in await store.read(lambda tx: tx.events())] == ["slow", "quick"]
    await racers.aclose()
    await store.aclose()
