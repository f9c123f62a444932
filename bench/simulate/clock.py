"""Virtual time: what is to happen, in order; and a database that takes its time. Deterministic."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, TypeVar

from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Tx

T = TypeVar("T")
EPOCH_US = 1_700_000_000_000_000


class Clock:
    """Seconds from 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self._todo: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def at(self, time: float, do: Callable[[], object]) -> None:
        """Do it then; what is due at the same time is done in the order in which it was said."""
        heapq.heappush(self._todo, (max(time, self.now), next(self._order), do))

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Do it so much later."""
        self.at(self.now + seconds, do)

    def run(self, until: float) -> None:
        """Let it pass."""
        while self._todo and self._todo[0][0] <= until:
            self.now, _, do = heapq.heappop(self._todo)
            do()
        self.now = until


class _Counted:
    """A transaction whose calls are counted: each is a statement and a way to the database and back."""

    def __init__(self, tx: Tx) -> None:
        self._tx, self.calls = tx, 0

    def __getattr__(self, name: str) -> Any:
        self.calls += 1
        return getattr(self._tx, name)


class Database:
    """The real decisions on the store in memory, one after another at the pace of a measured database.

    Args:
        pace: calls of a transaction a second, of all coordinators together.

    Attributes:
        pace: as given.
        calls: by what was decided; `beats` and `looks` are counted where they change nothing, and not carried out.
        waited: seconds from asking to the answer, of each decision.
    """

    def __init__(self, clock: Clock, options: CoordinatorOptions, *, pace: float) -> None:
        self._clock, self._options, self.pace = clock, options, pace
        self._store = MemoryStore()
        self._waiting: deque[tuple[float, str, Callable[..., Any], dict[str, Any], Callable[..., object]]] = deque()
        self._is_busy = False
        self._free_at = 0.0  # when all that was asked until now is done
        self.calls: Counter[str] = Counter()
        self.decided: Counter[str] = Counter()
        self.waited: list[float] = []

    def decide(self, what: str, decision: Callable[..., Any], then: Callable[..., object], **named: Any) -> None:
        """Take a decision once it is its turn; `then` gets its result and its effects."""
        self._waiting.append((self._clock.now, what, decision, named, then))
        if not self._is_busy:
            self._next()

    def charge(self, what: str, calls: int, *, count: int) -> None:
        """So often something was asked of it, of so many calls each, that changes nothing."""
        self.calls[what] += calls * count
        self.decided[what] += count
        self._busy_for(calls * count)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Look, at no cost: for what the simulator itself wants to know."""
        return self._store.run(work)

    def now_us(self) -> int:
        """Its clock."""
        return EPOCH_US + round(self._clock.now * 1e6)

    def _next(self) -> None:
        if not self._waiting:
            self._is_busy = False
            return
        self._is_busy = True
        asked, what, decision, named, then = self._waiting.popleft()

        def work(tx: Tx) -> tuple[Any, list[Effect], int]:
            counted: Any = _Counted(tx)
            result, effects = decision(counted, self.now_us(), self._options, **named)
            return result, effects, counted.calls

        result, effects, calls = self._store.run(work)
        self.calls[what] += calls
        self.decided[what] += 1

        def done() -> None:
            self.waited.append(self._clock.now - asked)
            then(result, effects)
            self._next()

        self._clock.at(self._busy_for(calls), done)

    def _busy_for(self, calls: int) -> float:
        """When these are done."""
        self._free_at = max(self._free_at, self._clock.now) + calls / self.pace
        return self._free_at
