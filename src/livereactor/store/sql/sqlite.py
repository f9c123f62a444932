"""SQLite in a file: one writer with group commit, and concurrent readers (WAL).

A sync to the disk costs milliseconds, a work a fraction of one. The writer thread takes all works that wait, runs each
in a savepoint of one transaction, commits once, and only then answers them. A work that raises rolls back its own
savepoint alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

import structlog
from sqlalchemy import URL, Connection, Engine, Executable, create_engine, event
from sqlalchemy.exc import DBAPIError

from livereactor.base.errors import ConfigError
from livereactor.base.private_files import close_file, private_file
from livereactor.base.sparse_log import SparseLog
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.sql.errors import ours
from livereactor.store.sql.statements import prepared
from livereactor.store.sql.tx import SqlTx

BUSY: Final = 5.0  # seconds to wait for another process that writes (the command line while `serve` runs)
MOST_WAITING: Final = 4096  # works; some seconds' worth, after which a caller had better come again
_MOST_TOGETHER: Final = 128  # works in one transaction, so that none waits long for the others
_READERS: Final = 4
log = SparseLog(structlog.get_logger("livereactor.store"))


class SqliteStore:
    """A database file; fits `Store` by shape.

    Args:
        url: `sqlite:///relative` or `sqlite:////absolute`.
    """

    def __init__(self, url: URL) -> None:
        self._writing = sqlite_engine(url)
        self._reading = _engine(url, begin="BEGIN", pragmas=("query_only=ON",), pool_size=_READERS)
        self._writer = GroupCommit(self._writing)
        self._readers = ThreadPoolExecutor(_READERS, "store-reader")
        self._reads = 0

    async def transact(self, work: Callable[[Tx], Any]) -> Any:
        """Run a work by the writer."""
        return await self._writer.transact(work)

    async def read(self, work: Callable[[Tx], Any]) -> Any:
        """Run a work by a reader, on what was committed when it began."""
        if self._reads >= MOST_WAITING:
            raise StoreUnavailableError(f"{MOST_WAITING} reads are waiting for the database; try again in a second")
        self._reads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_now, work)
        finally:
            self._reads -= 1

    def _read_now(self, work: Callable[[Tx], Any]) -> Any:
        try:
            with self._reading.connect() as connection, connection.begin():
                return work(SqlTx(SqliteExecutor(connection), locking=False))
        except Exception as error:
            raise ours(error) from error

    async def aclose(self) -> None:
        """Run the works that wait, and close."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        self._reading.dispose()
        self._writing.dispose()


class SqliteExecutor:
    """Statements on one connection, inside a transaction that SQLAlchemy began.

    All run on one cursor: the rows of a statement are fetched before the next one runs.
    """

    def __init__(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self.dialect = connection.dialect
        self._cursor = driver.cursor()

    def rows(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        self._execute(statement, values)
        return self._cursor.fetchall()

    def changed(self, statement: Executable, values: Mapping[str, Any]) -> int:
        self._execute(statement, values)
        return self._cursor.rowcount

    def command(self, sql: str) -> None:
        """Run SQL without values: `SAVEPOINT …` and the like."""
        self._run(sql, ())

    def _execute(self, statement: Executable, values: Mapping[str, Any]) -> None:
        ready = prepared(statement, tuple(values), self.dialect)
        self._run(ready.sql, ready.arguments(values))

    def _run(self, sql: str, arguments: Sequence[Any]) -> None:
        try:
            self._cursor.execute(sql, arguments)
        except sqlite3.Error as error:
            raise DBAPIError.instance(sql, None, error, sqlite3.Error, dialect=self.dialect) from error


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[Tx], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: Exception | None = None


class GroupCommit:
    """The one writer of a database.

    Args:
        engine: gives transactions that may write; the writer keeps one connection of it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._waiting = SimpleQueue[_Job | None]()
        self._closed = False
        self._thread = Thread(target=self._write, name="store-writer", daemon=True)
        self._thread.start()

    async def transact(self, work: Callable[[Tx], Any]) -> Any:
        """Run a work, and return once its writes are on the disk."""
        if self._closed:
            raise StoreUnavailableError("the store is closed; open it again")
        if self._waiting.qsize() >= MOST_WAITING:
            raise StoreUnavailableError(
                f"{MOST_WAITING} transactions are waiting for the database; try again in a second"
            )
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop)
        self._waiting.put(job)
        return await job.future

    def close(self) -> None:
        """End once all waiting works are done; blocks until then."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (job := self._waiting.get()) is not None:
            self._together(job)
        self._disconnect()

    def _together(self, first: _Job) -> None:
        jobs = [first]
        try:
            self._run_all(jobs)
        except Exception as error:  # nothing of the transaction stands, whichever work broke it
            failure = ours(error)
            for job in jobs:
                job.result, job.error = None, failure
            self._disconnect()
        _answer(jobs)

    def _run_all(self, jobs: list[_Job]) -> None:
        """Run the first job and all that wait by then, each added to `jobs` before it runs; commit."""
        if self._connection is None:
            self._connection = self._engine.connect()
        with self._connection.begin():
            _run(self._connection, jobs[0])
            for job in self._others():
                jobs.append(job)
                _run(self._connection, job)

    def _others(self) -> Iterator[_Job]:
        for _ in range(_MOST_TOGETHER - 1):
            try:
                job = self._waiting.get_nowait()
            except Empty:
                return
            if job is None:
                self._waiting.put(None)
                return
            yield job

    def _disconnect(self) -> None:
        """Drop the connection; the next transaction gets a new one."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _run(connection: Connection, job: _Job) -> None:
    """Run one work in a savepoint. Raises where the transaction as a whole is gone."""
    if job.future.cancelled():
        return
    executor = SqliteExecutor(connection)
    executor.command("SAVEPOINT work")
    try:
        job.result = job.work(SqlTx(executor, locking=True))
    except Exception as error:
        _undo(executor, error)
        job.error = ours(error)
    executor.command("RELEASE work")


def _undo(executor: SqliteExecutor, error: Exception) -> None:
    try:
        executor.command("ROLLBACK TO work")
    except DBAPIError:  # a full or broken disk ends the whole transaction by itself
        raise error from None


def _answer(jobs: Sequence[_Job]) -> None:
    """Answer the jobs on their loops, all of a loop at once: waking a loop costs more than answering."""
    for loop in {job.loop for job in jobs}:
        with suppress(RuntimeError):  # that loop is closed
            loop.call_soon_threadsafe(_resolve, [job for job in jobs if job.loop is loop])


def _resolve(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def migrate(url: URL, upgrade: Callable[[Connection], None]) -> None:
    """Run `upgrade` in a transaction."""
    engine = sqlite_engine(url)
    try:
        with engine.begin() as connection:
            upgrade(connection)
    finally:
        engine.dispose()


def sqlite_engine(url: URL) -> Engine:
    """Return an engine whose transactions take the write lock at once: a read lock could not be promoted later."""
    return _engine(url, begin="BEGIN IMMEDIATE", pragmas=(), pool_size=1)


def _engine(url: URL, *, begin: str, pragmas: tuple[str, ...], pool_size: int) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ConfigError("store url: SQLite in memory is lost with its connection; name a file, sqlite:///PATH")
    try:
        path = Path(str(url.database))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        open_to_others = _closed_to_others(path)
    except OSError as error:
        raise ConfigError(f"store url: no file {url.database} ({error.strerror}); name another") from error
    for file, mode in open_to_others:
        log.warning(
            "database is open to other users",
            apart=str(file),
            file=str(file),
            mode=f"{mode:04o}",
            todo=f"make it this user's (chown), or run `chmod 600 {file}` as its owner",
        )
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


def _closed_to_others(path: Path) -> list[tuple[Path, int]]:
    """Make the file, and close it and those beside it to others; return those that stay open, with their modes."""
    modes = [(path, private_file(path))]
    for beside in (Path(f"{path}-wal"), Path(f"{path}-shm")):  # SQLite gives new ones the mode of the file
        with suppress(FileNotFoundError):
            modes.append((beside, close_file(beside)))
    return [(file, mode) for file, mode in modes if mode is not None]


def _use_wal(connection: sqlite3.Connection) -> None:
    """Set the mode, which stays with the file. Of two that set it at once, one gets "locked" without a wait."""
    deadline = time.monotonic() + BUSY
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
