"""The five styles of the mirror, each with its own state from one picture to the next."""

import cv2
import numpy as np

SMALL = (160, 90)  # size for the motion search: OpenCV's search crashes on very long, thin pictures
PAPER, DARK = (246, 240, 226), (24, 26, 46)
IRON = [(4, 4, 22), (44, 12, 110), (150, 22, 128), (226, 62, 60), (252, 150, 22), (255, 226, 92), (255, 255, 240)]


class Glass:
    """A style at one picture size. `look` takes and returns uint8 pixels of `shape`."""

    def __init__(self, first: np.ndarray) -> None:
        self.shape, (self.height, self.width) = first.shape, first.shape[:2]
        self.cell = np.array([self.width / SMALL[0], self.height / SMALL[1]], np.float32)
        self.chance = np.random.default_rng(5)
        self.finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self.small = self.shrunk(first)
        self.begin(first)

    def begin(self, first: np.ndarray) -> None:
        """Create the style's state; `first` is the first picture of this size."""

    def look(self, seen: np.ndarray, amount: float, memory: float) -> np.ndarray:
        """Return the picture in this style; the visitor sets `amount` and `memory`, both in 0..1."""
        raise NotImplementedError

    def shrunk(self, seen: np.ndarray) -> np.ndarray:
        """Return the brightness of a picture at SMALL size."""
        return cv2.cvtColor(cv2.resize(seen, SMALL, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)

    def motion(self, seen: np.ndarray) -> np.ndarray:
        """Return the motion since the last picture: float32, shape (90, 160, 2), in pixels of the picture."""
        before, self.small = self.small, self.shrunk(seen)
        flow = self.finder.calc(before, self.small, None)  # type: ignore[call-overload]  # None: a new array
        return cv2.GaussianBlur(flow, (5, 5), 0) * self.cell


class Ink(Glass):
    """Outlines and hatching on paper, and a wash of the colours; wet ink is slow to fade."""

    def begin(self, first: np.ndarray) -> None:
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        wobble = cv2.GaussianBlur(self.chance.normal(0, 30, first.shape[:2]).astype(np.float32), (0, 0), 9)
        self.hatches = [np.sin((columns + way * rows) * 0.95 + wobble) for way in (1, -0.9)]
        grain = cv2.GaussianBlur(self.chance.normal(0, 1, first.shape), (0, 0), 1.1)
        self.paper = np.clip(np.array(PAPER) + 9 * grain, 0, 255).astype(np.uint8)
        self.strokes = np.linspace((255, 255, 255), DARK, 256).astype(np.uint8)[:, None]
        self.wet = np.zeros(first.shape[:2], np.float32)

    def look(self, seen: np.ndarray, amount: float, memory: float) -> np.ndarray:
        light = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY).astype(np.float32)
        fine, wide = cv2.GaussianBlur(light, (0, 0), 0.9), cv2.GaussianBlur(light, (0, 0), 2.4)
        ink = (wide - fine - 2) * 26
        for hatch, below in zip(self.hatches, (105, 60), strict=True):
            np.maximum(ink, (below - wide) * 3 + 150 * hatch - 60, out=ink)
        self.wet = ink = np.clip(ink, self.wet * (0.6 * memory), 255)
        wash = cv2.bilateralFilter(cv2.resize(seen, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), 7, 60, 7)
        wash = cv2.addWeighted(cv2.resize(wash, (self.width, self.height)), amount, self.paper, 1 - amount, 40 * amount)
        drawn = cv2.applyColorMap(ink.astype(np.uint8), self.strokes)
        return cv2.multiply(cv2.multiply(self.paper, wash, scale=1 / 245), drawn, scale=1 / 255)


class Thermal(Glass):
    """A heat map: light is warm, and motion is heat that fades and spreads."""

    def begin(self, first: np.ndarray) -> None:
        parts = [np.interp(np.linspace(0, len(IRON) - 1, 256), range(len(IRON)), part) for part in np.transpose(IRON)]
        self.colours = np.stack(parts, axis=-1).astype(np.uint8)[:, None]
        self.heat = np.zeros(self.small.shape, np.float32)

    def look(self, seen: np.ndarray, amount: float, memory: float) -> np.ndarray:
        speed = np.hypot(*cv2.split(self.motion(seen))) - 1.5  # below this it is camera noise
        kept = cv2.GaussianBlur(self.heat, (5, 5), 0) * (0.8 + 0.195 * memory)
        self.heat = np.maximum(kept, np.minimum(255, speed * 25 * amount))
        light = cv2.GaussianBlur(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), (5, 5), 0)
        glow = cv2.resize(self.heat, (self.width, self.height)).astype(np.uint8)
        return cv2.applyColorMap(cv2.addWeighted(light, 0.75, glow, 0.75, 0), self.colours)


class SlitScan(Glass):
    """Rows from the past: lower rows are older."""

    PAST = 75  # pictures kept

    def begin(self, first: np.ndarray) -> None:
        self.past = np.repeat(first[None], self.PAST, axis=0)
        self.newest = 0

    def look(self, seen: np.ndarray, amount: float, memory: float) -> np.ndarray:
        self.newest = (self.newest + 1) % self.PAST
        self.past[self.newest] = seen
        rows = np.arange(self.height)
        age = (self.PAST - 2) * memory * (rows / self.height) ** (2.5 - 2 * amount)
        whole = age.astype(int)
        part = (age - whole)[:, None, None].astype(np.float32)
        young, old = (self.past[(self.newest - whole - n) % self.PAST, rows] for n in (0, 1))
        return (young + (old.astype(np.float32) - young) * part).astype(np.uint8)


class Datamosh(Glass):
    """A video that lost its key frames: the old picture is pushed about by the current motion."""

    BLOCK = 16  # pixels, the side of a codec's motion block

    def begin(self, first: np.ndarray) -> None:
        self.picture = first
        self.rows, self.columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)

    def look(self, seen: np.ndarray, amount: float, memory: float) -> np.ndarray:
        flow = self.motion(seen) * (0.6 + 1.2 * amount)
        blocks = max(1, self.width // self.BLOCK), max(1, self.height // self.BLOCK)
        coarse = cv2.resize(flow, blocks, interpolation=cv2.INTER_AREA)
        flow = cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_NEAREST)
        seen_at = self.columns - flow[..., 0], self.rows - flow[..., 1]
        moved = cv2.remap(self.picture, *seen_at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        fresh = (self.chance.random(blocks[::-1]) < 0.03 * (1 - memory) ** 2 + 0.0008).astype(np.uint8)
        fresh = cv2.resize(fresh, (self.width, self.height), interpolation=cv2.INTER_NEAREST)
        cv2.copyTo(seen, fresh, moved)
        self.picture = moved
        return moved


class Particles(Glass):
    """Dust that takes the colours of its home position and flees from motion."""

    SPACING = 4  # pixels

    def begin(self, first: np.ndarray) -> None:
        rows, columns = np.mgrid[2 : self.height : self.SPACING, 2 : self.width : self.SPACING]
        grid = np.stack([columns, rows], axis=-1).reshape(-1, 2)
        self.home = (grid + self.chance.uniform(-1.5, 1.5, grid.shape)).astype(np.float32)
        self.places, self.speed = self.home.copy(), np.zeros_like(self.home)
        self.picture = np.zeros_like(first)

    def look(self, seen: np.ndarray, amount: float, memory: float) -> np.ndarray:
        flow = self.motion(seen)
        stir = cv2.GaussianBlur(np.clip(np.hypot(*cv2.split(flow)) - 1.5, 0, 10), (0, 0), 5)
        push = flow * 0.25 - 7 * np.stack([cv2.Sobel(stir, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))], axis=-1)
        x, y = np.clip(self.places / self.cell, 0, (SMALL[0] - 1, SMALL[1] - 1)).astype(int).T
        self.speed = self.speed * 0.9 + push[y, x] * amount + (self.home - self.places) * (0.05 - 0.044 * memory)
        self.places += self.speed
        x, y = np.clip(self.places, 0, (self.width - 3, self.height - 3)).astype(int).T
        colours = seen[tuple(np.clip(self.home, 0, (self.width - 1, self.height - 1)).astype(int).T[::-1])]
        self.picture = cv2.convertScaleAbs(self.picture, alpha=0.55 + 0.35 * memory)
        for dy in range(3):
            for dx in range(3):
                self.picture[y + dy, x + dx] = colours
        return self.picture
