"""One transaction's connection, and how statements of it become records. The adapter's parts stand on this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Executable,
    bindparam,
    false,
    insert,
    or_,
    select,
    update,
)

from livereactor.store.sql.prepared import Executor
from livereactor.store.sql.rows import R, Rows


def param(name: str) -> BindParameter[Any]:
    """A value that a prepared statement is given when it runs."""
    return bindparam(name)


def one_of(column: Column[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """The column has one of these values, which are the statement's own; with none of them, no row fits."""
    return or_(false(), *(column == value for value in values))


class Statements:
    """Runs prepared statements in one transaction.

    Args:
        locking: False in a `read`, which takes no locks.

    Attributes:
        may_begin_anew: whoever runs the work runs it again where it raises `LostRaceError`.
    """

    may_begin_anew = False

    def __init__(self, executor: Executor, *, locking: bool) -> None:
        self.locking = locking
        self.postgres = executor.dialect.name == "postgresql"
        self._executor = executor

    def row(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row."""
        rows = self._executor.rows(statement, values)
        return rows[0] if rows else None

    def rows(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """All rows."""
        return self._executor.rows(statement, values)

    def scalar(self, statement: Executable, values: Mapping[str, Any]) -> Any:
        """The first column of the first row; None where there is none."""
        row = self.row(statement, values)
        return None if row is None else row[0]

    def run(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """For its effect; how many rows it changed."""
        return self._executor.changed(statement, values)


class KeyedTable(Generic[R]):
    """Statements for the records of one table that is read and written by its key.

    Args:
        key: names of the columns that tell its records apart.
        given: names of columns that are the database's to fill, and stay as they are.
    """

    def __init__(self, rows: Rows[R], *key: str, given: Sequence[str] = ()) -> None:
        self._rows, self._key = rows, key
        table = rows.table
        matches = [table.c[name] == param(f"key_{name}") for name in key]
        self._get = select(*rows.columns).where(*matches)
        self._lock = self._get.with_for_update()
        self._share = self._get.with_for_update(read=True)
        self._pass = self._get.with_for_update(skip_locked=True)
        self._given = given
        self._insert, self._update = insert(table), update(table).where(*matches)

    def get(self, within: Statements, *key: Any, lock: bool = False, shared: bool = False) -> R | None:
        """The record with this key."""
        statement = self._get
        if within.locking and (lock or shared):
            statement = self._lock if lock else self._share
        row = within.row(statement, self._named(key))
        return None if row is None else self._rows.record(row)

    def is_unheld(self, within: Statements, *key: Any) -> bool:
        """Nobody else holds the record with this key; it is locked now."""
        return within.row(self._pass, self._named(key)) is not None

    def put(self, within: Statements, record: R) -> None:
        """Replace it, or insert it where there is none."""
        values = self._values(record)
        named = self._named([values[name] for name in self._key])
        # Two that insert the same one at the same time: the later breaks a key, and its work is run again.
        if within.run(self._update, {**values, **named}) == 0:
            within.run(self._insert, values)

    def add(self, within: Statements, record: R) -> None:
        """Insert it; breaks the key where there is one."""
        within.run(self._insert, self._values(record))

    def _values(self, record: R) -> dict[str, Any]:
        values = self._rows.values(record)
        for name in self._given:
            del values[name]
        return values

    def _named(self, key: Sequence[Any]) -> dict[str, Any]:
        return {f"key_{name}": value for name, value in zip(self._key, key, strict=True)}


def listing(within: Statements, rows: Rows[R], statement: Executable, **values: Any) -> list[R]:
    """The records that a statement over `rows.columns` finds."""
    return rows.records(within.rows(statement, values))


def first(within: Statements, rows: Rows[R], statement: Executable, **values: Any) -> R | None:
    """The first record that a statement over `rows.columns` finds."""
    row = within.row(statement, values)
    return None if row is None else rows.record(row)
