"""Postgres: works run side by side in threads, each on a connection of a pool, and give up in time.

A database that is away must not take the coordinator with it. Postgres itself ends what takes too long; but one that
is frozen, or whose machine is gone, ends nothing, so a work also has a deadline here: when it passes, its socket is
shut, which frees the thread, and its caller is told. Only where the commit itself was under way then does nobody know
whether it stands.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from threading import Lock
from typing import Any, Final

from psycopg import Connection as Psycopg
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.sql_errors import ours
from livereactor.store.sql_statements import LostRaceError
from livereactor.store.sql_tx import SqlTx

PATIENCE: Final = 2.0  # seconds that a work may take, the waiting for a thread included
_THREADS: Final = 10  # connections; a commit's wait for the disk is shared by all that wait with it
_MOST_WAITING: Final = 4096  # works
_TRIES: Final = 4
_PAUSE: Final = 0.02  # seconds, at most, before the second try; more before each further one
# Lost races with another transaction: serialization failure, deadlock, and a key that it inserted first.
_RACES: Final = frozenset({"40001", "40P01", "23505"})
_TIMEOUTS: Final = {"statement_timeout": 2000, "lock_timeout": 1500, "idle_in_transaction_session_timeout": 5000}
_ARGUMENTS: Final = {"connect_timeout": 2, "tcp_user_timeout": 2000, "application_name": "livereactor"}


class PostgresRunner:
    """Runs works on one database.

    Args:
        url: `postgresql+psycopg://…`.
    """

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url, pool_size=_THREADS, max_overflow=0, connect_args=_ARGUMENTS)
        event.listen(self._engine, "connect", _set_timeouts)
        self._looking = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._threads = ThreadPoolExecutor(_THREADS, "store")
        self._waiting = 0
        self._closed = False

    async def transact(self, work: Callable[[Tx], Any]) -> Any:
        """Run it, again where it lost a race."""
        return await self._run(_Attempt(self._engine, work, locking=True))

    async def read(self, work: Callable[[Tx], Any]) -> Any:
        """Run it on what was committed when it began."""
        return await self._run(_Attempt(self._looking, work, locking=False))

    async def _run(self, attempt: _Attempt) -> Any:
        if self._closed:
            raise StoreUnavailableError("the store is closed; open it anew")
        if self._waiting >= _MOST_WAITING:
            raise StoreUnavailableError(f"{_MOST_WAITING} transactions wait for the database; try again in a second")
        self._waiting += 1
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, attempt.run)
            await asyncio.wait((running,), timeout=PATIENCE)
            if not running.done():
                running.add_done_callback(_seen)
                raise attempt.give_up()
            return running.result()
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what was begun."""
        self._closed = True
        self._threads.shutdown()
        self._engine.dispose()


class _Phase(Enum):
    WORKING = "working"
    COMMITTING = "committing"  # what it wrote may stand from here on
    GIVEN_UP = "given up"  # its caller has been told; it must not commit any more


class _Attempt:
    """One work, from its first try to its commit or to the moment that its caller waits no longer."""

    def __init__(self, engine: Engine, work: Callable[[Tx], Any], *, locking: bool) -> None:
        self._engine, self._work, self._locking = engine, work, locking
        self._lock = Lock()  # between the thread that works and the loop that gives up
        self._phase = _Phase.WORKING
        self._driver: Psycopg[Any] | None = None

    def run(self) -> Any:
        """Try until it commits, in a thread; raises what the work raises, or our errors for the database's."""
        for left in reversed(range(_TRIES)):
            try:
                return self._once(may_begin_anew=self._locking and left > 0)
            except LostRaceError:
                pass
            except DBAPIError as error:
                if left == 0 or not self._worth_another(error):
                    raise ours(error) from error
            except Exception as error:
                raise ours(error) from error
            time.sleep(random.uniform(0, _PAUSE * (_TRIES - left)))
        raise AssertionError("the last try returns or raises")

    def _once(self, *, may_begin_anew: bool) -> Any:
        self._check()
        with self._engine.connect() as connection:
            self._watch(connection)
            try:
                with connection.begin():
                    tx = SqlTx(connection, locking=self._locking)
                    tx.may_begin_anew = may_begin_anew
                    result = self._work(tx)
                    self._commit_begins()
                return result
            finally:
                with self._lock:
                    self._driver = None

    def _worth_another(self, error: DBAPIError) -> bool:
        with self._lock:
            if self._phase is not _Phase.WORKING:
                return False
        # A connection of the pool that died since it was last used costs one try; the pool is emptied by it.
        return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _RACES

    def _watch(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, Psycopg)
        with self._lock:
            self._driver = driver

    def _commit_begins(self) -> None:
        with self._lock:
            if self._phase is _Phase.WORKING:
                self._phase = _Phase.COMMITTING
        self._check()

    def _check(self) -> None:
        if self._phase is _Phase.GIVEN_UP:
            raise StoreUnavailableError("given up; its caller has been told")

    def give_up(self) -> StoreUnavailableError:
        """Let it commit no more and free its thread; what its caller is told."""
        with self._lock:
            committing, self._phase = self._phase is _Phase.COMMITTING, _Phase.GIVEN_UP
            if self._driver is not None:
                _shut(self._driver)
        if committing:
            return StoreUnavailableError("the database did not say whether it kept this; look before you try again")
        return StoreUnavailableError(f"the database did not answer within {PATIENCE:g} seconds; try again")


def migrating_engine(url: URL) -> Engine:
    """Without our deadlines: to change a table, or to wait for another who does, may take its time."""
    return create_engine(url, poolclass=NullPool, connect_args=_ARGUMENTS)


def _set_timeouts(driver: Psycopg[Any], _record: object) -> None:
    # Not by the connection's `options`, which poolers such as pgbouncer refuse.
    settings = ", ".join(f"set_config('{name}', '{value_ms}', false)" for name, value_ms in _TIMEOUTS.items())
    driver.execute(f"SELECT {settings}".encode())
    driver.commit()


def _shut(driver: Psycopg[Any]) -> None:
    """Its thread, which waits for this socket, gets an error at once."""
    if driver.closed:
        return
    with socket.socket(fileno=os.dup(driver.fileno())) as copy:
        try:
            copy.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it ended by itself meanwhile


def _seen(running: asyncio.Future[Any]) -> None:
    """Its caller has gone: what came of it is nobody's error."""
    if not running.cancelled():
        running.exception()
