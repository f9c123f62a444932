"""`store` with one parameter per adapter; `place` is where it keeps its records, which can be opened again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest

from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Store
from livereactor.store.sql.schema import METADATA
from livereactor.store.sql.store import migrate, open_sql_store
from tests.contract.store.racing import Racers
from tests.tools.postgres import PostgresServer, postgres_server

SQL = ("sqlite", "postgres")


@dataclass(slots=True)
class Place:
    """Where one test's records are.

    Attributes:
        kind: `memory`, `sqlite` or `postgres`.
        url: of the database; "" in memory.
        open: a store of it, as another coordinator has one; in memory always the same.
    """

    kind: str
    url: str
    open: Callable[[], Store]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of this folder."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def tables(postgres: PostgresServer) -> str:
    """A database with the tables: to empty them takes a hundredth of the time that a new one does."""
    name = postgres.create_database()
    migrate(postgres.url(name))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file with the tables."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture(params=["memory", *SQL])
def place(request: pytest.FixtureRequest) -> Place:
    """One for every adapter."""
    return make_place(request, request.param)


@pytest.fixture(params=SQL)
def database(request: pytest.FixtureRequest) -> Place:
    """One for every database: what outlives the process."""
    return make_place(request, request.param)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """Empty."""
    opened = place.open()
    yield opened
    await opened.aclose()


@pytest.fixture
async def racers(place: Place) -> AsyncIterator[Racers]:
    """Of the same place as `store`."""
    made = Racers(place.open)
    yield made
    await made.aclose()


def make_place(request: pytest.FixtureRequest, kind: str) -> Place:
    if kind == "memory":
        store = MemoryStore()
        return Place(kind, "", lambda: store)
    if kind == "sqlite":
        path = request.getfixturevalue("tmp_path") / "store.db"
        path.write_bytes(request.getfixturevalue("sqlite_template"))
        url = f"sqlite:///{path}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        name = request.getfixturevalue("tables")
        server.execute("; ".join(f"DELETE FROM {table}" for table in METADATA.tables), database=name)
        url = server.url(name)
    return Place(kind, url, lambda: open_sql_store(url))
