"""A database that is away, frozen, locked or broken is `StoreUnavailableError` soon; nothing is half done meanwhile."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from livereactor.base.errors import ConfigError
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.sql import sqlite as sql_sqlite
from livereactor.store.sql.store import open_sql_store
from tests.contract.store import records as r
from tests.contract.store.conftest import Place
from tests.tools.postgres import PostgresServer, postgres_server

SOON = 15.0  # seconds; each takes two at most, on a machine that has nothing else to do


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """One that may be ended."""
    with postgres_server() as server:
        yield server


@pytest.fixture
async def postgres_store(own_postgres: PostgresServer) -> AsyncIterator[Store]:
    store = open_sql_store(own_postgres.url(own_postgres.create_database()))
    await store.transact(lambda tx: tx.put_account(r.account()))
    yield store
    await store.aclose()


def names(tx: Tx) -> set[str]:
    return {each.id for each in tx.accounts()}


async def refused(store: Store) -> None:
    """Writing and reading are refused, each soon."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        await store.transact(lambda tx: tx.put_account(r.account("lost")))
    with pytest.raises(StoreUnavailableError):
        await store.read(names)
    assert time.monotonic() - began < SOON


async def test_a_postgres_that_is_down_is_unavailable_and_used_again_once_it_is_up(
    own_postgres: PostgresServer, postgres_store: Store
) -> None:
    own_postgres.stop()
    try:
        await refused(postgres_store)
        await asyncio.gather(*(refused(postgres_store) for _ in range(30)))
        with pytest.raises(StoreUnavailableError, match="start the server"):
            open_sql_store(own_postgres.url("postgres"))
    finally:
        own_postgres.start()
    assert await postgres_store.read(names) == {"tests"}
    await postgres_store.transact(lambda tx: tx.put_account(r.account("back")))
    assert await postgres_store.read(names) == {"tests", "back"}


async def test_a_postgres_that_goes_while_many_ask_is_unavailable_to_them_and_nothing_else(
    own_postgres: PostgresServer, postgres_store: Store
) -> None:
    going = True

    async def keep_asking() -> int:
        answered = 0
        while going or not answered:
            try:
                await postgres_store.read(names)
                await postgres_store.transact(lambda tx: tx.cursor("events"))
                answered += 1
            except StoreUnavailableError:
                await asyncio.sleep(0.01)
        return answered

    asking = [asyncio.create_task(keep_asking()) for _ in range(30)]
    for number in (signal.SIGINT, signal.SIGQUIT) * 3:
        await eventually(postgres_store)
        await asyncio.to_thread(own_postgres.stop, number)
        await refused(postgres_store)
        await asyncio.to_thread(own_postgres.start)
    going = False
    async with asyncio.timeout(SOON):
        assert all(await asyncio.gather(*asking))


async def test_a_postgres_that_crashed_has_what_it_said_it_kept(own_postgres: PostgresServer) -> None:
    own_postgres.stop()
    own_postgres.durable = True
    own_postgres.start()
    store = open_sql_store(own_postgres.url(own_postgres.create_database()))
    kept, enough = 0, asyncio.Event()

    async def keep_adding() -> None:
        nonlocal kept
        while True:
            await store.transact(lambda tx, n=kept + 1: tx.put_cursor("events", n))
            kept += 1
            if kept == 20:
                enough.set()

    adding = asyncio.create_task(keep_adding())
    await asyncio.wait_for(enough.wait(), SOON)
    await asyncio.to_thread(own_postgres.stop, signal.SIGQUIT)
    with pytest.raises(StoreUnavailableError):
        await adding
    own_postgres.start()
    # The last one was refused to nobody's knowledge: it stands or not, as a whole.
    assert await store.read(lambda tx: tx.cursor("events")) in (kept, kept + 1)
    await store.aclose()


async def test_a_postgres_that_is_frozen_is_given_up_in_time_and_used_again_once_it_wakes(
    own_postgres: PostgresServer, postgres_store: Store
) -> None:
    await asyncio.gather(*(postgres_store.read(names) for _ in range(10)))  # its connections are all open
    own_postgres.signal_all(signal.SIGSTOP)
    try:
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(postgres_store.transact(lambda tx: tx.put_account(r.account("lost"))) for _ in range(30)),
            return_exceptions=True,
        )
        assert {type(each) for each in outcomes} == {StoreUnavailableError}
        assert time.monotonic() - began < SOON
    finally:
        own_postgres.signal_all(signal.SIGCONT)
    # What nobody was told of as done is not done afterwards either, unless its commit was under way: none was.
    assert await eventually(postgres_store) == {"tests"}
    await postgres_store.transact(lambda tx: tx.put_account(r.account("back")))


async def eventually(store: Store) -> set[str]:
    """What it says once it answers again."""
    deadline = time.monotonic() + SOON
    while True:
        try:
            return await store.read(names)
        except StoreUnavailableError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_postgres_that_drops_its_clients_is_used_on_without_a_word(
    own_postgres: PostgresServer, postgres_store: Store
) -> None:
    own_postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'livereactor'"
    )
    assert await postgres_store.read(names) == {"tests"}


async def test_a_work_that_takes_too_long_is_given_up_and_leaves_nothing(postgres_store: Store) -> None:
    def slow(tx: Tx) -> None:
        tx.put_account(r.account("slow"))
        time.sleep(3.0)

    with pytest.raises(StoreUnavailableError, match="within 2 seconds"):
        await postgres_store.transact(slow)
    await postgres_store.transact(lambda tx: tx.put_account(r.account("quick")))
    assert await postgres_store.read(names) == {"tests", "quick"}


def test_a_postgres_without_that_database_is_named_without_its_password(own_postgres: PostgresServer) -> None:
    with pytest.raises(ConfigError, match='"nowhere" does not exist') as caught:
        open_sql_store(own_postgres.url("nowhere").replace("postgres@", "postgres:secret@"))
    assert "secret" not in str(caught.value)


@pytest.fixture
async def sqlite_file(tmp_path: Path, sqlite_template: bytes) -> Path:
    path = tmp_path / "store.db"
    path.write_bytes(sqlite_template)
    return path


async def test_an_sqlite_that_another_process_writes_to_is_waited_for_and_then_unavailable(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_sqlite, "BUSY", 0.2)
    store = open_sql_store(f"sqlite:///{sqlite_file}")
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            await store.transact(lambda tx: tx.put_account(r.account("lost")))
        assert await store.read(names) == set()  # readers are let in beside a writer
        other.execute("ROLLBACK")
        await store.transact(lambda tx: tx.put_account(r.account()))
    assert await store.read(names) == {"tests"}
    await store.aclose()


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process grows beyond `room` bytes: writing on is an error, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_an_sqlite_on_a_full_disk_refuses_what_does_not_fit_and_goes_on_once_there_is_room(
    sqlite_file: Path,
) -> None:
    store = open_sql_store(f"sqlite:///{sqlite_file}")
    await store.transact(lambda tx: tx.put_account(r.account()))
    large = r.model(spec={"text": "x" * 1_000_000})
    with full_disk(500_000):
        with pytest.raises(StoreUnavailableError):
            await store.transact(lambda tx: (tx.put_account(r.account("half")), tx.put_model(large)))
        assert await store.read(lambda tx: (names(tx), list(tx.models()))) == ({"tests"}, [])
        await store.transact(lambda tx: tx.put_account(r.account("small")))
    await store.transact(lambda tx: tx.put_model(large))
    assert await store.read(lambda tx: (names(tx), tx.model(r.MODEL))) == ({"tests", "small"}, large)
    await store.aclose()


def overwrite(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + bytes(len(raw) - 4096))


async def test_an_sqlite_that_broke_is_unavailable(sqlite_file: Path) -> None:
    store = open_sql_store(f"sqlite:///{sqlite_file}")
    overwrite(sqlite_file)
    with pytest.raises(StoreUnavailableError):
        await store.transact(lambda tx: tx.put_account(r.account()))
    await store.aclose()


async def test_a_database_that_was_closed_is_unavailable(database: Place) -> None:
    store = database.open()
    await store.transact(lambda tx: tx.put_account(r.account()))
    await store.aclose()
    await store.aclose()  # twice does no harm
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.transact(lambda tx: tx.put_account(r.account()))


async def test_what_waits_when_a_database_is_closed_is_done(database: Place) -> None:
    store = database.open()
    waiting = [
        asyncio.ensure_future(store.transact(lambda tx, n=n: tx.put_account(r.account(f"acc_{n}")))) for n in range(50)
    ]
    await asyncio.sleep(0)
    await store.aclose()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert outcomes == [None] * 50
    again = database.open()
    assert len(await again.read(names)) == 50
    await again.aclose()
