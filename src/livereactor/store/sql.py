"""The store in SQL: SQLite in a file by default, Postgres for several coordinators. Fits `Store` by shape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from livereactor.base.errors import ConfigError
from livereactor.store import migrating
from livereactor.store.port import Tx
from livereactor.store.sql_errors import unusable
from livereactor.store.sql_sqlite import SqliteRunner, sqlite_engine

T = TypeVar("T")


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
        self._runner = SqliteRunner(_parsed(url))

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction; what it raises undoes everything and is raised."""
        return await self._runner.transact(work)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work`, which only looks, beside others."""
        return await self._runner.read(work)

    async def aclose(self) -> None:
        """Finish what was begun."""
        await asyncio.to_thread(self._runner.close)


def migrate(url: str) -> None:
    """Bring a database to this version's schema; raises as `SqlStore`."""
    parsed = _parsed(url)
    engine = _engine(parsed)
    try:
        migrating.upgrade(engine)
    except SQLAlchemyError as error:
        raise unusable(error, parsed) from error
    finally:
        engine.dispose()


def _engine(url: URL) -> Engine:
    return sqlite_engine(url)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("store url: not a URL; write sqlite:///PATH or postgresql://user@host/name") from error
    if parsed.get_backend_name() != "sqlite":
        raise ConfigError(f"store url: {parsed.drivername!r} is not supported; write sqlite:///PATH or postgresql://…")
    return parsed
