"""Workers, visitors and their queues as they are in a cell, and what is noted of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Worker:
    """A process with one slot, as it is."""

    worker: str
    model: str
    node: int
    number: int = 0  # of its last beat
    session: str | None = None
    fence: int = 0
    is_dead: bool = False


@dataclass(slots=True)
class Visit:
    """One person and his session."""

    model: str
    came: float
    length: float
    patience: float
    served: float | None = None


@dataclass(slots=True)
class Queue:
    """Who waits for a model, and whether they were told lately that it moved (as `wakes.Wakes` does it)."""

    waiting: int = 0
    is_paused: bool = False
    moved: bool = False


@dataclass
class Figures:
    """What came of it. Seconds."""

    waits: list[float] = field(default_factory=list[float])
    samples: list[tuple[float, int, int, int]] = field(default_factory=list[tuple[float, int, int, int]])
    tally: Counter[str] = field(default_factory=Counter[str])
