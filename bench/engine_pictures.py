"""The pictures of `bench.engine`: hard to encode, and with a number that survives it."""

from __future__ import annotations

import numpy as np

from livereactor.media.frames import Pixels

BITS = 16


class Texture:
    """A panning noisy texture with a number as bars in its top eighth."""

    def __init__(self, width: int, height: int) -> None:
        random = np.random.default_rng(7)
        coarse = random.integers(60, 190, (height // 8, width // 4, 3), dtype=np.uint8)
        smooth = np.repeat(np.repeat(coarse, 8, 0), 8, 1)[:height]
        noise = random.integers(0, 24, smooth.shape, dtype=np.uint8)
        self._wide = smooth + noise
        self._width, self._step = width, 0

    def frame(self, number: int) -> Pixels:
        self._step = (self._step + 2) % self._width
        pixels = self._wide[:, self._step : self._step + self._width].copy()
        bar, height = self._width // BITS, pixels.shape[0] // 8
        for bit in range(BITS):
            pixels[:height, bit * bar : (bit + 1) * bar] = 235 if number >> bit & 1 else 20
        return pixels


def number_in(pixels: Pixels) -> int:
    """The number that `Texture.frame` drew."""
    bar, row = pixels.shape[1] // BITS, pixels[pixels.shape[0] // 16]
    return sum(1 << bit for bit in range(BITS) if row[bit * bar + bar // 2].mean() > 128)
