"""Coordinators on one database tell each other what has changed, in hints that may be lost but not unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from livereactor.store.memory.notices import MemoryNotices
from livereactor.store.port import Notices
from livereactor.store.sql.notices import CHANNEL
from livereactor.store.sql.store import notices_of
from tests.tools.postgres import PostgresServer, postgres_server

WAIT = 20.0  # seconds, on a machine that is full


class Ear:
    """What one coordinator hears.

    Attributes:
        missed: how often it was told that it may have missed some.
    """

    def __init__(self, notices: Notices) -> None:
        self.notices = notices
        self.heard: list[str] = []
        self.missed = 0
        self._more = asyncio.Event()

    def hear(self, told: Sequence[str] | None) -> None:
        if told is None:
            self.missed += 1
        else:
            self.heard += told
        self._more.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT):
            while not condition():
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def listening(notices: Notices) -> AsyncIterator[Ear]:
    ear = Ear(notices)
    task = asyncio.create_task(notices.listen(ear.hear))
    try:
        await ear.until(lambda: ear.missed > 0)
        yield ear
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """One that may be ended."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["memory", "postgres"])
def made(request: pytest.FixtureRequest) -> Callable[[], Notices]:
    """Makes those of another coordinator on the same records."""
    if request.param == "memory":
        others: set[MemoryNotices] = set()
        return lambda: MemoryNotices(others)
    server: PostgresServer = request.getfixturevalue("own_postgres")
    url = server.url(server.create_database())
    return lambda: notices_of(url)


async def test_what_one_tells_all_others_hear_and_not_itself(made: Callable[[], Notices]) -> None:
    async with listening(made()) as one, listening(made()) as two, listening(made()) as three:
        one.notices.notify(["session ses_1", "queue \u6c60, \"'"])
        for other in (two, three):
            await other.until(lambda other=other: len(other.heard) == 2)
            assert other.heard == ["session ses_1", "queue \u6c60, \"'"]
        two.notices.notify(["worker wrk_1"])
        await three.until(lambda: len(three.heard) == 3)
        await one.until(lambda: bool(one.heard))
        assert one.heard == ["worker wrk_1"]


async def test_more_than_one_message_holds_arrives_whole_and_in_order(made: Callable[[], Notices]) -> None:
    told = [f"session {number:0120}" for number in range(500)]
    async with listening(made()) as one, listening(made()) as two:
        one.notices.notify([*told, *told])
        await two.until(lambda: len(two.heard) >= 500)
        assert two.heard == told


async def test_whoever_listens_again_hears_that_some_were_missed(own_postgres: PostgresServer) -> None:
    url = own_postgres.url(own_postgres.create_database())
    async with listening(notices_of(url)) as one, listening(notices_of(url)) as two:
        own_postgres.stop()
        one.notices.notify(["session lost"])
        own_postgres.start()
        await one.until(lambda: one.missed == 2)
        await two.until(lambda: two.missed == 2)
        one.notices.notify(["session kept"])
        await two.until(lambda: "session kept" in two.heard)


async def test_words_that_are_no_notices_make_everybody_look(own_postgres: PostgresServer) -> None:
    name = own_postgres.create_database()
    async with listening(notices_of(own_postgres.url(name))) as ear:
        for count, payload in enumerate(("nonsense", "{}"), start=2):
            await asyncio.to_thread(own_postgres.execute, f"NOTIFY {CHANNEL}, '{payload}'", database=name)
            await ear.until(lambda count=count: ear.missed == count)


async def test_a_coordinator_on_sqlite_tells_nobody() -> None:
    notices = notices_of("sqlite:///unused.db")
    async with listening(notices) as ear:
        notices.notify(["session ses_1"])
        assert ear.heard == []
