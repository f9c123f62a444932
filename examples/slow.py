"""A strange attractor, sixteen frames at a time: yield the chunk, and it plays out evenly while the next one is made.

`livereactor run examples/slow.py`. It is slow on purpose, as video diffusion is: making a chunk takes most of the half
second that it plays. Meanwhile messages tell how far it is, and what you change shows with the next chunk.
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
TINTS, SHADES = 64, 256  # of the picture's colours

# A point jumps from x, y to sin(a y) + b cos(c x), sin(d x) + e cos(f y), for ever: some a to f where it never settles.
SHAPES = {
    "shell": (1.7, 0.6, 1.7, 1.7, 1.2, 1.7),
    "orchid": (1.5, 1.6, 1.5, -1.8, 0.9, -1.8),
    "veil": (1.4, -1.0, -2.3, 2.4, -1.0, -2.1),
    "wing": (-2.0, -1.0, -2.0, -1.2, -1.0, 2.0),
    "mask": (0.97, -1.0, -1.9, 1.38, -1.0, -1.5),
}
# Of light that came from the left, from the right, and from everywhere at once: red, green, blue.
COLOURS = {
    "ember": ((255, 70, 40), (120, 70, 255), (255, 235, 190)),
    "lagoon": ((30, 120, 255), (20, 230, 170), (230, 255, 255)),
    "orchard": ((255, 80, 140), (255, 180, 50), (255, 250, 225)),
    "ghost": ((110, 140, 190), (200, 185, 200), (255, 255, 255)),
}


class Rendering(lr.Message):
    """How much of a chunk is made, 0 to 1."""

    chunk: int
    done: float


class Bent(lr.Message):
    """The first chunk that shows it."""

    chunk: int


class Slow(lr.Model):
    """A strange attractor, made sixteen frames at a time. Touch it to bend it."""

    main_video = lr.VideoOut(width=WIDTH, height=HEIGHT, fps=30)
    shape: Shape = lr.param("orchid")
    colours: Colours = lr.param("ember")
    speed: float = lr.param(0.4, ge=0, le=1, description="How fast it changes by itself.")

    def open(self, session: lr.Session) -> None:
        self.attractor, self.chunk, self.bend_x, self.bend_y = Attractor("orchid", "ember"), 0, 0.0, 0.0

    @lr.command
    def bend(self, x: Unit, y: Unit) -> Bent:
        """Bend it by touch; in the middle it is as it was."""
        self.bend_x, self.bend_y = x - 0.5, y - 0.5
        return Bent(chunk=self.chunk)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            frames = np.empty((CHUNK, HEIGHT, WIDTH, 3), np.uint8)
            # What a chunk is made from is read once, before it: a change shows from the next one's first frame on.
            bent = np.array([0.6 * self.bend_x, 0, 0.4 * self.bend_x, 0.6 * self.bend_y, 0, 0.4 * self.bend_y])
            target, colours, speed = SHAPES[self.shape] + bent, COLOURS[self.colours], self.speed
            for frame in range(CHUNK):
                frames[frame] = self.attractor.step(target, colours, speed)
                if frame % 4 == 3:
                    self.send(Rendering(chunk=self.chunk, done=(frame + 1) / CHUNK))
            self.chunk += 1
            yield frames


class Attractor:
    """Thousands of points that jump, and the light that they leave where they land."""

    POINTS, JUMPS, LOST = 12_000, 80, 10  # at once; of each in a frame; before those, until all are on the attractor
    FADING = 0.7  # what is left of the light a frame later

    def __init__(self, shape: Shape, colours: Colours) -> None:
        # Every frame begins with these again: then nothing moves but the attractor, and the points never end up as one.
        self.first = np.random.default_rng(4).uniform(-1, 1, (2, self.POINTS)).astype(np.float32)
        self.landed = np.empty((self.JUMPS, self.POINTS), np.int32)
        self.came = np.empty((self.JUMPS, self.POINTS), np.float32)  # from where, in x
        self.light, self.side = np.zeros((2, HEIGHT * WIDTH), np.float32)  # and where it came from, times the light
        self.numbers, self.colours, self.time = np.array(SHAPES[shape]), np.array(COLOURS[colours], float), 0.0

    def step(self, target: np.ndarray, colours: tuple[tuple[int, int, int], ...], speed: float) -> np.ndarray:
        """The next frame, a little nearer to what it is to be: uint8, shape (HEIGHT, WIDTH, 3), RGB."""
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
    """The colours from dark to bright, for each tint between left and right: uint8, shape (TINTS * SHADES, 3)."""
    side, bright = np.mgrid[0 : 1 : TINTS * 1j, 0 : 1 : SHADES * 1j].reshape(2, -1, 1)
    tint = left + side * (right - left)
    return np.clip((6, 7, 14) + bright * tint + bright**3 * (dense - 0.6 * tint), 0, 255).astype(np.uint8)
