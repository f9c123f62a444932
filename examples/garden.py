"""A garden in the wind, where something grows wherever it is touched. `livereactor run examples/garden.py`"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np
from annotated_types import Interval

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]
Season = Literal["spring", "summer", "autumn"]


class Planted(lr.Message):
    plants: int


class Garden(lr.Model):
    """A garden in the wind. Touch it, and something grows there."""

    main_video = lr.VideoOut(width=640, height=360, fps=30)
    wind: float = lr.param(0.3, ge=0, le=1, description="From still air to a storm.")
    season: Season = lr.param("spring", description="What colours it has.")

    def load(self) -> None:
        self.bed = Bed(360, 640)

    def open(self, session: lr.Session) -> None:
        self.bed.clear()

    @lr.command
    def plant(self, x: Unit, y: Unit) -> Planted:
        """Let something grow."""
        return Planted(plants=self.bed.plant(x, y))

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            yield self.bed.step(self.wind, self.season)


@dataclass
class Plant:
    """A flower: where it stands (pixels), how tall and wide it gets, its kind, and how grown it is, 0 to 1."""

    x: float
    y: float
    tall: float
    bloom: float
    kind: int
    grown: float = 0.0


# Per season: sky above, sky below, grass, stems, and the colours of the flowers.
COLOURS: dict[Season, tuple[tuple[int, int, int], ...]] = {
    "spring": ((126, 184, 232), (222, 238, 236), (104, 158, 72), (58, 112, 48), (244, 150, 178), (250, 222, 110),
               (246, 246, 250), (178, 140, 224)),
    "summer": ((70, 148, 226), (248, 226, 176), (86, 142, 50), (44, 96, 40), (226, 62, 62), (252, 176, 36),
               (240, 92, 150), (92, 112, 216)),
    "autumn": ((150, 160, 184), (238, 196, 148), (148, 128, 58), (96, 84, 44), (188, 70, 38), (222, 142, 42),
               (146, 52, 78), (236, 214, 170)),
}  # fmt: skip


class Bed:
    """Plants between a sky and a meadow, the near ones in front."""

    MOST, HORIZON, PARTS = 60, 0.45, 8  # plants at once, oldest first to go; of the height; pieces of a stem
    FLOWERS = 4  # in the colours, the last ones

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.along = np.linspace(0, 1, self.PARTS + 1)
        self.grounds = {season: self.ground(season) for season in COLOURS}
        self.clear()

    def clear(self) -> None:
        """The same eight plants for everybody."""
        self.chance, self.time = np.random.default_rng(11), 0.0
        self.plants: deque[Plant] = deque(maxlen=self.MOST)
        for x in np.linspace(0.08, 0.92, 8):
            self.plant(x + self.chance.uniform(-0.04, 0.04), self.chance.uniform(0.6, 0.95))

    def plant(self, x: float, y: float) -> int:
        """Let something grow at (x, y), both in 0..1; how many there are now."""
        near = max(0.0, (y - self.HORIZON) / (1 - self.HORIZON))
        size, kind = self.chance.uniform(0.75, 1.25) * (0.35 + near), int(self.chance.integers(self.FLOWERS))
        foot = self.height * max(y, self.HORIZON + 0.03)
        self.plants.append(Plant(x * self.width, foot, 92 * size, 15 * size, kind))
        return len(self.plants)

    def step(self, wind: float, season: Season) -> np.ndarray:
        """A thirtieth of a second later: uint8, shape (height, width, 3), RGB."""
        self.time += 1 / 30
        picture = self.grounds[season].copy()
        for plant in sorted(self.plants, key=lambda each: each.y):
            plant.grown = min(1.0, plant.grown + 1 / 40)
            self.draw(picture, plant, wind, season)
        return picture

    def draw(self, picture: np.ndarray, plant: Plant, wind: float, season: Season) -> None:
        """A stem that gusts bend, two leaves, and a flower that opens once the stem stands."""
        gust = np.sin(1.7 * self.time - plant.x / 90) + 0.6 * np.sin(4.3 * self.time + plant.x / 35)
        tall = plant.tall * plant.grown
        bend = tall * (0.05 * gust + wind * (0.45 + 0.3 * gust))
        stem = np.stack([plant.x + bend * self.along**2, plant.y - tall * self.along], axis=1)
        green, colour = COLOURS[season][3], COLOURS[season][-1 - plant.kind]
        thick = max(1, round(plant.bloom / 6))
        cv2.polylines(picture, [np.round(stem * 16).astype(np.int32)], False, green, thick, cv2.LINE_AA, shift=4)
        for part, side in ((2, -1), (4, 1)):
            (x, y), length = stem[part], plant.bloom * plant.grown
            ellipse(picture, (x + side * length * 0.8, y - length * 0.3), (length, length * 0.3), side * -24, green)
        opened = plant.bloom * np.clip(2.5 * plant.grown - 1.5, 0, 1)
        if opened > 0.5:
            flower(picture, stem[-1], float(opened), colour, petals=5 + plant.kind, turn=4 * float(gust))

    def ground(self, season: Season) -> np.ndarray:
        """Sky and meadow: uint8, shape (height, width, 3), RGB."""
        above, below, grass, *_ = (np.array(each, float) for each in COLOURS[season])
        chance, line = np.random.default_rng(5), round(self.height * self.HORIZON)
        down = np.linspace(0, 1, self.height)[:, None, None]
        sky = above + (below - above) * np.clip(down / self.HORIZON, 0, 1)
        shade = 0.8 + 0.35 * (down - self.HORIZON)
        blades = cv2.GaussianBlur(chance.normal(0, 1, (self.height, self.width)), (1, 9), 0)[..., None]
        meadow = grass * shade + 34 * blades
        rows = np.arange(self.height)[:, None, None]
        hills = line + 9 * np.sin(np.arange(self.width) / 97)[None, :, None]
        return np.clip(np.where(rows > hills, meadow, sky), 0, 255).astype(np.uint8)


def flower(
    picture: np.ndarray, at: np.ndarray, size: float, colour: tuple[int, ...], *, petals: int, turn: float
) -> None:
    """Petals around a heart; `turn` in degrees."""
    dark = tuple(round(0.82 * part) for part in colour)
    for n in range(petals):
        angle = 360 * n / petals + turn
        away = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * size * 0.6
        ellipse(picture, tuple(at + away), (size * 0.62, size * 0.34), angle, colour if n % 2 else dark)
    ellipse(picture, tuple(at), (size * 0.32, size * 0.32), 0, (250, 214, 92))


def ellipse(
    picture: np.ndarray, at: tuple[float, ...], axes: tuple[float, float], angle: float, colour: tuple[int, ...]
) -> None:
    """A filled one, to a sixteenth of a pixel, so that what moves slowly does not jump."""
    centre = (round(at[0] * 16), round(at[1] * 16))
    sizes = (max(8, round(axes[0] * 16)), max(8, round(axes[1] * 16)))
    cv2.ellipse(picture, centre, sizes, angle, 0, 360, colour, -1, cv2.LINE_AA, shift=4)
