"""Statements on SQLite, by its driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError

from livereactor.store.sql.prepared import prepared


class SqliteExecutor:
    """Runs statements on one connection, inside a transaction that SQLAlchemy began.

    All by one cursor: what a statement finds is taken before the next one runs.
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
