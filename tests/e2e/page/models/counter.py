"""A model whose every picture has its number on it, in sixteen cells across: what a clip shows can be counted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import livereactor as lr


class Counter(lr.Model):
    """It counts its pictures."""

    main_video = lr.VideoOut(width=320, height=180, fps=30)
    shade: float = lr.param(0.0, ge=0, le=1, description="How light the rest is.")
    word: str = lr.param("", max_length=20)

    def stream(self) -> Iterator[np.ndarray]:
        number = 0
        while True:
            number += 1
            picture = np.full((180, 320, 3), round(60 + 60 * self.shade), np.uint8)
            bits = np.array([(number >> bit) & 1 for bit in range(16)], np.uint8)
            picture[:60] = (bits.repeat(20) * 219 + 16)[None, :, None]
            yield picture
