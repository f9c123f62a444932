"""The store in SQL: SQLite in a file by default, Postgres for several coordinators. Fits `Store` by shape."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from livereactor.base.errors import ConfigError
from livereactor.store.memory.notices import MemoryNotices
from livereactor.store.port import Notices, Tx
from livereactor.store.sql import migrating
from livereactor.store.sql import sqlite as sql_sqlite
from livereactor.store.sql.errors import unusable

T = TypeVar("T")


class _Runner(Protocol):
    async def transact(self, work: Callable[[Tx], Any]) -> Any: ...
    async def read(self, work: Callable[[Tx], Any]) -> Any: ...
    async def aclose(self) -> None: ...


class SqlStore:
    """Keeps the records in a database, whose tables it makes or migrates first.

    Args:
        url: `sqlite:///PATH` (relative), `sqlite:////PATH` (absolute) or `postgresql://user:password@host/name`.

    Raises:
        ConfigError: no such kind of database, it cannot be opened, or a newer version wrote it.
        StoreUnavailableError: it does not answer.
    """

    def __init__(self, url: str) -> None:
        migrate(url)
        self._runner = _runner(_parsed(url))

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction; what it raises undoes everything and is raised."""
        return await self._runner.transact(work)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work`, which only looks, beside others."""
        return await self._runner.read(work)

    async def aclose(self) -> None:
        """Finish what was begun."""
        await self._runner.aclose()


def notices_of(url: str) -> Notices:
    """Return the notices between the coordinators on a database; SQLite has a single coordinator.

    Raises:
        ConfigError: as `SqlStore`.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return MemoryNotices()
    from livereactor.store.sql.notices import PostgresNotices

    return PostgresNotices(parsed)


def migrate(url: str) -> None:
    """Bring a database to this version's schema; raises as `SqlStore`."""
    parsed = _parsed(url)
    try:
        _migrate(parsed)
    except SQLAlchemyError as error:
        raise unusable(error, parsed) from error


def _migrate(url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        return sql_sqlite.migrate(url, migrating.upgrade)
    from livereactor.store.sql import postgres as sql_postgres  # its driver is in an extra of ours

    return sql_postgres.migrate(url, migrating.upgrade)


def _runner(url: URL) -> _Runner:
    if url.get_backend_name() == "sqlite":
        return sql_sqlite.SqliteRunner(url)
    from livereactor.store.sql import postgres as sql_postgres

    return sql_postgres.PostgresRunner(url)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("store url: not a URL; write sqlite:///PATH or postgresql://user@host/name") from error
    match parsed.drivername:
        case "sqlite":
            return parsed
        case "postgresql" | "postgres":
            return _postgres(parsed)
        case other:
            raise ConfigError(f"store url: {other!r} is not supported; write sqlite:///PATH or postgresql://…")


def _postgres(url: URL) -> URL:
    if find_spec("asyncpg") is None:
        raise ConfigError("store url: Postgres needs a package more; pip install 'livereactor[postgres]'")
    return url.set(drivername="postgresql")
