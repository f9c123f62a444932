"""Rain on a pond: a whole model in 15 lines, and the water it needs below. `livereactor run examples/pond.py`"""

from collections.abc import Iterator
from typing import Annotated

import cv2
import numpy as np
from annotated_types import Interval

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]


class Dropped(lr.Message):
    x: float
    y: float


class Pond(lr.Model):
    """Rain on a pond. Touch the water to make waves."""

    main_video = lr.VideoOut(width=640, height=360, fps=30)
    rain: float = lr.param(0.2, ge=0, le=1, description="Drops per frame.")

    def load(self) -> None:
        self.water = Water(360, 640)

    def open(self, session: lr.Session) -> None:
        self.water.calm()

    @lr.command
    def drop(self, x: Unit, y: Unit, strength: float = 1.0) -> Dropped:
        """Let a drop fall."""
        self.water.poke(x, y, strength)
        return Dropped(x=x, y=y)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            yield self.water.step(self.rain)


class Water:
    """A sheet of water over pebbles: the wave equation on a grid of half the picture's size, seen from above."""

    SPEED, CALMING = 0.46, 0.994  # of a wave, in cells a step (above 0.5 it explodes); what is left of it a step later
    DEPTH = 26.0  # how far a slope shifts what lies below, in pixels

    def __init__(self, height: int, width: int) -> None:
        self.shape = (height // 2, width // 2)
        self.floor = pebbles(height, width)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.rows, self.columns = rows, columns
        self.sun = np.clip(1.12 - 0.34 * rows / height - 0.1 * columns / width, 0, None)
        self.calm()

    def calm(self) -> None:
        """Still water, and the same rain for everybody."""
        self.now, self.before = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        self.chance = np.random.default_rng(7)
        for _ in range(3):
            self.poke(*self.chance.random(2), strength=1.5)

    def poke(self, x: float, y: float, strength: float = 1.0) -> None:
        """Press the surface down around (x, y), both in 0..1."""
        height, width = self.shape
        rows, columns = np.ogrid[0:height, 0:width]
        distance = (rows - y * height) ** 2 + (columns - x * width) ** 2
        self.now -= (strength * np.exp(-distance / 32)).astype(np.float32)

    def step(self, rain: float) -> np.ndarray:
        """Let it rain, move the waves on, and look: uint8, shape (height, width, 3), RGB."""
        for _ in range(self.chance.poisson(rain)):
            self.poke(*self.chance.random(2), strength=self.chance.uniform(0.3, 0.9))
        for _ in range(2):
            pull = cv2.Laplacian(self.now, cv2.CV_32F, borderType=cv2.BORDER_REFLECT)
            ahead = (2 * self.now - self.before + self.SPEED * pull) * self.CALMING
            self.before, self.now = self.now, ahead
        return self.look()

    def look(self) -> np.ndarray:
        """Refraction shifts the pebbles, crests gather light below them, slopes towards the sun glint."""
        surface = cv2.GaussianBlur(self.now, (5, 5), 0)
        slope_x, slope_y = (cv2.Sobel(surface, cv2.CV_32F, *axis, scale=0.07) for axis in ((1, 0), (0, 1)))
        focus = np.clip(cv2.Laplacian(surface, cv2.CV_32F, scale=-1.8), -0.35, 0.9)
        glint = np.clip(-(slope_x + 1.4 * slope_y) * 5.5 - 0.12, 0, 1) ** 2 * 190
        slope_x, slope_y, focus, glint = (self.drawn_up(each) for each in (slope_x, slope_y, focus, glint))
        seen_at = self.columns + self.DEPTH * slope_x, self.rows + self.DEPTH * slope_y
        below = cv2.remap(self.floor, *seen_at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        light, shine = cv2.convertScaleAbs(self.sun + focus, alpha=128), cv2.convertScaleAbs(glint)
        return cv2.add(cv2.multiply(below, cv2.merge([light] * 3), scale=1 / 128), cv2.merge([shine] * 3))

    def drawn_up(self, field: np.ndarray) -> np.ndarray:
        """A field of the grid at the size of the picture."""
        return cv2.resize(field, self.floor.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def pebbles(height: int, width: int) -> np.ndarray:
    """A floor of rounded stones under green water: uint8, shape (height, width, 3), RGB."""
    chance = np.random.default_rng(3)
    seeds = np.full((height, width), 255, np.uint8)
    seeds[chance.integers(height, size=300), chance.integers(width, size=300)] = 0
    _, owner = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    stones = np.array([(88, 128, 120), (66, 108, 112), (116, 142, 126), (78, 100, 94), (128, 148, 138), (60, 92, 100)])
    colours = stones[chance.integers(len(stones), size=301)] * chance.uniform(0.85, 1.1, (301, 1))
    inside = (cv2.Laplacian(owner.astype(np.float32), cv2.CV_32F) == 0).astype(np.uint8)
    shoulder = np.sqrt(np.clip(cv2.distanceTransform(inside, cv2.DIST_L2, 5) / 9, 0, 1))[..., None]
    grain = cv2.GaussianBlur(chance.normal(0, 10, (height, width)), (0, 0), 1.2)[..., None]
    picture = cv2.GaussianBlur(colours[np.asarray(owner, np.intp)] * (0.3 + 0.7 * shoulder) + grain, (0, 0), 1.1)
    return np.clip(picture, 0, 255).astype(np.uint8)
