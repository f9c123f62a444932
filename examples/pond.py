"""A complete model in one class, `Pond`. The water that it draws is below it. `livereactor run examples/pond.py`"""

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
    rain: float = lr.param(0.2, ge=0, le=1, description="Raindrops per frame.")
    wind: float = lr.param(0.25, ge=0, le=1, description="Wind, from still air to a breeze.")
    light: float = lr.param(0.4, ge=0, le=1, description="Time of day, from dawn over noon to dusk.")

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
            yield self.water.step(self.rain, self.wind, self.light)


# Sun and sky at dawn, noon and dusk. The fourth value is for speed: OpenCV moves pixels of four bytes faster.
DAY = np.array([[(0.72, 0.42, 0.30, 0), (0.40, 0.42, 0.58, 0)], [(1.08, 1.02, 0.90, 0), (0.52, 0.66, 0.76, 0)],
                [(0.74, 0.32, 0.20, 0), (0.36, 0.30, 0.52, 0)]])  # fmt: skip
STONES = np.array([(206, 168, 114), (170, 114, 88), (104, 114, 130), (216, 206, 188), (128, 136, 106), (96, 92, 92)])


class Water:
    """Water over stones, seen from above: the wave equation on a grid of half the picture's size, swell and wind."""

    SPEED, CALMING = 0.46, 0.99  # cells that a wave travels in a step (above 0.5 it explodes); share left a step later
    DEPTH = 26.0  # how far a slope shifts the view of the ground (in pixels), and the light that falls there (in cells)

    def __init__(self, height: int, width: int) -> None:
        self.size, self.shape = (width, height), (rows := height // 2, columns := width // 2)
        self.pixels, self.cells = (np.mgrid[:h, :w].astype(np.float32) for h, w in ((height, width), self.shape))
        self.floor, chance = cv2.cvtColor(ground(height, width), cv2.COLOR_RGB2RGBA), np.random.default_rng(5)
        self.clouds = np.clip(0.5 + 0.4 * noise(chance, self.shape, 40) + 0.15 * noise(chance, self.shape, 12), 0, 1)
        self.mirror = np.linspace(0.22, 0.07, rows, dtype=np.float32)[:, None]  # a flatter view reflects more sky
        k_y, k_x = 2 * np.pi * np.fft.fftfreq(rows)[:, None], 2 * np.pi * np.fft.rfftfreq(columns)
        k = np.hypot(k_y, k_x) + 1e-6  # wave numbers of all waves that fit, in radians per cell
        self.turn = np.exp(-0.35j * k**1.5)  # and per step: surface tension makes smaller waves faster
        waves = [np.exp(2j * np.pi * chance.random(k.shape) - (np.log(k / mid) / 0.4) ** 2) for mid in (0.2, 0.57)]
        waves[1] *= np.clip((0.9 * k_x + 0.44 * k_y) / k, 0, 1) ** 2  # the wind comes from the left
        self.at_first = [each / np.fft.irfft2(each * k * k, self.shape).std() for each in waves]

    def calm(self) -> None:
        """Make the water still, and start the same rain for every session."""
        self.now, self.before = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        (self.swell, self.ripples), self.chance = self.at_first, np.random.default_rng(7)

    def poke(self, x: float, y: float, strength: float = 1.0) -> None:
        """Press the surface down around (x, y), both in 0..1; the displaced water rises around it."""
        at = y * self.shape[0], x * self.shape[1]
        near = tuple(slice(max(0, int(middle) - 14), int(middle) + 15) for middle in at)
        distance = ((self.cells[0][near] - at[0]) ** 2 + (self.cells[1][near] - at[1]) ** 2) / 18
        self.now[near] -= strength * (1 - distance) * np.exp(-distance)

    def step(self, rain: float, wind: float, light: float) -> np.ndarray:
        """Let it rain, advance the waves and return the picture: uint8, shape (height, width, 3), RGB."""
        for _ in range(self.chance.poisson(rain)):
            self.poke(*self.chance.random(2), strength=self.chance.uniform(0.3, 0.9))
        for _ in range(2):
            pull = cv2.Laplacian(self.now, cv2.CV_32F, borderType=cv2.BORDER_REFLECT)
            self.before, self.now = self.now, (2 * self.now - self.before + self.SPEED * pull) * self.CALMING
        self.swell, self.ripples = self.swell * self.turn, self.ripples * self.turn
        waves = 0.022 * self.swell + 0.042 * wind * self.ripples
        hour = (1 - light) * (1 - (noon := np.sin(np.pi * light))), noon, light * (1 - noon)
        surface = self.now + np.fft.irfft2(waves.astype(np.complex64), self.shape)
        return self.look(surface, *np.tensordot(hour, DAY, 1))

    def look(self, surface: np.ndarray, sun: np.ndarray, sky: np.ndarray) -> np.ndarray:
        """Draw the ground, refracted and lit through the water, under the reflected sky."""
        down, right = (cv2.Sobel(surface, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((0, 1), (1, 0)))
        mirror = self.mirror * np.clip(1 - 4 * down - 2 * right, 0, 2) ** 2
        above = self.cells[1] + 150 * right, self.cells[0] + 220 * down
        cloudy = mirror * cv2.remap(self.clouds, *above, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        glint = np.exp(-((down + 0.17) ** 2 + (right + 0.10) ** 2) / 0.0016)
        parts, none = cv2.merge([self.caustics(down, right), mirror, cloudy, glint]), np.zeros(4)
        light = cv2.transform(parts, np.column_stack([0.55 * sun, none, none, none, 0.2 * sun + 0.45 * sky]))
        shine = cv2.transform(parts, np.column_stack([none, sky, 0.45 + 0.55 * sun - sky, 0.6 * sun]))
        y, x = (at + self.DEPTH * cv2.resize(by, self.size) for at, by in zip(self.pixels, (down, right), strict=True))
        below = cv2.remap(self.floor, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        light, shine = (cv2.resize(cv2.convertScaleAbs(each, alpha=110), self.size) for each in (light, 2.3 * shine))
        return cv2.cvtColor(cv2.add(cv2.multiply(below, light, scale=1 / 110), shine), cv2.COLOR_RGBA2RGB)

    def caustics(self, down: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return the light on the ground, about 1: each cell of the surface refracts its own share."""
        (rows, columns), cells = self.shape, zip(self.cells, (down, right), self.shape, strict=True)
        y, x = (np.clip(at - self.DEPTH * slope, 0, end - 1.01).ravel() for at, slope, end in cells)
        y, x, cell = y - (top := np.floor(y)), x - (left := np.floor(x)), (top * columns + left).astype(int)
        cells = np.add.outer((0, 1, columns, columns + 1), cell)  # a ray is shared by the four cells around it
        shares = (1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x
        light = np.bincount(cells.ravel(), np.ravel(shares), rows * columns).astype(np.float32).reshape(self.shape)
        light = np.pad(light[4:-4, 4:-4], 4, "edge")  # where all the light landed that would have left the picture
        return cv2.GaussianBlur(light, (0, 0), 0.8)


def noise(chance: np.random.Generator, shape: tuple[int, int], size: int) -> np.ndarray:
    """Return soft hills `size` pixels apart: float32, mean about 0, standard deviation about 1."""
    hills = chance.standard_normal([side // size + 3 for side in shape], np.float32)
    return cv2.resize(1.25 * hills, shape[::-1], interpolation=cv2.INTER_CUBIC)


def ground(height: int, width: int, edge: int = 40) -> np.ndarray:
    """Paint sand and rounded stones, deeper and bluer towards the top: uint8, shape (height, width, 3), RGB."""
    chance, shape = np.random.default_rng(8), (height + 2 * edge, width + 2 * edge)
    hills, bumps, grain = (noise(chance, shape, size) for size in (60, 16, 2))
    top, colour = np.abs(hills + 0.5 * bumps), np.full((*shape, 3), (206, 180, 134), np.float32)
    for size in np.clip(np.sort(5 + 7 * chance.pareto(1.9, 1100))[::-1], 5, edge).astype(int):  # small ones on top
        here = tuple(slice(at - size, at + size) for at in chance.integers(edge, np.subtract(shape, edge)))
        v, u = np.mgrid[-1 : 1 : 2j * size, -1 : 1 : 2j * size] * (1 + 0.0015 * size * bumps[here])
        turned = (u + 1j * v) * np.exp(1j * chance.uniform(0, np.pi))
        u, v = turned.real, turned.imag / chance.uniform(0.6, 0.95)
        rise = size * (0.55 * np.clip(1 - np.abs(u) ** 2.3 - np.abs(v) ** 2.3, 0, 1) ** 0.55 - chance.uniform(0, 0.2))
        bands = 1 + chance.uniform(0, 0.12) * np.sin(chance.uniform(3, 14) * v + 1.5 * bumps[here])
        stone = chance.choice(STONES) * chance.uniform(0.8, 1.15) * bands[..., None]
        higher = rise > top[here]
        colour[here][higher], top[here][higher] = stone[higher], rise[higher]
    top = cv2.GaussianBlur(top, (0, 0), 0.9)
    down, right = (cv2.Sobel(top, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((0, 1), (1, 0)))
    shade = np.clip((0.85 - 0.5 * down - 0.35 * right) / np.sqrt(1 + down**2 + right**2), 0.15, 1.3)
    shade *= np.clip(1.1 + 0.08 * (top - cv2.GaussianBlur(top, (0, 0), 5)), 0.3, 1.4) + 0.06 * grain  # dark cracks
    depth = np.clip(np.linspace(2, 0, shape[0])[:, None] + 0.1 * hills - 0.01 * top, 0.05, 2)
    clear = np.exp(-depth[..., None] * (0.68, 0.25, 0.19))  # water absorbs red first
    picture = np.clip(colour * shade[..., None] * clear + (4, 48, 74) * (1 - clear), 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(picture, (0, 0), 0.6)[edge:-edge, edge:-edge]
