"""SQLite in a file: one writer with group commit, readers beside it (WAL)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event

from livereactor.base.errors import ConfigError
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.sql.errors import ours
from livereactor.store.sql.executor import SqliteExecutor
from livereactor.store.sql.group import MOST_WAITING, GroupCommit
from livereactor.store.sql.tx import SqlTx

BUSY: Final = 5.0  # seconds to wait for another process that writes (the command line beside `serve`)
_READERS: Final = 4


class SqliteRunner:
    """Runs works on one file.

    Args:
        url: `sqlite:///relative` or `sqlite:////absolute`.
    """

    def __init__(self, url: URL) -> None:
        self._writing = sqlite_engine(url)
        self._reading = _engine(url, begin="BEGIN", pragmas=("query_only=ON",), pool_size=_READERS)
        self._writer = GroupCommit(self._writing)
        self._readers = ThreadPoolExecutor(_READERS, "store-reader")
        self._looking = 0

    async def transact(self, work: Callable[[Tx], Any]) -> Any:
        """Run it by the writer."""
        return await self._writer.transact(work)

    async def read(self, work: Callable[[Tx], Any]) -> Any:
        """Run it by a reader, on what was committed when it began."""
        if self._looking >= MOST_WAITING:
            raise StoreUnavailableError(f"{MOST_WAITING} reads wait for the database; try again in a second")
        self._looking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, work)
        finally:
            self._looking -= 1

    def _look(self, work: Callable[[Tx], Any]) -> Any:
        try:
            with self._reading.connect() as connection, connection.begin():
                return work(SqlTx(SqliteExecutor(connection), locking=False))
        except Exception as error:
            raise ours(error) from error

    async def aclose(self) -> None:
        """Finish what waits."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        self._reading.dispose()
        self._writing.dispose()


def migrate(url: URL, upgrade: Callable[[Connection], None]) -> None:
    """Run `upgrade` in a transaction."""
    engine = sqlite_engine(url)
    try:
        with engine.begin() as connection:
            upgrade(connection)
    finally:
        engine.dispose()


def sqlite_engine(url: URL) -> Engine:
    """Whose transactions take the write lock at once: one that reads first could not be promoted later."""
    return _engine(url, begin="BEGIN IMMEDIATE", pragmas=(), pool_size=1)


def _engine(url: URL, *, begin: str, pragmas: tuple[str, ...], pool_size: int) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ConfigError("store url: SQLite in memory is gone with its connection; name a file, sqlite:///PATH")
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"store url: no folder for {url.database} ({error.strerror}); name another file") from error
    # Connections pass between the threads of a pool, one at a time.
    arguments = {"timeout": BUSY, "check_same_thread": False}
    engine = create_engine(url, pool_size=pool_size, max_overflow=0, connect_args=arguments)

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        _use_wal(connection)
        for pragma in ("synchronous=FULL", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", start)
    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """The mode stays with the file. Of two that set it at once, one is told "locked" without being made to wait."""
    deadline = time.monotonic() + BUSY
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
