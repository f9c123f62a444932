"""The window of land around one walker, and its picture."""

import cv2
import numpy as np
from land import CELL, CELLS, MASK, grow, lighten, paint_land, paint_water, tap
from plants import KINDS, paint_plants, sprites
from scene import COLUMNS, HEIGHT, WIDTH, Eye, Scene, Three, fast, shown
from sky import make_clouds, make_stars, paint_disc, paint_drops, paint_sky, paint_stars

ROWS = 16  # rows of the window that get new light per picture: the sun is slow


@fast
def develop(out, half, exposure):
    """Convert light to bytes, and insert the mean of each two columns between them."""
    for c in range(COLUMNS):
        for n in range(half.shape[1]):
            out[2 * c, n] = np.uint8(shown(half[c, n] * exposure))
    for c in range(COLUMNS):
        for n in range(half.shape[1]):
            out[2 * c + 1, n] = (out[2 * c, n] + out[min(2 * c + 2, WIDTH - 2), n]) // 2


@fast
def soften(picture, depth):
    """Mix neighbouring columns at steep edges, which would show stairs."""
    for c in range(1, COLUMNS):
        for y in range(HEIGHT):
            if max(depth[c - 1, y], depth[c, y]) > 1.2 * min(depth[c - 1, y], depth[c, y]):
                for k in range(3):
                    picture[c, y, k] = 0.5 * (picture[c - 1, y, k] + picture[c, y, k])


class View:
    """Everything that depends on `seed`: land, plants, clouds and stars."""

    def __init__(self, seed: int) -> None:
        self.seed, chance = seed, np.random.default_rng(seed)
        self.grain = chance.random((256, 256), np.float32)
        self.clouds, self.stars = make_clouds(self.grain), make_stars(chance)
        self.drops = chance.random((2500, 3), np.float32)
        self.sprites = {kind: sprites(kind, chance) for kind in KINDS}
        self.bones = np.zeros((4, CELLS, CELLS), np.float32)
        self.land, self.light = np.zeros((CELLS, CELLS), np.float32), np.zeros((2, CELLS, CELLS), np.float32)
        self.rough, self.haze = np.zeros((COLUMNS // 2, HEIGHT // 4, 3), np.float32), np.zeros((COLUMNS, 3), np.float32)
        self.half, self.veil = np.zeros((COLUMNS, HEIGHT, 3), np.float32), np.zeros((COLUMNS, HEIGHT, 4), np.float32)
        self.depth, self.wet = np.zeros((COLUMNS, HEIGHT), np.float32), np.zeros((COLUMNS, HEIGHT), np.float32)
        self.out = np.zeros((WIDTH, HEIGHT, 3), np.uint8)
        self.forget()

    def forget(self) -> None:
        """Forget the land."""
        self.corner: tuple[int, int] | None = None  # of the window, in cells
        self.row = 0  # row that gets new light next
        self.relief = np.zeros(4)  # weights of the bones in `land`

    def follow(self, x: float, z: float, place: np.ndarray, lamp: Three) -> None:
        """Centre the window on (x, z): create the land that enters, with the heights of `place`."""
        i, j = int(x // CELL) - CELLS // 2, int(z // CELL) - CELLS // 2
        relief = place[:4].copy()
        new = [(j, j + CELLS, i, i + CELLS)]
        if self.corner and max(abs(i - self.corner[0]), abs(j - self.corner[1])) < CELLS:
            was_i, was_j = self.corner
            new = [(j, j + CELLS, was_i + CELLS, i + CELLS) if i > was_i else (j, j + CELLS, i, was_i),
                   (was_j + CELLS, j + CELLS, i, i + CELLS) if j > was_j else (j, was_j, i, i + CELLS)]  # fmt: skip
        for box in new:
            grow(self.bones, self.land, relief, self.grain, *box)
        if np.abs(relief - self.relief).max() > 0.001:  # the land is changing into another place
            np.einsum("kji,k->ji", self.bones, relief.astype(np.float32), out=self.land)
        self.relief = relief
        self.corner, self.row = (i, j), (self.row + ROWS) % CELLS
        for box in new:
            lighten(self.light, self.land, lamp, *box, 1.0)
        lighten(self.light, self.land, lamp, self.row, self.row + ROWS, 0, CELLS, 0.6)

    def height(self, x: float, z: float) -> float:
        """Return the height of the ground or the water in metres."""
        return max(0.0, tap(self.land, MASK, x / CELL, z / CELL))

    def lookout(self, heading: float) -> tuple[float, float]:
        """Find a dry place within 300 metres of the window's centre with a wide view in that direction."""
        x, z = np.random.default_rng(self.seed).uniform(-300, 300, (2, 600))
        ways = [(far, heading + aside) for aside in (-0.5, 0, 0.5) for far in (10, 30, 80, 150)]
        ahead = np.array([self.at(self.land, x + far * np.sin(way), z + far * np.cos(way)) for far, way in ways])
        here, flat = self.at(self.land, x, z), self.at(self.light[1], x, z)
        best = np.argmax(np.minimum(here - ahead.max(axis=0), 12) + 40 * np.minimum(flat, 0.96) - 100 * (here < 2))
        return float(x[best]), float(z[best])

    def at(self, tile: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Read a tile of the window at many places."""
        j, i = (np.floor(np.stack([z, x]) / CELL)).astype(int) & MASK
        return tile[j, i]

    def draw(self, scene: Scene, eye: Eye, plant: str) -> np.ndarray:
        """Draw the picture: uint8, shape (height, width, 3), RGB."""
        before = self.grain, self.haze, scene, eye
        paint_sky(self.rough, self.haze, scene, self.clouds, eye)
        cv2.resize(self.rough, (HEIGHT, COLUMNS), dst=self.half)
        paint_land(self.half, self.depth, self.wet, self.land, self.light, *before, float(self.land.max()))
        soften(self.half, self.depth)
        paint_disc(self.half, self.depth, scene, eye)
        paint_plants(self.veil, self.sprites[plant], self.depth, self.land, self.light, *before)
        paint_water(self.half, self.veil, self.depth, self.wet, *before)
        exposure = np.float32(0.9 + 0.5 * scene.night)
        develop(self.out.reshape(WIDTH, -1), self.half.reshape(COLUMNS, -1), exposure)
        paint_stars(self.out, self.veil, self.depth, self.stars, scene, eye)
        paint_drops(self.out, self.depth, self.drops, scene, eye)
        return cv2.transpose(self.out)
