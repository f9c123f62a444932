"""A model whose step takes half a second, and that keeps when its steps and its handlers ran."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

import livereactor as lr

STEP = 0.5  # seconds


class Ran(lr.Message):
    handler_at: float
    steps: list[list[float]]


class SlowStep(lr.Model):
    main_video = lr.VideoOut(width=320, height=180, fps=30)

    def open(self, session: lr.Session) -> None:
        self.steps: list[list[float]] = []

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            began = time.monotonic()
            time.sleep(STEP)
            self.steps.append([began, time.monotonic()])
            yield np.full((180, 320, 3), 90, np.uint8)

    @lr.command
    def look(self) -> Ran:
        return Ran(handler_at=time.monotonic(), steps=self.steps[-8:])

    @lr.command
    def steps_so_far(self) -> Ran:
        return Ran(handler_at=0.0, steps=self.steps[-8:])
