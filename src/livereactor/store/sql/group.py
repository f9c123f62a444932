"""Group commit: one writer thread, many works in one transaction, one sync to the disk for all of them.

A sync costs milliseconds, a work a fraction of one. The writer takes all works that wait, runs each in a savepoint of
one transaction, commits once, and only then answers them. A work that raises rolls back its own savepoint alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.sql.errors import ours
from livereactor.store.sql.executor import SqliteExecutor
from livereactor.store.sql.tx import SqlTx

MOST_WAITING: Final = 4096  # works; some seconds' worth, after which a caller had better come again
_MOST_TOGETHER: Final = 128  # works in one transaction, so that none waits long for the others


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
        engine: whose transactions may write; the writer keeps one connection of it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._waiting = SimpleQueue[_Job | None]()
        self._closed = False
        self._thread = Thread(target=self._write, name="store-writer", daemon=True)
        self._thread.start()

    async def transact(self, work: Callable[[Tx], Any]) -> Any:
        """Run it, and return once what it wrote is on the disk."""
        if self._closed:
            raise StoreUnavailableError("the store is closed; open it anew")
        if self._waiting.qsize() >= MOST_WAITING:
            raise StoreUnavailableError(f"{MOST_WAITING} transactions wait for the database; try again in a second")
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop)
        self._waiting.put(job)
        return await job.future

    def close(self) -> None:
        """End once all that waits is done; blocks until then."""
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
        except Exception as error:  # nothing of the transaction stands, whoever's work it was that broke it
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
        """The next transaction gets a new connection."""
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
    """On each job's loop, all of a loop's at once: waking a loop costs more than answering."""
    for loop in {job.loop for job in jobs}:
        with suppress(RuntimeError):  # that loop is closed: nobody listens
            loop.call_soon_threadsafe(_settle, [job for job in jobs if job.loop is loop])


def _settle(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
