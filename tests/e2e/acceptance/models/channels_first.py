"""A still picture as a network gives it: float, 0 to 1, channels first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import livereactor as lr


def picture() -> np.ndarray:
    """Smooth colours, float32, shape (3, 360, 640), 0 to 1."""
    x, y = np.linspace(0, 1, 640, dtype=np.float32), np.linspace(0, 1, 360, dtype=np.float32)[:, None]
    return np.stack([x + 0 * y, y + 0 * x, 0.5 + 0.5 * np.sin(6 * x * y)]).clip(0, 1)


class ChannelsFirst(lr.Model):
    main_video = lr.VideoOut(width=640, height=360, fps=30)

    def stream(self) -> Iterator[np.ndarray]:
        still = picture()
        while True:
            yield still
