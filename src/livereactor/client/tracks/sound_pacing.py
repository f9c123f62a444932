"""Pushed samples as blocks of 10 ms, each at its time. Pure: `now` comes in, nothing waits.

Sound that is pushed as it is captured leaves at once. What comes in larger pieces, a whole spoken sentence say, leaves
in real time: a receiver that got it at once would throw most of it away.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from livereactor.media.frames import Samples, Sound

BLOCKS: Final = 100  # a second
LEAD: Final = 0.040  # seconds that may leave ahead of time: the jitter of a live source passes without delay
MAX_QUEUED: Final = 60.0  # seconds; what is pushed beyond is lost


class SoundPacer:
    """What was pushed into one Track and has not left yet."""

    def __init__(self) -> None:
        self._blocks: deque[Sound] = deque()
        self._rest: Samples = np.empty((0, 1), np.int16)  # less than a block; waits for the next push
        self._rate = 0
        self._sent_until = float("-inf")  # when what has left would have played, had it all left in real time

    @property
    def seconds(self) -> float:
        """Sound that waits."""
        return len(self._blocks) / BLOCKS

    def push(self, sound: Sound) -> int:
        """Queue sound; how many blocks of it were lost because too much waits. A change of format drops the rest."""
        if sound.rate != self._rate or sound.samples.shape[1] != self._rest.shape[1]:
            self._rate, self._rest = sound.rate, sound.samples[:0]
        samples = np.concatenate([self._rest, sound.samples])
        size = sound.rate // BLOCKS
        whole = len(samples) // size
        self._rest = samples[whole * size :]
        room = min(whole, round(MAX_QUEUED * BLOCKS) - len(self._blocks))
        self._blocks.extend(Sound(samples[n * size : (n + 1) * size], sound.rate) for n in range(room))
        return whole - room

    def deadline(self) -> float | None:
        """When `due` has something; None while nothing waits."""
        return self._sent_until - LEAD if self._blocks else None

    def due(self, now: float) -> list[Sound]:
        """The blocks that leave now, in order."""
        due = list[Sound]()
        while (at := self.deadline()) is not None and at <= now:
            due.append(self._blocks.popleft())
            self._sent_until = max(self._sent_until, now) + 1 / BLOCKS
        return due
