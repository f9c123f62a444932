"""Plants, each a sprite drawn once; near plants first, into a layer in front of the land."""

import math

import cv2
import numpy as np
from land import CELL, MASK, tap
from scene import COLUMNS, FOCAL, HEIGHT, fast

# Metres between plants, rings of plants around the eye, and metres to the first.
PLACE, REACH, NEAREST = 6.0, 36, 8.0
Point = tuple[float, float]
TALL, WIDE = 256, 128  # pixels of a sprite


@fast
def paint_plants(veil, sprite, depth, land, light, grain, haze, scene, eye):
    """Draw plants. `sprite`: sizes of brightness, bark and cover, sharpest first. `veil`: colours and transparency."""
    side, shade = scene.lamp[0] * eye.cosine - scene.lamp[2] * eye.sine, np.zeros((3, 4))
    lights, flats, veil[:, :, :3], veil[:, :, 3] = light[0], light[1], 0.0, 1.0
    for ring in range(1, REACH):
        for n in range(8 * ring):
            edge, k = n // (2 * ring), n % (2 * ring) - ring
            i = math.floor(eye.x / PLACE) + (k if edge == 0 else ring if edge == 1 else -k if edge == 2 else -ring)
            j = math.floor(eye.z / PLACE) + (-ring if edge == 0 else k if edge == 1 else ring if edge == 2 else -k)
            chance = grain[(j + 91) & 255, (i + 37) & 255]
            x, z = (i + chance) * PLACE, (j + grain[(j + 17) & 255, (i + 53) & 255]) * PLACE
            t = (x - eye.x) * eye.sine + (z - eye.z) * eye.cosine
            aside = (x - eye.x) * eye.cosine - (z - eye.z) * eye.sine
            if t < NEAREST or abs(aside) > 0.95 * t:
                continue
            grove, foot = tap(grain, 255, i * 0.11, j * 0.11), tap(land, MASK, x / CELL, z / CELL)
            bare = grain[j & 255, i & 255] > scene.share * (0.2 + 3 * grove * grove)
            if bare or foot < 1.2 or tap(flats, MASK, x / CELL, z / CELL) < 0.75:
                continue
            tall = scene.tall * (0.55 + 0.9 * chance) * min(1.0, (REACH - ring) / 8) * FOCAL / t
            half, level, mirrored = tall / 8, 0, (i ^ j) & 1
            while level < len(sprite) - 1 and (TALL >> level) > tall * 1.5:
                level += 1
            mid, base = COLUMNS / 2 + aside / t * FOCAL / 2, eye.horizon - (foot - eye.y) * FOCAL / t + 1
            fog, near = 1 - math.exp(-((t * scene.fog) ** 3)), min(1.0, (t - NEAREST) / 2)
            sun = tap(lights, MASK, x / CELL, z / CELL) / max(0.25, scene.lamp[1] + 0.25)
            image, top = sprite[level], max(0, math.ceil(base - tall))
            pace = image.shape[0] / tall
            for c in range(max(0, int(mid - half)), min(COLUMNS, int(mid + half) + 1)):
                u = (c + 0.5 - mid) / half
                column = min(image.shape[1] - 1, max(0, int((0.5 + 0.5 * (-u if mirrored else u)) * image.shape[1])))
                for k in range(3):  # leaves, bark and snow in the light here, and the fog in front
                    lit = scene.beam[k] * sun * max(0.0, 0.5 + 0.5 * u * side) + scene.glow[k] * 0.75
                    shade[k, 0], shade[k, 1] = scene.leaf[k] * lit * (1 - fog), (0.1 - 0.022 * k) * lit * (1 - fog)
                    shade[k, 2], shade[k, 3] = 0.7 * lit * (1 - fog), haze[c, k] * fog
                for y in range(top, min(HEIGHT, int(base))):
                    row = int((y + 0.5 - base + tall) * pace)
                    cover = image[row, column, 2] * near * veil[c, y, 3]
                    if cover < 0.01 or depth[c, y] < t:
                        continue
                    bright, bark = image[row, column, 0], image[row, column, 1]
                    white = scene.white * min(1.0, max(0.0, (bright - 0.5) * 3))
                    for k in range(3):
                        tone = (shade[k, 0] + (shade[k, 1] - shade[k, 0]) * bark) * bright
                        veil[c, y, k] += (tone + (shade[k, 2] - tone) * white + shade[k, 3]) * cover
                    veil[c, y, 3] -= cover


def sprites(kind: str, chance: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return a plant in six sizes for `paint_plants`, sharpest first: float32, shape (height, width, 3)."""
    big = np.zeros((TALL * 2, WIDE * 2, 3), np.float32)
    KINDS[kind](big, chance)
    return tuple(cv2.resize(big, (WIDE >> n, TALL >> n), interpolation=cv2.INTER_AREA) for n in range(6))


def stroke(big: np.ndarray, start: Point, end: Point, thick: float, bright: float, bark: float = 0.0) -> None:
    """Draw a straight part of a plant."""
    (x, y), (to_x, to_y) = start, end
    cv2.line(big, (round(x), round(y)), (round(to_x), round(to_y)), (float(bright), bark, 1.0), max(1, round(thick)))


def fir(big: np.ndarray, chance: np.random.Generator) -> None:
    """Draw whorls of drooping branches, longer towards the ground, with bright tips."""
    stroke(big, (128, 508), (128, 30), 9, 0.8, bark=1.0)
    for y in np.linspace(470, 12, 74):
        for aside in (*chance.uniform(-1, 1, 7), -1, 1):
            reach = (y - 6) / 470 * chance.uniform(88, 122)
            droop, bright = reach * 0.42 * (0.4 + 0.6 * abs(aside)), chance.uniform(0.3, 0.65) + 0.35 * abs(aside)
            parts = [(128 + aside * reach * part, y + droop * part**1.5) for part in (0.05, 0.3, 0.5, 0.7, 1.0)]
            for n in range(4):
                stroke(big, parts[n], parts[n + 1], 6 - n, bright * (0.8 + 0.1 * n))


def tree(big: np.ndarray, chance: np.random.Generator) -> None:
    """Draw a forking stem and clumps of leaves, the upper ones in front and brighter."""
    stroke(big, (128, 508), (128, 330), 18, 0.8, bark=1.0)
    for fork in ((128, 250), (70, 260), (190, 250), (100, 160), (160, 170)):
        stroke(big, (128, 380), fork, 8, 0.8, bark=1.0)
    clumps = np.clip(chance.normal((128, 180), (46, 62), (60, 2)), (44, 50), (212, 310))
    for x, y in clumps[np.argsort(chance.normal(-clumps[:, 1], 40))]:
        for turn, away in zip(chance.uniform(0, 2 * math.pi, 34), 34 * np.sqrt(chance.random(34)), strict=True):
            dx, dy = away * math.cos(turn), away * 0.8 * math.sin(turn)
            bright = 0.62 - dy / 110 + (180 - y) / 600 + chance.uniform(-0.12, 0.12)
            cv2.circle(big, (round(x + dx), round(y + dy)), int(chance.integers(4, 9)), (float(bright), 0.0, 1.0), -1)


def palm(big: np.ndarray, chance: np.random.Generator) -> None:
    """Draw a bent stem with rings, and fronds that fall to both sides."""
    stem = [(128 + 26 * math.sin(n / 12), 508 - 17 * n) for n in range(25)]
    for n in range(24):
        stroke(big, stem[n], stem[n + 1], 13 - n * 0.2, 0.8 + 0.3 * (n % 2), bark=1.0)
    for angle in (*np.linspace(-2.9, -0.2, 9), *np.linspace(-3.3, 0.15, 6)):
        x, y = stem[-1]
        for part in np.linspace(0, 0.93, 14):
            way = angle + part**1.4 * 1.9 * math.cos(angle)
            for leaf in (way - 0.9, way + 0.9):
                long = 26 * math.sin(0.25 + part * 2.6)
                tip = x + long * math.cos(leaf), y + 3 + 0.8 * abs(long * math.sin(leaf))
                stroke(big, (x, y), tip, 3, chance.uniform(0.5, 1.0))
            x, y = x + 8.6 * math.cos(way), y + 8.6 * math.sin(way)


def cactus(big: np.ndarray, chance: np.random.Generator) -> None:
    """Draw a stem with two arms, bright along their middle."""
    limbs = [((128, 508), (128, 150)), ((128, 380), (60, 360)), ((60, 360), (60, 250))]
    limbs += [((128, 330), (196, 310)), ((196, 310), (196, 190))]
    for thick, bright in ((40, 0.5), (30, 0.75), (12, 1.0), (3, 0.6)):
        for n, limb in enumerate(limbs):
            stroke(big, *limb, thick * (0.75 if n else 1), bright)


KINDS = {"fir": fir, "tree": tree, "palm": palm, "cactus": cactus}
