"""Durations of each stage of a frame's and of a command's way. Pure: durations are passed in.

One thread adds to a `Timing`, any may read it: there is no lock on the way of a frame, nothing is allocated there and
nothing grows. A reader on another thread may see one duration more or less.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final


class StageName(StrEnum):
    """The stages, in the order in which a Command and a Frame go through them."""

    COMMAND_WAIT = "command_wait"  # from a Command's arrival until the model's thread takes it
    COMMANDS = "commands"  # its handler
    COMMAND_REPLY = "command_reply"  # from the handler's end until the outcome is on the channel
    INPUT_WAIT = "input_wait"  # the model waits for an input Frame
    STEP = "step"  # the model makes a Frame, or a chunk: without waits and Commands
    QUEUE = "queue"  # from the model's hand-over until the encoder takes the Frame; a chunk's wait for their turn
    CONVERT = "convert"  # colours
    ENCODE = "encode"
    SEND = "send"  # handed to the engine, for all viewers
    NETWORK = "network"  # half a round trip
    JITTER_BUFFER = "jitter_buffer"  # in the client, as it reports: a Frame's packets wait for each other
    DECODE = "decode"  # likewise


_FINE: Final = 3  # bits behind the first that count: steps of 1/8 to 1/16, so a figure is off by 6 % at most
_PARTS: Final = 1 << _FINE
_TOP_BITS: Final = 27  # 134 s; what takes longer counts as that
_CELLS: Final = (_TOP_BITS - _FINE + 1) * _PARTS
_MOST_US: Final = (1 << _TOP_BITS) - 1


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage so far. `track` None: of no track; percentiles are right to 6 %."""

    stage: StageName
    track: str | None
    count: int
    total_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Timing:
    """A histogram of the durations of one stage, 1 µs to 134 s, in cells of growing width."""

    __slots__ = ("_cells", "_longest_us", "_total_us")

    def __init__(self) -> None:
        self._cells = [0] * _CELLS
        self._total_us = self._longest_us = 0

    def add(self, seconds: float, count: int = 1) -> None:
        """Add a duration `count` times, on the one thread that adds. A negative duration counts as 0."""
        us = int(seconds * 1e6)
        if us < 0:
            us = 0
        elif us > _MOST_US:
            us = _MOST_US
        more = us.bit_length() - _FINE - 1
        self._cells[us if more < 0 else (more << _FINE) + (us >> more)] += count
        self._total_us += us * count
        if us > self._longest_us:
            self._longest_us = us

    def figures(self, stage: StageName, track: str | None) -> StageFigures | None:
        """Return the figures of the stage, or None where nothing was added. Any thread may call it."""
        cells, longest_us = list(self._cells), self._longest_us
        if not (count := sum(cells)):
            return None
        p50, p95, p99 = (min(_at(cells, count, share), longest_us) / 1e3 for share in (0.5, 0.95, 0.99))
        return StageFigures(stage, track, count, self._total_us / 1e3, p50, p95, p99, longest_us / 1e3)


class Timings:
    """The stages of one Session. Bounded by the stages there are and the tracks a model declares."""

    def __init__(self) -> None:
        self._making = threading.Lock()  # for a stage's first time, never for a duration
        self._timings: dict[tuple[StageName, str | None], Timing] = {}

    def of(self, stage: StageName, track: str | None = None) -> Timing:
        """Return the histogram of a stage; one thread may add to it."""
        with self._making:
            return self._timings.setdefault((stage, track), Timing())

    def figures(self) -> list[StageFigures]:
        """Return the figures of all stages that took place, in their order."""
        with self._making:
            timings = dict(self._timings)
        found = (timing.figures(*key) for key, timing in timings.items())
        return in_order(each for each in found if each is not None)


def in_order(figures: Iterable[StageFigures]) -> list[StageFigures]:
    """Return the figures in the order in which commands and frames pass the stages; tracks of a stage by name."""
    order = list(StageName)
    return sorted(figures, key=lambda each: (order.index(each.stage), each.track or ""))


def _at(cells: list[int], count: int, share: float) -> float:
    """Return the quantile `share` of the durations in microseconds: the middle of the cell that it falls into."""
    index = bisect_left(list(accumulate(cells)), share * count)
    if index < 2 * _PARTS:
        return index
    more = (index >> _FINE) - 1
    low = (index - (more << _FINE)) << more
    return low + (1 << more) / 2
