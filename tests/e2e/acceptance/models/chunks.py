"""A model that makes 16 frames every 700 ms, as video diffusion does."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from conformance import Pattern  # pyright: ignore[reportMissingImports]: the tests put examples/ on the path

import livereactor as lr

CHUNK, SECONDS = 16, 0.7


class Chunks(lr.Model):
    main_video = lr.VideoOut(width=640, height=360, fps=30)

    def load(self) -> None:
        self.pattern = Pattern(640, 360)
        self.counter = 0

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            began = time.monotonic()
            frames = []
            for _ in range(CHUNK):
                self.counter += 1
                frames.append(self.pattern.frame(self.counter, None))
            time.sleep(max(0.0, SECONDS - (time.monotonic() - began)))
            yield np.stack(frames)
