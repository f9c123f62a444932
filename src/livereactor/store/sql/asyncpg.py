"""Statements on Postgres by asyncpg, for works that do not know that they wait: they run in a greenlet on the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.util import await_only

from livereactor.store.sql.prepared import prepared

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
    """An error of asyncpg's, or of the network beneath it, as SQLAlchemy raises those of other drivers."""
    state = sqlstate(error)
    if state.startswith("23"):
        return IntegrityError(sql, None, error)
    # A value that cannot be sent (asyncpg says so itself), or that the server cannot keep.
    if state.startswith("22") or isinstance(error, ValueError):
        return DataError(sql, None, error)
    return DBAPIError(sql, None, error)


def sqlstate(error: BaseException | None) -> str:
    """Five characters (Postgres, appendix A); "" = the server did not say this."""
    return getattr(error, "sqlstate", None) or ""
