"""Rows into records and back, by the records' own fields. Pure.

A record's fields are its table's columns; enums are kept as their values, mappings and tuples as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, get_origin, get_type_hints

from sqlalchemy import Column, Table

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
        """The record of a row of `columns`."""
        values = list(row)
        for index, read in self._readers:
            values[index] = read(values[index])
        return self._record(*values)

    def records(self, rows: Iterable[Sequence[Any]]) -> list[R]:
        """Read many rows as records."""
        return [self.record(row) for row in rows]
