"""A place to walk in. Parameters and commands take effect on the very next frame."""

from collections.abc import Iterator

import numpy as np

import livereactor as lr


class NewModel(lr.Model):
    """An endless chequered plain. Walk and turn with the sliders."""

    main_video = lr.VideoOut(width=640, height=360, fps=30)
    forward: float = lr.param(0.3, ge=-1, le=1, description="Walking speed; forwards is positive.")
    turn: float = lr.param(0.0, ge=-1, le=1, description="Turning speed; right is positive.")

    def open(self, session: lr.Session) -> None:
        self.x = self.y = self.angle = 0.0

    @lr.command
    def home(self) -> None:
        """Go back to the start."""
        self.x = self.y = self.angle = 0.0

    def stream(self) -> Iterator[np.ndarray]:
        rows, columns = np.mgrid[1:181, -320:320].astype(np.float32)
        distance = 180 / rows
        while True:
            self.angle += self.turn / 20
            sine, cosine = np.sin(self.angle), np.cos(self.angle)
            self.x, self.y = self.x + self.forward * sine / 8, self.y + self.forward * cosine / 8
            sideways = columns / 320 * distance
            world_x = self.x + distance * sine + sideways * cosine
            world_y = self.y + distance * cosine - sideways * sine
            squares = (np.floor(world_x) + np.floor(world_y)) % 2
            shade = (60 + 140 * squares) / (1 + distance / 8)
            picture = np.empty((360, 640, 3), np.uint8)
            picture[:180] = np.linspace((30, 60, 120), (150, 180, 210), 180)[:, None]
            picture[180:] = shade[..., None] * (0.6, 0.9, 0.7)
            yield picture
