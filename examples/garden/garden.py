"""A garden of organisms that grow, heal and turn into one another. `livereactor run examples/garden/garden.py`

This example shows a model with a neural network. `load` reads the weights once per worker and reports its progress.
Everything a visitor grows is created in `open`, so the next visitor gets a fresh garden. automaton.py contains the
network, train.py its training, and soil.py draws the cells.
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
SOWN = (  # x and y in 0..1; the first is yours
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
    organisms: int  # organisms hit
    cells: int  # cells that they lost


class Garden(lr.Model):
    """Organisms made of cells: they grow, heal when cut, and turn into each other. The one in the light is yours."""

    main_video = lr.VideoOut(width=SIZE[0], height=SIZE[1], fps=30)
    species: Species = lr.param("flower", description="Species to plant, and of your organism.")
    other: Species = lr.param("butterfly", description="Species to blend in.")
    blend: float = lr.param(0.0, ge=0, le=1, description="Share of the other species.")

    def load(self) -> None:
        self.progress(0.1, "reading the weights")
        self.network = Weights.read(self.asset("weights.npz"))
        self.progress(0.2, "digging the bed")
        self.scene = Scene(*SIZE)
        self.progress(0.4, "waking the cells")
        self.sow()
        next(self.stream())  # compiles what numba has not cached: six seconds, once per machine

    def open(self, session: lr.Session) -> None:
        self.sow()

    def sow(self) -> None:
        """Sow a fresh bed, the same for every session."""
        self.bed = Bed(self.network)
        for x, y, species in SOWN:
            self.bed.plant(self.scene.place(x, y), genome(species, species, 0))

    @lr.command
    def plant(self, x: Unit, y: Unit) -> Planted:
        """Sow a seed."""
        return Planted(organisms=self.bed.plant(self.scene.place(x, y), self.wish()))

    @lr.command
    def cut(self, x: Unit, y: Unit, radius: Annotated[float, Interval(ge=0.01, le=0.3)] = 0.05) -> Cut:
        """Cut a round hole. `radius` is a share of the picture's width. The rest heals."""
        organisms, cells = self.bed.cut(*self.scene.pixel(x, y), radius * self.scene.width)
        return Cut(organisms=organisms, cells=cells)

    @lr.command
    def turn(self, x: Unit, y: Unit) -> None:
        """Make the organism there yours. It turns into the chosen species."""
        if not self.bed.adopt(*self.scene.pixel(x, y)):
            raise lr.CommandError("nothing_there", "nothing grows there; touch an organism, or plant one")

    @lr.command
    def clear(self) -> None:
        """Remove everything and leave bare soil."""
        self.bed.clear()

    def wish(self) -> np.ndarray:
        return genome(self.species, self.other, self.blend)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            self.bed.grow(self.wish())
            yield self.scene.draw(self.bed.plots, self.bed.places, self.bed.yours, self.bed.age / 30)


class Bed:
    """The growing organisms, oldest first, each with a plot, a genome and a place."""

    MOST = 16  # organisms at once; beyond that, the oldest that is not yours is removed

    def __init__(self, network: Weights) -> None:
        self.network, self.chance, self.age = network, np.random.default_rng(11), 0
        self.clear()

    def clear(self) -> None:
        self.places: list[Place] = []
        self.yours: Place | None = None  # one of the places
        self.plots, self.genomes = seeds(0), np.zeros((0, len(SPECIES)), np.float32)

    def plant(self, place: Place, genes: np.ndarray) -> int:
        """Sow one seed, which becomes yours if you have none; return the number of organisms."""
        if len(self.places) == self.MOST:
            self.remove(next(n for n, each in enumerate(self.places) if each is not self.yours))
        self.places.append(place)
        self.plots, self.genomes = np.concatenate([self.plots, seeds(1)]), np.vstack([self.genomes, genes])
        self.yours = self.yours or place
        return len(self.places)

    def cut(self, x: float, y: float, radius: float) -> tuple[int, int]:
        """Cut a hole at a pixel; return the number of organisms hit and of the cells they lost."""
        lost = [cut(plot, *at.cell(x, y), radius / at.scale) for plot, at in zip(self.plots, self.places, strict=True)]
        for n in reversed(range(len(lost))):
            if self.plots[n, ..., 3].max() <= ALIVE:
                self.remove(n)
        return len(lost) - lost.count(0), sum(lost)

    def adopt(self, x: float, y: float) -> bool:
        """Make the foremost organism at a pixel yours; return whether there is one."""
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
        """Advance all cells by one step; yours turns into the wished genome."""
        if self.yours is not None:
            self.genomes[self.places.index(self.yours)] = wish
        step(self.plots, self.genomes, self.network, self.chance)
        self.plots[~(self.plots[..., 3] > ALIVE).any(axis=(1, 2))] = seeds(1)  # not every seed comes up: sow it again
        self.age += 1
