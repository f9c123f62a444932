"""A model at 24 frames a second whose steps take anything up to 30 ms."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import numpy as np
from conformance import Pattern  # pyright: ignore[reportMissingImports]: the tests put examples/ on the path

import livereactor as lr


class Pinned(lr.Model):
    main_video = lr.VideoOut(width=640, height=360, fps=24)

    def stream(self) -> Iterator[np.ndarray]:
        pattern, draw, counter = Pattern(640, 360), random.Random(24), 0
        while True:
            counter += 1
            time.sleep(draw.uniform(0.0, 0.03))
            yield pattern.frame(counter, None)
