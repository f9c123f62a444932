"""A garden of organisms that grow, heal and turn into one another. `livereactor run examples/garden/garden.py`

What it teaches: a model with a network. `load` reads the weights once per worker and says how far it is; all that a
visitor grows is made in `open`, so the next one finds the garden as it was. The network is in automaton.py, how it was
trained in train.py, and how cells become a picture in soil.py.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from annotated_types import Interval
from automaton import ALIVE, SIDE, SPECIES, Species, Weights, cut, genome, seeds, step
from soil import Place, Scene

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]

SIZE = 640, 360  # width and height of the picture
SOWN = (  # shares of the picture's width and height; the first is yours
    (0.5, 0.86, "flower"),
    (0.17, 0.64, "mushroom"),
    (0.36, 0.51, "snail"),
    (0.77, 0.6, "butterfly"),
    (0.6, 0.5, "mushroom"),
    (0.11, 0.96, "snail"),
    (0.9, 0.93, "flower"),
)


class Planted(lr.Message):
    organisms: int


class Cut(lr.Message):
    organisms: int  # how many were hit
    cells: int  # how many cells they lost


class Garden(lr.Model):
    """Organisms of cells: they grow, heal when cut, and turn into one another. The one in the light is yours."""

    main_video = lr.VideoOut(width=SIZE[0], height=SIZE[1], fps=30)
    species: Species = lr.param("flower", description="What you plant, and what yours is.")
    other: Species = lr.param("butterfly", description="What may be blended in.")
    blend: float = lr.param(0.0, ge=0, le=1, description="How much of the other.")

    def load(self) -> None:
        self.progress(0.1, "reading the weights")
        self.network = Weights.read(self.asset("weights.npz"))
        self.progress(0.2, "digging the bed")
        self.scene = Scene(*SIZE)
        self.progress(0.4, "waking the cells")
        self.sow()
        next(self.stream())  # compiles what numba has not in its cache: six seconds, once per machine

    def open(self, session: lr.Session) -> None:
        self.sow()

    def sow(self) -> None:
        """A fresh bed, the same for everybody."""
        self.bed = Bed(self.network)
        for x, y, species in SOWN:
            self.bed.plant(self.scene.place(x, y), genome(species, species, 0))

    @lr.command
    def plant(self, x: Unit, y: Unit) -> Planted:
        """Sow a seed."""
        return Planted(organisms=self.bed.plant(self.scene.place(x, y), self.wish()))

    @lr.command
    def cut(self, x: Unit, y: Unit, radius: Annotated[float, Interval(ge=0.01, le=0.3)] = 0.05) -> Cut:
        """Cut a round hole, `radius` a share of the picture's width. What is left heals."""
        organisms, cells = self.bed.cut(*self.scene.pixel(x, y), radius * self.scene.width)
        return Cut(organisms=organisms, cells=cells)

    @lr.command
    def turn(self, x: Unit, y: Unit) -> None:
        """Make what grows there yours: it turns into what is chosen."""
        if not self.bed.adopt(*self.scene.pixel(x, y)):
            raise lr.CommandError("nothing_there", "nothing grows there; touch an organism, or plant one")

    @lr.command
    def clear(self) -> None:
        """Leave bare soil."""
        self.bed.clear()

    def wish(self) -> np.ndarray:
        return genome(self.species, self.other, self.blend)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            self.bed.grow(self.wish())
            yield self.scene.draw(self.bed.plots, self.bed.places, self.bed.yours, self.bed.age / 30)


class Bed:
    """What grows: for each organism a plot, a genome and a place; the oldest first."""

    MOST = 16  # organisms at once; then the oldest goes that is not yours

    def __init__(self, network: Weights) -> None:
        self.network, self.chance, self.age = network, np.random.default_rng(11), 0
        self.clear()

    def clear(self) -> None:
        self.places: list[Place] = []
        self.yours: Place | None = None  # one of the places
        self.plots, self.genomes = seeds(0), np.zeros((0, len(SPECIES)), np.float32)

    def plant(self, place: Place, genes: np.ndarray) -> int:
        """Sow one seed, yours where none is; how many organisms there are now."""
        if len(self.places) == self.MOST:
            self.remove(next(n for n, each in enumerate(self.places) if each is not self.yours))
        self.places.append(place)
        self.plots, self.genomes = np.concatenate([self.plots, seeds(1)]), np.vstack([self.genomes, genes])
        self.yours = self.yours or place
        return len(self.places)

    def cut(self, x: float, y: float, radius: float) -> tuple[int, int]:
        """Cut a hole into all that stands there, in pixels; how many organisms were hit, how many cells they lost."""
        lost = [cut(plot, *at.cell(x, y), radius / at.scale) for plot, at in zip(self.plots, self.places, strict=True)]
        for n in reversed(range(len(lost))):
            if self.plots[n, ..., 3].max() <= ALIVE:
                self.remove(n)
        return len(lost) - lost.count(0), sum(lost)

    def adopt(self, x: float, y: float) -> bool:
        """Make the foremost of what stands at a pixel yours; whether there is any."""
        for plot, place in sorted(zip(self.plots, self.places, strict=True), key=lambda each: -each[1].y):
            row, column = np.round(place.cell(x, y)).astype(int)
            if 0 <= row < SIDE and 0 <= column < SIDE and plot[row, column, 3] > ALIVE:
                self.yours = place
                return True
        return False

    def remove(self, n: int) -> None:
        gone = self.places.pop(n)
        self.yours = None if self.yours is gone else self.yours
        self.plots, self.genomes = np.delete(self.plots, n, 0), np.delete(self.genomes, n, 0)

    def grow(self, wish: np.ndarray) -> None:
        """One step of all cells; yours turns into what is wished."""
        if self.yours is not None:
            self.genomes[self.places.index(self.yours)] = wish
        step(self.plots, self.genomes, self.network, self.chance)
        self.plots[~(self.plots[..., 3] > ALIVE).any(axis=(1, 2))] = seeds(1)  # not every seed comes up: sown again
        self.age += 1
