"""The conformance model with a picture that is hard to encode: it takes whatever rate it is given, unlike the other."""

from __future__ import annotations

import numpy as np
from conformance import HEIGHT, PERIOD, WIDTH, Conformance, Pattern  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

GRAINS = 7
GRAIN = 4  # pixels


class Textured(Conformance):
    name = "conformance"

    def load(self) -> None:
        super().load()
        self.pattern = Texture(WIDTH, HEIGHT)


class Texture(Pattern):
    """The pattern under grain that is another one in each frame, so that no frame foretells the next."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._grained = [self._with_grain(seed) for seed in range(GRAINS)]

    def frame(self, counter: int, color: tuple[int, int, int] | None) -> NDArray[np.uint8]:
        self._wide = self._grained[counter % GRAINS]
        return super().frame(counter, color)

    def _with_grain(self, seed: int) -> NDArray[np.uint8]:
        height, width = self._wide.shape[:2]
        coarse = np.random.default_rng(seed).integers(-24, 25, (height // GRAIN + 1, PERIOD // GRAIN, 1))
        fine = coarse.repeat(GRAIN, axis=0).repeat(GRAIN, axis=1)[:height]
        return np.clip(self._wide + np.tile(fine, (1, width // PERIOD + 1, 1))[:, :width], 0, 255).astype(np.uint8)
