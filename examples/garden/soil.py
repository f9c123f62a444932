"""Draws the garden bed: soil, light, and the organisms from their cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from automaton import SIDE
from numba import njit

HORIZON = 0.36  # where the bed begins, as a share of the height
FOOT = 28  # the row of a plot that stands on the soil
SUN = 128  # full light in the map of light and shadow


@dataclass(frozen=True, eq=False)
class Place:
    """Position of an organism: its foot in pixels, and the pixels per cell."""

    x: float
    y: float
    scale: float

    def cell(self, x: float, y: float) -> tuple[float, float]:
        """Return the row and column of the plot at a pixel; they may lie outside."""
        return FOOT + (y - self.y) / self.scale, SIDE / 2 + (x - self.x) / self.scale


class Scene:
    """Draws the bed. Everything that never changes is painted once."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.ground = paint_ground(width, height)
        # Cubic interpolation makes edges soft; this makes them one pixel wide again: opacity to opacity.
        opacity = np.arange(256) / 255
        wanted = np.clip((opacity - 0.3) / 0.4, 0, 1)
        self.gain = np.divide(wanted, opacity, out=np.zeros(256), where=opacity > 0).astype(np.float32)

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a point whose coordinates are 0 to 1."""
        return x * self.width, y * self.height

    def place(self, x: float, y: float) -> Place:
        """Return the place of a seed sown at a point, both 0 to 1: within the bed, and larger if nearer (lower)."""
        y = np.clip(y, HORIZON + 0.06, 0.97)
        near = (y - HORIZON) / (1 - HORIZON)
        return Place(x * self.width, y * self.height, 2.2 + 2.8 * near)

    def draw(self, plots: np.ndarray, places: Sequence[Place], yours: Place | None, time: float) -> np.ndarray:
        """Draw the picture.

        Args:
            plots: float32, shape (n, SIDE, SIDE, CHANNELS).
            places: the places of the plots, in the same order.
            yours: the place with light around its foot.
            time: seconds; moves the wind.

        Returns:
            uint8, shape (height, width, 3), RGB.
        """
        sprites = lit(plots)
        leans = [0.04 * np.sin(1.3 * time + at.x / 70) + 0.02 * np.sin(3.1 * time + at.x / 23) for at in places]
        light = self.light(sprites[..., 3], places, leans, yours)
        picture = cv2.multiply(self.ground, cv2.merge([light] * 3), scale=1 / SUN)
        for n in sorted(range(len(places)), key=lambda each: places[each].y):
            place, side = places[n], round(SIDE * places[n].scale)
            drawn = cv2.resize(sprites[n], (side, side), interpolation=cv2.INTER_CUBIC)
            lay(picture, drawn, place.x - side / 2, round(place.y - FOOT * place.scale), leans[n], self.gain)
        return picture

    def light(
        self, opacity: np.ndarray, places: Sequence[Place], leans: Sequence[float], yours: Place | None
    ) -> np.ndarray:
        """Return sun, shadows and the glow around `yours`: uint8, shape (height, width); SUN = unchanged ground."""
        half = np.full((self.height // 2, self.width // 2), SUN, np.uint8)
        if yours is not None:
            middle, axes = (round(yours.x * 8), round(yours.y * 8)), (round(yours.scale * 120), round(yours.scale * 36))
            cv2.ellipse(half, middle, axes, 0, 0, 360, 200, -1, cv2.LINE_AA, shift=4)
        for cells, place, lean in zip(opacity, places, leans, strict=True):
            # The sun is behind on the left: a shadow falls to the front and right, and is shorter than its organism.
            scale = place.scale / 2
            wide, high = int(SIDE * scale * 1.7), int(SIDE * scale * 0.5)
            flat = np.array([[1, -0.55 - lean, (0.55 + lean) * FOOT], [0, -0.42, 0.42 * FOOT]]) * scale
            shadow = cv2.warpAffine(cells, flat, (wide, high), flags=cv2.INTER_LINEAR)
            darken(half, shadow, round(place.x / 2 - SIDE * scale / 2), round(place.y / 2))
        soft = cv2.GaussianBlur(half, (0, 0), 2)
        return cv2.resize(soft, (self.width, self.height), interpolation=cv2.INTER_LINEAR)


def lit(plots: np.ndarray) -> np.ndarray:
    """Return the cells' colours, lit from above left: uint8, shape (n, SIDE, SIDE, 4), premultiplied RGBA."""
    opacity = np.ascontiguousarray(plots[..., 3])
    if len(plots):
        cv2.GaussianBlur(opacity.reshape(-1, SIDE), (0, 0), 1.6, opacity.reshape(-1, SIDE))
    return shaded(plots, opacity)


@njit(cache=True, fastmath=True)
def shaded(plots: np.ndarray, bulge: np.ndarray) -> np.ndarray:
    """Brighter where `bulge`, shape (n, SIDE, SIDE), rises away from the light."""
    drawn = np.zeros((*plots.shape[:3], 4), np.uint8)
    for n in range(plots.shape[0]):
        for y in range(1, SIDE - 1):
            for x in range(1, SIDE - 1):
                slope = bulge[n, y + 1, x] - bulge[n, y - 1, x] + bulge[n, y, x + 1] - bulge[n, y, x - 1]
                opacity = min(max(plots[n, y, x, 3], 0), 1)
                for c in range(3):
                    colour = plots[n, y, x, c] * (1.04 + 0.34 * slope)
                    drawn[n, y, x, c] = int(255 * min(max(colour, 0), opacity))
                drawn[n, y, x, 3] = int(255 * opacity)
    return drawn


@njit(cache=True, fastmath=True)
def lay(picture: np.ndarray, drawn: np.ndarray, left: float, top: int, lean: float, gain: np.ndarray) -> None:
    """Put premultiplied RGBA upon a picture, leaning to the right from its foot upwards; what is outside is cut off."""
    side = drawn.shape[0]
    for y in range(max(0, -top), min(side, picture.shape[0] - top)):
        start = left + lean * (side * FOOT / SIDE - y)
        first = int(np.floor(start))
        late = start - first  # of a pixel: what moves slowly must not jump
        for x in range(max(1, -first), min(side, picture.shape[1] - first)):
            opacity = drawn[y, x, 3] * (1 - late) + drawn[y, x - 1, 3] * late
            factor = gain[int(opacity)]
            if factor > 0:
                through = 1 - factor * opacity / 255
                for c in range(3):
                    colour = drawn[y, x, c] * (1 - late) + drawn[y, x - 1, c] * late
                    mixed = picture[top + y, first + x, c] * through + colour * factor
                    picture[top + y, first + x, c] = min(255, int(mixed + 0.5))


@njit(cache=True)
def darken(light: np.ndarray, shadow: np.ndarray, left: int, top: int) -> None:
    """Remove up to half of the light where a shadow falls."""
    for y in range(max(0, -top), min(shadow.shape[0], light.shape[0] - top)):
        for x in range(max(0, -left), min(shadow.shape[1], light.shape[1] - left)):
            light[top + y, left + x] -= light[top + y, left + x] * shadow[y, x] // 520


def paint_ground(width: int, height: int) -> np.ndarray:
    """Paint soil in front of a blurred hedge: uint8, shape (height, width, 3), RGB."""
    chance, line = np.random.default_rng(5), round(height * HORIZON)
    picture = np.vstack([paint_hedge(width, line, chance), paint_soil(width, height - line, chance)])
    for n in range(520):  # grass where the bed begins, darker when nearer
        x, y = chance.uniform(0, width), line + 5 * n / 520
        tip = (x + chance.normal(0, 4), y - chance.uniform(5, 15))
        blade = np.round(np.array([(x, y + 2), ((x + tip[0]) / 2 + chance.normal(), y - 5), tip]) * 16).astype(np.int32)
        colour = np.array([78, 118, 58]) * chance.uniform(0.55, 1.25) * (1.1 - 0.3 * n / 520)
        cv2.polylines(picture, [blade], False, colour.tolist(), 1, cv2.LINE_AA, shift=4)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    sun = np.exp(-(((columns - 0.12 * width) / (0.7 * width)) ** 2) - ((rows + 0.1 * height) / (0.85 * height)) ** 2)
    edge = ((columns / width - 0.5) ** 2 + (rows / height - 0.5) ** 2)[..., None]
    picture = picture * (1.08 - 0.8 * edge) + sun[..., None] * np.array([80, 70, 36], np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def paint_hedge(width: int, height: int, chance: np.random.Generator) -> np.ndarray:
    """Paint leaves, far out of focus: uint8, shape (height, width, 3), RGB."""
    hedge = np.full((height + 20, width, 3), (30, 54, 42), np.uint8)
    greens = np.array([(52, 92, 54), (78, 124, 62), (40, 74, 58), (112, 150, 74), (182, 196, 108)])
    for n in range(300):
        middle = (int(chance.integers(width)), int(chance.integers(height + 20)))
        colour = greens[min(4, int(chance.integers(5) * (0.55 + n / 600)))] * chance.uniform(0.7, 1.05)
        cv2.circle(hedge, middle, int(chance.uniform(4, 15)), colour.tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(hedge, (0, 0), 4)[:height]


def paint_soil(width: int, height: int, chance: np.random.Generator) -> np.ndarray:
    """Paint clods and moss, smaller in the distance: uint8, shape (height, width, 3), RGB."""
    heap, moss = np.zeros((512, 512), np.float32), chance.normal(0, 1, (512, 512)).astype(np.float32)
    for size, weight in ((9, 0.8), (4, 1.0), (1.8, 0.6), (0.8, 0.3)):
        noise = cv2.GaussianBlur(chance.normal(0, 1, heap.shape).astype(np.float32), (0, 0), size)
        heap += weight * np.abs(noise / noise.std())  # folded: clods with creases between them, not dunes
    moss = cv2.GaussianBlur(moss, (0, 0), 16)
    moss /= moss.std()
    tall = 4 * height  # extra rows against aliasing in the distance
    down, along = np.mgrid[:tall, :width].astype(np.float32)
    far = 1 / (0.35 + 0.65 * down / tall)
    at = np.mod(256 + (along - width / 2) * far, 512), np.mod(520 * far, 512)
    stretched = (cv2.remap(each, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP) for each in (heap, moss))
    clods, mossy = (cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in stretched)
    slope = cv2.Sobel(clods, cv2.CV_32F, 0, 1) + 0.6 * cv2.Sobel(clods, cv2.CV_32F, 1, 0)
    depth = np.linspace(0, 1, height)[:, None, None]
    colour = np.array([124, 96, 70]) * (1 - depth) + np.array([104, 74, 52]) * depth
    green = np.clip(0.6 * mossy - 0.5 + 0.15 * clods, 0, 0.6)[..., None]
    colour = colour * (1 - green) + np.array([92, 112, 54]) * green
    tone = 0.8 + 0.09 * clods - 0.05 * slope
    return np.clip(colour * np.clip(tone, 0.5, 1.6)[..., None], 0, 255).astype(np.uint8)
