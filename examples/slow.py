"""A strange attractor that yields sixteen frames at a time. Each chunk plays evenly while the next one is computed.

`livereactor run examples/slow.py`. The model is slow on purpose, like video diffusion: computing a chunk takes most of
the half second that it plays. Messages report the progress, and your changes show with the next chunk.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]
Shape = Literal["shell", "orchid", "veil", "wing", "mask"]
Colours = Literal["ember", "lagoon", "orchard", "ghost"]
WIDTH, HEIGHT, CHUNK = 640, 360, 16
TINTS, SHADES = 64, 256  # of the colour palette

# A point jumps from x, y to sin(a y) + b cos(c x), sin(d x) + e cos(f y), again and again. With these a to f it never
# settles.
SHAPES = {
    "shell": (1.7, 0.6, 1.7, 1.7, 1.2, 1.7),
    "orchid": (1.5, 1.6, 1.5, -1.8, 0.9, -1.8),
    "veil": (1.4, -1.0, -2.3, 2.4, -1.0, -2.1),
    "wing": (-2.0, -1.0, -2.0, -1.2, -1.0, 2.0),
    "mask": (0.97, -1.0, -1.9, 1.38, -1.0, -1.5),
}
# Light that came from the left, from the right, and from everywhere at once: red, green, blue.
COLOURS = {
    "ember": ((255, 70, 40), (120, 70, 255), (255, 235, 190)),
    "lagoon": ((30, 120, 255), (20, 230, 170), (230, 255, 255)),
    "orchard": ((255, 80, 140), (255, 180, 50), (255, 250, 225)),
    "ghost": ((110, 140, 190), (200, 185, 200), (255, 255, 255)),
}


class Rendering(lr.Message):
    """Progress of a chunk, 0 to 1."""

    chunk: int
    done: float


class Bent(lr.Message):
    """The first chunk that shows the change."""

    chunk: int


class Slow(lr.Model):
    """A strange attractor, rendered sixteen frames at a time. Touch it to bend it."""

    main_video = lr.VideoOut(width=WIDTH, height=HEIGHT, fps=30)
    shape: Shape = lr.param("orchid", description="Shape of the attractor.")
    colours: Colours = lr.param("ember", description="Colour palette.")
    speed: float = lr.param(0.4, ge=0, le=1, description="How fast the shape drifts by itself.")

    def open(self, session: lr.Session) -> None:
        self.attractor, self.chunk, self.bend_x, self.bend_y = Attractor("orchid", "ember"), 0, 0.0, 0.0

    @lr.command
    def bend(self, x: Unit, y: Unit) -> Bent:
        """Bend the shape. Touch the centre to straighten it."""
        self.bend_x, self.bend_y = x - 0.5, y - 0.5
        return Bent(chunk=self.chunk)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            frames = np.empty((CHUNK, HEIGHT, WIDTH, 3), np.uint8)
            # Parameters are read once per chunk: a change shows from the first frame of the next one.
            bent = np.array([0.6 * self.bend_x, 0, 0.4 * self.bend_x, 0.6 * self.bend_y, 0, 0.4 * self.bend_y])
            target, colours, speed = SHAPES[self.shape] + bent, COLOURS[self.colours], self.speed
            for frame in range(CHUNK):
                frames[frame] = self.attractor.step(target, colours, speed)
                if frame % 4 == 3:
                    self.send(Rendering(chunk=self.chunk, done=(frame + 1) / CHUNK))
            self.chunk += 1
            yield frames


class Attractor:
    """Thousands of jumping points, and the light that they leave where they land."""

    POINTS, JUMPS, LOST = 12_000, 80, 10  # jumps of each in a frame; first jumps, which are not drawn
    FADING = 0.7  # share of the light left a frame later

    def __init__(self, shape: Shape, colours: Colours) -> None:
        # Every frame starts from these points, so that only the attractor moves and the points never merge into one.
        self.first = np.random.default_rng(4).uniform(-1, 1, (2, self.POINTS)).astype(np.float32)
        self.landed = np.empty((self.JUMPS, self.POINTS), np.int32)
        self.came = np.empty((self.JUMPS, self.POINTS), np.float32)  # x before the jump
        self.light, self.side = np.zeros((2, HEIGHT * WIDTH), np.float32)  # x before the jump, weighted by the light
        self.numbers, self.colours, self.time = np.array(SHAPES[shape]), np.array(COLOURS[colours], float), 0.0

    def step(self, target: np.ndarray, colours: tuple[tuple[int, int, int], ...], speed: float) -> np.ndarray:
        """Move a little towards the target and return the frame: uint8, shape (HEIGHT, WIDTH, 3), RGB."""
        self.numbers += 0.07 * (target - self.numbers)
        self.colours += 0.1 * (colours - self.colours)
        self.time += speed / 30
        drift = 0.13 * np.sin(self.time * np.array([0.7, 0.5, 0.9, 0.6, 0.8, 1.0]) + np.arange(6))
        self.jump(*(self.numbers + drift).astype(np.float32))
        return self.seen()

    def jump(self, a: float, b: float, c: float, d: float, e: float, f: float) -> None:
        """Let all points jump, and add their light."""
        x, y = self.first
        width, height = np.float32(0.47 * WIDTH / (1 + abs(b))), np.float32(0.46 * HEIGHT / (1 + abs(e)))
        for jump in range(-self.LOST, self.JUMPS):
            self.came[jump] = x
            x, y = np.sin(a * y) + b * np.cos(c * x), np.sin(d * x) + e * np.cos(f * y)
            row, column = (y * height + HEIGHT / 2).astype(np.int32), (x * width + WIDTH / 2).astype(np.int32)
            self.landed[jump] = row * WIDTH + column
        for light, share in ((self.light, None), (self.side, self.came.ravel())):
            light *= self.FADING
            light += np.bincount(self.landed.ravel(), share, HEIGHT * WIDTH)

    def seen(self) -> np.ndarray:
        """The light as a picture: the logarithm of it, since some places get a thousand times as much as others."""
        usual = self.POINTS * self.JUMPS / (1 - self.FADING) / self.light.size
        bright = np.minimum(np.log(1 + self.light * (3 / usual)) * (SHADES / np.log(60)), SHADES - 1)
        side = (0.5 + 0.499 * np.tanh(1.5 * self.side / (self.light + 1e-6))) * TINTS
        shade = side.astype(np.int32) * SHADES + bright.astype(np.int32)
        return palette(*self.colours)[shade].reshape(HEIGHT, WIDTH, 3)


def palette(left: np.ndarray, right: np.ndarray, dense: np.ndarray) -> np.ndarray:
    """Return the colours from dark to bright for each tint from left to right: uint8, shape (TINTS * SHADES, 3)."""
    side, bright = np.mgrid[0 : 1 : TINTS * 1j, 0 : 1 : SHADES * 1j].reshape(2, -1, 1)
    tint = left + side * (right - left)
    return np.clip((6, 7, 14) + bright * tint + bright**3 * (dense - 0.6 * tint), 0, 255).astype(np.uint8)
