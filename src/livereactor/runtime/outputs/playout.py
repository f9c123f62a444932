"""The time at which each Frame of a chunk leaves. Pure: `now` comes in, nothing waits.

A chunk of N plays at the smaller of the track's fps and N / step time, its first Frame at once where the one before it
left an interval ago or more. A single Frame leaves at once. Nothing is dropped and nothing overtakes; a queue that has
no room says so and the model is not asked for more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, Generic, TypeVar

from livereactor.base.limits import Limits

T = TypeVar("T")

FASTEST: Final = 1 / 240  # seconds; a chunk that cost no time still does not leave as one burst
DELAYED_FPS: Final = 60.0  # a track without fps: room for what a delay holds
REMEMBERED_STEPS: Final = 3
ALIKE: Final = 1.25  # steps within this factor are one pace with jitter; beyond it the pace has changed


@dataclass(frozen=True, slots=True)
class _Queued(Generic[T]):
    item: T
    pushed_at: float
    at_once: bool  # a single Frame with no chunk before it: spacing would only delay it


class Playout(Generic[T]):
    """The queue between a model's step and the encoder of one video track.

    Args:
        fps: Frames a second at most; None = the model's own rate.
        limit: Frames that may wait; one whole chunk always may.
        delay: seconds that every Frame waits more, so that its sound, which is slower on its way, is heard with it.
    """

    def __init__(self, fps: float | None, *, limit: int = Limits().output_queue, delay: float = 0.0) -> None:
        self._fps = fps
        self._delay = delay
        self._limit = limit + ceil(delay * (fps or DELAYED_FPS))
        self._queue: deque[_Queued[T]] = deque()
        self._paces: deque[float] = deque(maxlen=REMEMBERED_STEPS)  # step seconds per Frame of the last chunks
        self._chunk = 1
        self._free_at = float("-inf")  # when the last Frame left, for the spacing of the next
        self._spaced = False  # the last Frame was part of a chunk

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, items: Sequence[T], *, step_seconds: float, now: float) -> None:
        """Queue what one step gave, in order; callers ask `has_capacity` before the step."""
        if len(items) > 1:
            self._paces.append(step_seconds / len(items))
        at_once = len(items) == 1 and (not self._queue or self._queue[-1].at_once)
        self._chunk = max(1, len(items))
        self._queue.extend(_Queued(item, now + self._delay, at_once) for item in items)

    def due(self, now: float) -> list[tuple[T, float]]:
        """Take what should have left by `now`, in order, each with the moment it was due."""
        left = list[tuple[T, float]]()
        while (at := self.deadline()) is not None and at <= now:
            head = self._queue.popleft()
            self._free_at, self._spaced = at, not head.at_once
            left.append((head.item, at))
        return left

    def deadline(self) -> float | None:
        """Return the time at which the next Frame leaves; None while the queue is empty."""
        if not self._queue:
            return None
        head = self._queue[0]
        if head.at_once or not self._spaced:
            return max(head.pushed_at, self._free_at)
        return max(head.pushed_at, self._free_at + self.interval)

    @property
    def interval(self) -> float:
        """Seconds between the Frames of a chunk."""
        own = FASTEST if self._fps is None else 1 / self._fps
        if not self._paces:
            return own
        # The slowest of the last few alike steps, not the mean: a chunk that comes a little later than the mean would
        # show as a gap, one that comes earlier is held by the queue.
        latest = self._paces[-1]
        return max(own, *(pace for pace in self._paces if pace <= latest * ALIKE))

    def has_capacity(self, *, in_work: int = 0) -> bool:
        """Whether the model may make its next step, with `in_work` Frames taken but not sent yet."""
        return len(self._queue) + in_work < max(self._limit, self._chunk)

    def set_fps(self, fps: float | None) -> None:
        """Re-pace at once, what is queued included."""
        self._fps = fps

    def flush(self) -> int:
        """Drop what is queued; returns how many that were."""
        count = len(self._queue)
        self._queue.clear()
        return count
