"""Statements made ready once: SQLAlchemy writes their SQL, the database's driver runs it.

Running a statement through SQLAlchemy costs 42 µs, by SQLite's driver 3.4 µs (measured), and a decision is a dozen of
them, all on the one thread that writes. Errors are raised as SQLAlchemy raises them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Cursor(Protocol):
    """Of a driver (PEP 249)."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, arguments: Any, /) -> object: ...
    def fetchone(self) -> Sequence[Any] | None: ...
    def fetchall(self) -> Sequence[Sequence[Any]]: ...


class _Driver(Protocol):
    def cursor(self) -> Cursor: ...


class Runner:
    """Runs statements on one connection, inside a transaction that SQLAlchemy began.

    All by one cursor, which costs half of what one for each statement costs on Postgres: what a statement found has to
    be taken before the next one runs.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        self._driver = cast(_Driver, connection.connection.driver_connection)
        self._cursor = self._driver.cursor()
        self._error: type[Exception] = self._dialect.loaded_dbapi.Error

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> Cursor:
        """Run it with these values, by name; raises `DBAPIError`."""
        prepared = _prepared(statement, tuple(values), self._dialect)
        try:
            self._cursor.execute(prepared.sql, prepared.arguments(values))
        except self._error as error:
            raise self._wrapped(prepared.sql, error) from error
        return self._cursor

    def command(self, sql: str) -> None:
        """Run SQL without values: `SAVEPOINT …` and the like."""
        try:
            self._cursor.execute(sql, ())
        except self._error as error:
            raise self._wrapped(sql, error) from error

    def _wrapped(self, sql: str, error: Exception) -> BaseException:
        if self._dialect.is_disconnect(cast(Any, error), cast(Any, self._driver), None):
            # SQLAlchemy sees for itself that the connection is gone, raises, and throws away those of its age.
            self._connection.exec_driver_sql("SELECT 1")
        return DBAPIError.instance(sql, None, error, self._error, dialect=self._dialect)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """SQL as the driver takes it.

    Attributes:
        constants: values that are the statement's own.
        order: names of its values in order; None = the driver takes them by name.
    """

    sql: str
    constants: Mapping[str, Any]
    order: tuple[str, ...] | None

    def arguments(self, values: Mapping[str, Any]) -> Any:
        named = {**self.constants, **values} if self.constants else values
        return named if self.order is None else [named[name] for name in self.order]


@lru_cache(maxsize=512)
def _prepared(statement: Executable, names: tuple[str, ...], dialect: Dialect) -> _Prepared:
    """Statements are known by identity: each is made once, as a constant or by a function that remembers it."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    given = set(names)
    constants = {name: value for name, value in compiled.params.items() if name not in given}
    order = compiled.positiontup
    return _Prepared(str(compiled), constants, None if order is None else tuple(order))
