"""Sixteen frames at a time, like video diffusion. Yield a chunk, and its frames play evenly."""

import time
from collections.abc import Iterator

import numpy as np

import livereactor as lr

CHUNK = 16


class ChunkComplete(lr.Message):
    """A chunk is ready; sent with each one."""

    index: int


class NewModel(lr.Model):
    """A turning shape, rendered sixteen frames at a time. Changes show with the next chunk."""

    main_video = lr.VideoOut(width=640, height=360, fps=None)  # plays at the rate at which the model produces frames
    sides: int = lr.param(5, ge=3, le=12, description="Number of corners.")

    def load(self) -> None:
        self.progress(0.5, "building the grid")
        y, x = np.mgrid[-1:1:360j, -1.78:1.78:640j].astype(np.float32)
        self.radius, self.direction = np.hypot(x, y), np.arctan2(y, x)

    def stream(self) -> Iterator[np.ndarray]:
        index = 0
        while True:
            started = time.monotonic()
            chunk = np.stack([self.draw((index * CHUNK + step) / 40) for step in range(CHUNK)])
            time.sleep(max(0.0, 0.7 - (time.monotonic() - started)))  # stands in for a neural network
            self.send(ChunkComplete(index=index))
            yield chunk
            index += 1

    def draw(self, angle: float) -> np.ndarray:
        wedge = (self.direction + angle) % (2 * np.pi / self.sides) - np.pi / self.sides
        edge = 0.6 * np.cos(np.pi / self.sides) / np.cos(wedge)
        glow = np.exp(-6 * np.abs(self.radius - edge))
        return (glow[..., None] * (255, 190, 120)).astype(np.uint8)
