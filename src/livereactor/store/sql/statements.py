"""Statements in one transaction, made ready once; their rows become records and back.

SQLAlchemy writes the SQL, the database's driver runs it: a statement costs 42 µs through SQLAlchemy and 3.4 µs by
SQLite's driver (measured), and a decision is a dozen of them, all on the one thread that writes.

A record's fields are its table's columns; enums are kept as their values, mappings and tuples as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, get_origin, get_type_hints

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Dialect,
    Executable,
    Table,
    bindparam,
    false,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Executor(Protocol):
    """Runs statements on one connection, in a transaction that has begun.

    Errors of the database are raised as SQLAlchemy's `DBAPIError`.
    """

    @property
    def dialect(self) -> Dialect: ...

    def rows(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Run it with these values, by name: all rows that it finds."""
        ...

    def changed(self, statement: Executable, values: Mapping[str, Any]) -> int:
        """Run it for its effect: how many rows it changed."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """SQL as the driver takes it.

    Attributes:
        constants: values that are the statement's own.
        order: names of its values in order.
    """

    sql: str
    constants: Mapping[str, Any]
    order: tuple[str, ...]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        named = {**self.constants, **values} if self.constants else values
        return [named[name] for name in self.order]


@lru_cache(maxsize=512)
def prepared(statement: Executable, names: tuple[str, ...], dialect: Dialect) -> Prepared:
    """Statements are known by identity: each is made once, as a constant or by a function that remembers it."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    given = set(names)
    constants = {name: value for name, value in compiled.params.items() if name not in given}
    assert compiled.positiontup is not None, "both drivers take values by their place"
    return Prepared(str(compiled), constants, tuple(compiled.positiontup))


if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")
_LONG: Final = 1024  # characters
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode  # ASCII: NUL and lone surrogates survive


def _tuple(text: str) -> tuple[Any, ...]:
    return tuple(json.loads(text))


def _dump_mapping(value: Mapping[str, Any]) -> str:
    return _dumps(dict(value)) if value else "{}"


def _load_mapping(text: str) -> Mapping[str, Any]:
    if text == "{}":
        return {}
    return _loaded(text) if len(text) > _LONG else json.loads(text)


@lru_cache(maxsize=64)
def _loaded(text: str) -> Mapping[str, Any]:
    """Long ones are what models say of themselves: read by every decision, and seldom another."""
    return json.loads(text)


def _converters(kind: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]] | None:
    """Return the functions that write and read a field of this type; None = as it is."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return attrgetter("value"), kind
    if kind is bool:
        return bool, bool
    if get_origin(kind) is tuple:
        return _dumps, _tuple
    if get_origin(kind) is not None and issubclass(get_origin(kind) or object, Mapping):
        return _dump_mapping, _load_mapping
    return None


class Rows(Generic[R]):
    """The rows of one table as records of one class.

    Attributes:
        columns: of the table, in the order of the record's fields: what `record` takes.
    """

    def __init__(self, record: type[R], table: Table) -> None:
        self.table = table
        self.names = tuple(field.name for field in fields(record))
        self.columns: tuple[Column[Any], ...] = tuple(table.c[name] for name in self.names)
        self._record = record
        hints = get_type_hints(record)
        pairs = [(index, _converters(hints[name])) for index, name in enumerate(self.names)]
        self._writers = [(self.names[index], pair[0]) for index, pair in pairs if pair is not None]
        self._readers = [(index, pair[1]) for index, pair in pairs if pair is not None]
        self._get = attrgetter(*self.names)

    def values(self, record: R) -> dict[str, Any]:
        """Return the values to write for a record, by column."""
        values = dict(zip(self.names, self._get(record), strict=True))
        for name, write in self._writers:
            values[name] = write(values[name])
        return values

    def record(self, row: Sequence[Any]) -> R:
        """Return the record of a row of `columns`."""
        values = list(row)
        for index, read in self._readers:
            values[index] = read(values[index])
        return self._record(*values)

    def records(self, rows: Iterable[Sequence[Any]]) -> list[R]:
        """Read many rows as records."""
        return [self.record(row) for row in rows]


def param(name: str) -> BindParameter[Any]:
    """Return the parameter for a value that a prepared statement gets when it runs."""
    return bindparam(name)


def one_of(column: Column[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that the column has one of these constant values; without values no row fits."""
    return or_(false(), *(column == value for value in values))


class Statements:
    """Runs prepared statements in one transaction.

    Args:
        locking: False in a `read`, which takes no locks.

    Attributes:
        executor: of this transaction.
        may_begin_anew: the work is run again where it raises `LostRaceError`.
    """

    may_begin_anew = False

    def __init__(self, executor: Executor, *, locking: bool) -> None:
        self.locking = locking
        self.postgres = executor.dialect.name == "postgresql"
        self.executor = executor

    def row(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Return the first row, or None."""
        rows = self.executor.rows(statement, values)
        return rows[0] if rows else None

    def scalar(self, statement: Executable, values: Mapping[str, Any]) -> Any:
        """Return the first column of the first row, or None without rows."""
        row = self.row(statement, values)
        return None if row is None else row[0]


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
        """Return the record with this key, or None."""
        statement = self._get
        if within.locking and (lock or shared):
            statement = self._lock if lock else self._share
        row = within.row(statement, self._named(key))
        return None if row is None else self._rows.record(row)

    def is_unheld(self, within: Statements, *key: Any) -> bool:
        """Lock the record with this key unless another transaction holds it; return whether it is locked now."""
        return within.row(self._pass, self._named(key)) is not None

    def put(self, within: Statements, record: R) -> None:
        """Replace the record with the same key, or insert it."""
        values = self._values(record)
        named = self._named([values[name] for name in self._key])
        # Two that insert the same one at the same time: the later breaks a key, and its work is run again.
        if within.executor.changed(self._update, {**values, **named}) == 0:
            within.executor.changed(self._insert, values)

    def add(self, within: Statements, record: R) -> None:
        """Insert the record; the database refuses a second one with the same key."""
        within.executor.changed(self._insert, self._values(record))

    def _values(self, record: R) -> dict[str, Any]:
        values = self._rows.values(record)
        for name in self._given:
            del values[name]
        return values

    def _named(self, key: Sequence[Any]) -> dict[str, Any]:
        return {f"key_{name}": value for name, value in zip(self._key, key, strict=True)}


def listing(within: Statements, rows: Rows[R], statement: Executable, **values: Any) -> list[R]:
    """Return the records that a statement over `rows.columns` finds."""
    return rows.records(within.executor.rows(statement, values))


def first(within: Statements, rows: Rows[R], statement: Executable, **values: Any) -> R | None:
    """Return the first record that a statement over `rows.columns` finds, or None."""
    row = within.row(statement, values)
    return None if row is None else rows.record(row)
