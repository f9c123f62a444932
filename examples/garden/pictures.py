"""Drawings of the fully grown organisms, and blends of two of them."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from automaton import SIDE, SPECIES

SHEET, FOOT = 40, 35  # units of a drawing each way, and the row of the soil
FINE = 8  # pixels per unit
Colour = tuple[int, int, int]


class Drawing:
    """Strokes on a sheet, in units: x to the right, y down, (0, 0) at the centre on the soil."""

    def __init__(self) -> None:
        self.pixels = np.zeros((SHEET * FINE, SHEET * FINE, 4), np.uint8)  # premultiplied RGBA

    def blob(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0) -> None:
        """Draw a filled ellipse; `turn` in degrees, clockwise."""
        axes = (round(rx * FINE * 16), round(ry * FINE * 16))
        cv2.ellipse(self.pixels, self._at(x, y), axes, turn, 0, 360, (*colour, 255), -1, cv2.LINE_AA, shift=4)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Draw a filled polygon."""
        corners = np.array([self._at(*point) for point in points], np.int32)
        cv2.fillPoly(self.pixels, [corners], (*colour, 255), cv2.LINE_AA, shift=4)

    def line(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        """Draw a stroke with round ends."""
        corners = np.array([self._at(*point) for point in points], np.int32)
        cv2.polylines(self.pixels, [corners], False, (*colour, 255), round(width * FINE), cv2.LINE_AA, shift=4)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round((SHEET / 2 + x) * FINE * 16), round((FOOT + y) * FINE * 16)


def flower(on: Drawing) -> None:
    on.line([(0, -1), (0.6, -7), (0, -14)], 2.4, (52, 122, 58))
    on.blob(-5, -6.5, 5.2, 2.4, (84, 164, 70), 28)
    on.blob(5.2, -8, 5.2, 2.4, (62, 138, 62), -28)
    for n in range(6):
        turn = np.radians(60 * n + 30)
        x, y = 6.4 * np.cos(turn), 6.4 * np.sin(turn) - 21
        on.blob(x, y, 5.3, 3.9, ((240, 112, 160), (252, 152, 188))[n % 2], 60 * n + 30)
    for n in range(6):
        turn = np.radians(60 * n + 30)
        on.blob(4 * np.cos(turn), 4 * np.sin(turn) - 21, 2.6, 1.2, (206, 58, 118), 60 * n + 30)
    on.blob(0, -21, 3.6, 3.6, (250, 206, 66))
    on.blob(0.7, -20.3, 2, 2, (226, 150, 40))


def mushroom(on: Drawing) -> None:
    on.shape([(-3.6, -15), (3.6, -15), (4.8, -2), (3.4, 0), (-3.4, 0), (-4.8, -2)], (244, 226, 196))
    on.shape([(1, -15), (3.6, -15), (4.8, -2), (3.4, 0), (1.4, 0)], (212, 184, 148))
    on.blob(0, -14.5, 12.6, 3.6, (156, 108, 92))
    angles = np.radians(np.linspace(180, 360, 24))
    dome = [(14 * np.cos(a), -14.6 + 15 * np.sin(a)) for a in angles]
    on.shape([*dome, (10, -13), (0, -14.2), (-10, -13)], (206, 44, 42))
    lit = [(-1.5 + 11.3 * np.cos(a), -17.6 + 11 * np.sin(a)) for a in angles]
    on.shape([*lit, (6, -17), (-2, -16.4), (-9.6, -17)], (232, 74, 58))
    for x, y, r in ((-6.2, -20.6, 2.5), (2.2, -24, 2.7), (8, -18.4, 2), (0.4, -17.6, 1.9), (-10.6, -16.2, 1.4)):
        on.blob(x, y, r, r * 0.86, (255, 246, 232))


def butterfly(on: Drawing) -> None:
    for side in (-1, 1):
        on.line([(0.6 * side, -21), (2.2 * side, -26), (4.6 * side, -28.4)], 0.9, (44, 34, 58))
        on.blob(6.8 * side, -9.2, 6.6, 6.2, (40, 40, 92), 30 * side)
        on.blob(8.4 * side, -19, 8.2, 6.6, (34, 40, 104), -32 * side)
        on.blob(6.5 * side, -9.4, 5, 4.7, (244, 158, 52), 30 * side)
        on.blob(8.1 * side, -18.8, 6.6, 5, (62, 130, 236), -32 * side)
        on.blob(6.2 * side, -17.2, 3.6, 2.7, (116, 196, 250), -32 * side)
        on.blob(7.4 * side, -8.6, 1.9, 1.8, (120, 44, 40))
        on.blob(11.4 * side, -21.4, 1.6, 1.5, (244, 246, 255))
    on.blob(0, -14, 1.9, 9, (58, 42, 62))
    on.blob(0, -22, 2.3, 2.2, (76, 56, 78))


def snail(on: Drawing) -> None:
    on.shape(
        [(-14, 0), (-10, -3.4), (6, -4.4), (8.6, -12), (12.4, -12.6), (13.4, -8), (11, -1.2), (8, 0)], (206, 178, 92)
    )
    on.shape([(-14, 0), (-8, -1.7), (9, -1.8), (8, 0)], (158, 128, 64))
    for x, tip in ((9.2, 7.8), (11.8, 13.2)):
        on.line([(x, -11), (tip, -17.6)], 1.3, (206, 178, 92))
        on.blob(tip, -18, 1.3, 1.3, (60, 46, 40))
    on.blob(11, -11, 2.7, 2.7, (218, 192, 106))
    on.blob(-2.6, -12, 10.8, 10.4, (84, 44, 104))
    on.blob(-2.8, -12.3, 9.1, 8.7, (160, 98, 178))
    on.blob(-2, -11.4, 6.5, 6.1, (84, 44, 104))
    on.blob(-2.3, -11.7, 4.6, 4.3, (206, 148, 210))
    on.blob(-1.8, -11.2, 2, 1.9, (84, 44, 104))


DRAWN = dict(zip(SPECIES, (flower, mushroom, butterfly, snail), strict=True))


@dataclass(frozen=True)
class Shape:
    """A drawing prepared for blending: signed distance to the edge (inside is +), and a colour for every pixel."""

    depth: np.ndarray  # float32, shape (SHEET * FINE, SHEET * FINE), in pixels
    colour: np.ndarray  # float32, shape (SHEET * FINE, SHEET * FINE, 3), 0 to 1


@cache
def shape_of(species: str) -> Shape:
    drawing = Drawing()
    DRAWN[species](drawing)
    solid = (drawing.pixels[..., 3] > 250).astype(np.uint8)
    outside, owner = cv2.distanceTransformWithLabels(1 - solid, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    owner = np.asarray(owner, np.intp)  # each pixel's nearest solid one
    colours = np.zeros((owner.max() + 1, 3), np.float32)
    colours[owner[solid > 0]] = drawing.pixels[solid > 0, :3] / np.float32(255)
    return Shape(inside - outside, colours[owner])


@cache
def picture(species: str, other: str, blend: float) -> np.ndarray:
    """Return a grown organism, or a blend of two, with its edge and colour between theirs.

    Returns:
        float32, shape (SIDE, SIDE, 4): premultiplied RGBA, 0 to 1.
    """
    a, b = shape_of(species), shape_of(other)
    opaque = np.clip(0.5 + a.depth * (1 - blend) + b.depth * blend, 0, 1)[..., None]
    colour = a.colour * (1 - blend) + b.colour * blend
    return cv2.resize(np.dstack([colour * opaque, opaque]), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
