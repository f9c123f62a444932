"""Waves of colour. Change anything and save: `livereactor dev` reloads the model."""

from collections.abc import Iterator

import numpy as np

import livereactor as lr


class NewModel(lr.Model):
    """Drifting waves of colour. The slider sets their speed."""

    main_video = lr.VideoOut(width=640, height=360, fps=30)
    speed: float = lr.param(1.0, ge=0, le=5, description="Speed of the waves.")

    def open(self, session: lr.Session) -> None:
        self.time = 0.0

    @lr.command
    def jump(self) -> None:
        """Skip ahead."""
        self.time += 3.0

    def stream(self) -> Iterator[np.ndarray]:
        y, x = np.mgrid[0:1:360j, 0:1:640j].astype(np.float32)
        while True:
            self.time += self.speed / 30
            wave = np.sin(9 * x + 2 * self.time) + np.sin(7 * y - self.time)
            picture = np.stack([wave + shift for shift in (0.0, 0.7, 1.4)], axis=-1)
            yield ((np.sin(picture) + 1) * 127).astype(np.uint8)
