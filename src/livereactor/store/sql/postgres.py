"""Postgres: works run concurrently on the loop, each on a connection of a pool, and give up in time.

A work is an ordinary function; it runs in a greenlet, which lets the loop go on while the database answers
(docs/adr/0008).

A database that is away must not take the coordinator with it. Postgres itself ends what takes too long; but one that
is frozen, or whose machine is gone, ends nothing, so a work also has a deadline here: when it passes, its connection
is dropped and its caller gets an error. If the commit itself was under way, its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeVar, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy import URL, Connection, Executable, NullPool
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

from livereactor.store.port import LostRaceError, StoreUnavailableError, Tx
from livereactor.store.sql.errors import ours
from livereactor.store.sql.statements import prepared
from livereactor.store.sql.tx import SqlTx

T = TypeVar("T")
_DIALECT: Final = PGDialect_asyncpg()
# The last one is what a call gets on a connection that the server has just ended and that is not closed yet.
DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncpg.InternalClientError)


class DriverConnection(Protocol):
    """A connection of asyncpg's, or of its pool."""

    async def execute(self, query: str, *arguments: Any) -> str: ...
    async def fetch(self, query: str, *arguments: Any) -> Sequence[Sequence[Any]]: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...


class AsyncpgExecutor:
    """Runs statements on one connection, in a transaction that has begun; to be called in a greenlet only."""

    dialect = _DIALECT

    def __init__(self, driver: DriverConnection) -> None:
        self._driver = driver

    def rows(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        return self._run(self._driver.fetch, statement, values)

    def changed(self, statement: Executable, values: Mapping[str, Any]) -> int:
        status = self._run(self._driver.execute, statement, values)  # "UPDATE 1", "INSERT 0 1"
        return int(status.rpartition(" ")[2])

    def _run(self, run: Callable[..., Awaitable[T]], statement: Executable, values: Mapping[str, Any]) -> T:
        ready = prepared(statement, tuple(values), _DIALECT)
        try:
            return await_only(run(ready.sql, *ready.arguments(values)))
        except DRIVER_ERRORS as error:
            raise as_sqlalchemy(error, ready.sql) from error


def as_sqlalchemy(error: Exception, sql: str = "") -> DBAPIError:
    """Return an error of asyncpg or of its network as the one that SQLAlchemy raises for other drivers."""
    state = sqlstate(error)
    if state.startswith("23"):
        return IntegrityError(sql, None, error)
    # A value that cannot be sent (asyncpg says so itself), or that the server cannot keep.
    if state.startswith("22") or isinstance(error, ValueError):
        return DataError(sql, None, error)
    return DBAPIError(sql, None, error)


def sqlstate(error: BaseException | None) -> str:
    """Return the five characters of SQLSTATE (Postgres, appendix A); "" = the error is not the server's."""
    return getattr(error, "sqlstate", None) or ""


PATIENCE: Final = 2.0  # seconds that a work may take, the waiting for a connection included
# On a loop that is full, more only wait longer for each other: with ten p99 was 250 ms, with four 150.
_CONNECTIONS: Final = 4
_MOST_WAITING: Final = 4096  # works
_STATEMENTS: Final = 512  # that a connection keeps ready; more than there are
_TRIES: Final = 4
_PAUSE: Final = 0.02  # seconds, at most, before the second try; more before each further one
# Lost races with another transaction: serialization failure, deadlock, and a key that it inserted first.
_RACES: Final = frozenset({"40001", "40P01", "23505"})
_TIMEOUTS: Final = {"statement_timeout": 2000, "lock_timeout": 1500, "idle_in_transaction_session_timeout": 5000}
_WRITING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_LOOKING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class _Pool(Protocol):
    """A pool of asyncpg, which has no types of its own."""

    def acquire(self) -> AbstractAsyncContextManager[DriverConnection]: ...
    def terminate(self) -> None: ...


class PostgresStore:
    """A database, for the loop that runs the first work; fits `Store` by shape.

    Args:
        url: `postgresql://…`, with what asyncpg understands after a `?`, such as `sslmode`.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._pool: _Pool | None = None
        self._working = 0
        self._idle = asyncio.Event()
        self._closed = False

    async def transact(self, work: Callable[[Tx], Any]) -> Any:
        """Run it, again where it lost a race."""
        return await self._run(work, locking=True)

    async def read(self, work: Callable[[Tx], Any]) -> Any:
        """Run it on what was committed when it began."""
        return await self._run(work, locking=False)

    async def _run(self, work: Callable[[Tx], Any], *, locking: bool) -> Any:
        if self._closed:
            raise StoreUnavailableError("the store is closed; open it again")
        if self._working >= _MOST_WAITING:
            raise StoreUnavailableError(
                f"{_MOST_WAITING} transactions are waiting for the database; try again in a second"
            )
        until = asyncio.get_running_loop().time() + PATIENCE
        attempt = _Attempt(work, locking=locking, until=until)
        self._working += 1
        try:
            async with asyncio.timeout_at(until):
                return await attempt.run(self._pool or await self._opened())
        except TimeoutError as error:
            raise attempt.given_up() from error
        finally:
            self._working -= 1
            if self._working == 0:
                self._idle.set()

    async def _opened(self) -> _Pool:
        pool = await _pool(self._url)
        self._pool = self._pool or pool  # another work may have come before: neither is connected yet
        return self._pool

    async def aclose(self) -> None:
        """Finish what was begun."""
        self._closed = True
        while self._working:
            self._idle.clear()
            await self._idle.wait()
        if self._pool is not None:
            self._pool.terminate()


class _Attempt:
    """One work, from its first try to its commit.

    Args:
        until: of the loop's clock, when its caller waits no longer.
    """

    def __init__(self, work: Callable[[Tx], Any], *, locking: bool, until: float) -> None:
        self._work, self._locking, self._until = work, locking, until
        self._is_committing = False  # what it wrote may stand from here on

    async def run(self, pool: _Pool) -> Any:
        """Try until it commits; raises what the work raises, or our errors for the database's."""
        for left in reversed(range(_TRIES)):
            try:
                return await self._once(pool, may_begin_anew=self._locking and left > 0)
            except LostRaceError:
                pass
            except DBAPIError as error:
                if left == 0 or not self._worth_another(error):
                    raise ours(error) from error
            except Exception as error:
                raise ours(error) from error
            await asyncio.sleep(random.uniform(0, _PAUSE * (_TRIES - left)))
        raise StoreUnavailableError("other requests keep changing the same records; try again")

    async def _once(self, pool: _Pool, *, may_begin_anew: bool) -> Any:
        try:
            async with pool.acquire() as connection:
                return await self._on(connection, may_begin_anew=may_begin_anew)
        except TimeoutError:  # an OSError, too
            raise
        except DRIVER_ERRORS as error:
            raise as_sqlalchemy(error) from error

    async def _on(self, driver: DriverConnection, *, may_begin_anew: bool) -> Any:
        try:
            await driver.execute(_WRITING if self._locking else _LOOKING)
            tx = SqlTx(AsyncpgExecutor(driver), locking=self._locking)
            tx.may_begin_anew = may_begin_anew
            result = await greenlet_spawn(self._work, tx)
            if asyncio.get_running_loop().time() >= self._until:  # a work that held up the loop, and its own deadline
                raise TimeoutError
            self._is_committing = True
            await driver.execute("COMMIT")
        except BaseException as error:
            await _undo(driver, error)
            raise
        return result

    def _worth_another(self, error: DBAPIError) -> bool:
        if self._is_committing:
            return False
        # A connection that died just before, or in the middle of its work, costs one try.
        return sqlstate(error.orig) in _RACES or isinstance(error.orig, _GONE)

    def given_up(self) -> StoreUnavailableError:
        """Make the error for a caller whose time is over."""
        if self._is_committing:
            return StoreUnavailableError("the database did not confirm this change; check it before you retry")
        return StoreUnavailableError(f"the database did not answer within {PATIENCE:g} seconds; try again")


async def _undo(driver: DriverConnection, error: BaseException) -> None:
    """Undo a transaction that ends with this error."""
    if driver.is_closed():
        return
    if isinstance(error, asyncio.CancelledError | TimeoutError | asyncpg.InternalClientError):
        driver.terminate()  # nothing more is said to a server that does not answer, or is gone
        return
    try:
        await driver.execute("ROLLBACK")
    except BaseException:
        driver.terminate()
        raise


_GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionResetError,
    BrokenPipeError,
)


async def _pool(url: URL) -> _Pool:
    """Make a pool, whose connections are made as they are needed."""
    pool = asyncpg.create_pool(  # pyright: ignore[reportUnknownMemberType]
        _dsn(url),
        min_size=0,
        max_size=_CONNECTIONS,
        init=_set_timeouts,
        reset=_nothing,
        timeout=PATIENCE,
        statement_cache_size=_STATEMENTS,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": "livereactor"},
    )
    return cast(_Pool, await pool)


async def _set_timeouts(driver: DriverConnection) -> None:
    # Not by the connection's `server_settings`: of those, poolers such as pgbouncer take only few.
    settings = ", ".join(f"set_config('{name}', '{value_ms}', false)" for name, value_ms in _TIMEOUTS.items())
    await driver.execute(f"SELECT {settings}")


async def _nothing(_driver: object) -> None:
    """Works leave nothing behind on a connection: asyncpg's own reset would cost each of them a round trip."""


_connect: Final = cast(Callable[..., Awaitable[Any]], asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]


def migrate(url: URL, upgrade: Callable[[Connection], None]) -> None:
    """Run `upgrade` in a transaction without our deadlines: to change a table, or to wait for another, may take long.

    Blocks; on a loop of its own, in a thread where another one runs.
    """

    async def run() -> None:
        engine = create_async_engine(
            "postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: _connect(_dsn(url), timeout=PATIENCE)
        )
        async with engine.begin() as connection:
            await connection.run_sync(upgrade)

    try:
        with ThreadPoolExecutor(1) as own:
            own.submit(asyncio.run, run()).result()
    except DRIVER_ERRORS as error:  # TimeoutError among them: it is an OSError
        raise as_sqlalchemy(error) from error


def _dsn(url: URL) -> str:
    return url.render_as_string(hide_password=False)
