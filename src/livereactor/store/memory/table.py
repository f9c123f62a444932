"""Records by key in memory, with what they are looked up by, written so that it can be undone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
Undo: TypeAlias = list[Callable[[], None]]


class Table(Generic[K, R]):
    """Records by key, and by each index their keys; an index that gives None for a record leaves it out."""

    def __init__(self, undo: Undo, **indexes: Callable[[R], Hashable | None]) -> None:
        self.rows: dict[K, R] = {}
        self._undo = undo
        self._indexes = indexes
        self._keys: dict[tuple[str, Hashable], dict[K, None]] = {}

    def put(self, key: K, row: R | None) -> None:
        """Insert, replace, or (None) delete."""
        before = self.rows.get(key)
        self._undo.append(lambda: self._set(key, before))
        self._set(key, row)

    def by(self, index: str, value: Hashable) -> list[R]:
        """The records for which the index gives this value."""
        return [self.rows[key] for key in self._keys.get((index, value), ())]

    def count(self, index: str, value: Hashable) -> int:
        return len(self._keys.get((index, value), ()))

    def _set(self, key: K, row: R | None) -> None:
        before = self.rows.pop(key, None) if row is None else self.rows.get(key)
        if row is not None:
            self.rows[key] = row
        for name, of in self._indexes.items():
            old = None if before is None else of(before)
            new = None if row is None else of(row)
            if old == new:
                continue
            if old is not None:
                self._leave((name, old), key)
            if new is not None:
                self._keys.setdefault((name, new), {})[key] = None

    def _leave(self, bucket: tuple[str, Hashable], key: K) -> None:
        del self._keys[bucket][key]
        if not self._keys[bucket]:
            del self._keys[bucket]
