"""A neural cellular automaton whose cells grow into a picture, after Mordvintsev, Randazzo, Niklasson and Levin,
"Growing Neural Cellular Automata", Distill 2020, https://distill.pub/2020/growing-ca.

A plot is a grid of cells for one organism: float32, shape (SIDE, SIDE, CHANNELS). A cell's first four numbers are its
premultiplied colour and its opacity (RGB and A, about 0 to 1); cells use the other numbers to tell each other where
they are. In each step, about half of the cells near something alive read their eight neighbours and the genome of
their organism, and one small network, the same for every cell, computes the change. No cell knows the picture.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numba import njit

Species = Literal["flower", "mushroom", "butterfly", "snail"]
SPECIES: tuple[str, ...] = get_args(Species)
SIDE, CHANNELS = 32, 16
SEED = ((21, 22, 22, 22, 23), (16, 15, 16, 17, 16))  # rows and columns of the cells from which an organism grows
ALIVE = 0.1  # opacity above which a cell keeps itself and its neighbours alive
PIECE = 48  # cells; OpenBLAS starts threads at 262,144 multiplications
SENSES = 3 * CHANNELS + len(SPECIES)  # a cell's values, their gradients along x and y, and the genome


@dataclass
class Weights:
    """Weights of the network: senses of a cell to hidden units to changes of its channels. All float32."""

    inward: np.ndarray  # (SENSES, hidden)
    bias: np.ndarray  # (hidden,)
    outward: np.ndarray  # (hidden, CHANNELS)

    @classmethod
    def read(cls, file: Path) -> "Weights":
        """Read a file that train.py has written."""
        with np.load(file) as held:
            return cls(**{each.name: held[each.name] for each in fields(cls)})


def seeds(number: int) -> np.ndarray:
    """Return plots with five living cells each (one often dies): float32, shape (number, SIDE, SIDE, CHANNELS)."""
    plots = np.zeros((number, SIDE, SIDE, CHANNELS), np.float32)
    plots[:, *SEED, 3:] = 1
    return plots


def genome(species: str, other: str, blend: float) -> np.ndarray:
    """Blend two species: float32, shape (len(SPECIES),); `blend` is the share of the other, 0 to 1."""
    genes = np.zeros(len(SPECIES), np.float32)
    genes[SPECIES.index(species)] += 1 - blend
    genes[SPECIES.index(other)] += blend
    return genes


def cut(plot: np.ndarray, row: float, column: float, radius: float) -> int:
    """Empty the cells within `radius` of a point, in cells; return how many of them were alive."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    hole = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    lost = int(np.count_nonzero(plot[hole, 3] > ALIVE))
    plot[hole] = 0
    return lost


@dataclass
class Trace:
    """The intermediate values of a step, for backpropagation in training."""

    cells: np.ndarray  # changed cells: int64, shape (n,), indices into the flattened plots
    senses: np.ndarray  # (n, SENSES)
    hidden: np.ndarray  # (n, hidden)
    lives: np.ndarray  # bool, shape (plots, SIDE, SIDE): cells not wiped afterwards


def step(plots: np.ndarray, genomes: np.ndarray, weights: Weights, chance: np.random.Generator) -> Trace:
    """Let every plot grow or heal by one step, in place.

    Args:
        plots: float32, shape (plots, SIDE, SIDE, CHANNELS), C order.
        genomes: float32, shape (plots, len(SPECIES)); each sums to 1.
        weights: the network.
        chance: decides which cells fire.
    """
    before = lively(plots)
    fires = chance.integers(0, 2, before.shape, np.uint8) == 0  # cells do not share a clock
    cells = np.flatnonzero(before & fires)
    senses = perceive(plots, genomes, cells)
    hidden = product(senses, weights.inward)
    rectify(hidden, weights.bias)
    add(plots, cells, product(hidden, weights.outward))
    lives = before & lively(plots)
    wipe(plots, lives)
    return Trace(cells, senses, hidden, lives)


def product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return rows @ matrix, in pieces too small for BLAS to use threads: with 2 threads a step took 8 ms, not 2."""
    found = np.empty((len(rows), matrix.shape[1]), np.float32)
    for start in range(0, len(rows), PIECE):
        np.matmul(rows[start : start + PIECE], matrix, out=found[start : start + PIECE])
    return found


@njit(cache=True)
def lively(plots: np.ndarray) -> np.ndarray:
    """Mark cells that are alive or next to one: bool, shape (plots, SIDE, SIDE). Never at a plot's edge."""
    found = np.zeros(plots.shape[:3], np.bool_)
    for n in range(plots.shape[0]):
        for row in range(1, SIDE - 1):
            for column in range(1, SIDE - 1):
                if plots[n, row, column, 3] > ALIVE:
                    found[n, row - 1 : row + 2, column - 1 : column + 2] = True
        found[n, 0], found[n, -1], found[n, :, 0], found[n, :, -1] = False, False, False, False
    return found


@njit(cache=True, fastmath=True)
def perceive(plots: np.ndarray, genomes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the senses of some cells: float32, shape (n, SENSES); gradients are Sobel's, divided by 8."""
    field = plots.reshape(-1, CHANNELS)
    senses = np.empty((len(cells), SENSES), np.float32)
    for n in range(len(cells)):
        at = cells[n]
        above, below = at - SIDE, at + SIDE
        for c in range(CHANNELS):
            falling = field[below + 1, c] - field[above - 1, c]
            rising = field[above + 1, c] - field[below - 1, c]
            across = 2 * (field[at + 1, c] - field[at - 1, c])
            down = 2 * (field[below, c] - field[above, c])
            senses[n, c] = field[at, c]
            senses[n, CHANNELS + c] = (falling + rising + across) / 8
            senses[n, 2 * CHANNELS + c] = (falling - rising + down) / 8
        senses[n, 3 * CHANNELS :] = genomes[at // (SIDE * SIDE)]
    return senses


# Each of these is one line of numpy, without its copy of everything.


@njit(cache=True, fastmath=True)
def rectify(hidden: np.ndarray, bias: np.ndarray) -> None:
    """Compute hidden = max(hidden + bias, 0) in place."""
    for n in range(hidden.shape[0]):
        for unit in range(hidden.shape[1]):
            hidden[n, unit] = max(hidden[n, unit] + bias[unit], np.float32(0))


@njit(cache=True, fastmath=True)
def add(plots: np.ndarray, cells: np.ndarray, change: np.ndarray) -> None:
    """Compute plots[cells] += change in place."""
    field = plots.reshape(-1, CHANNELS)
    for n in range(len(cells)):
        for c in range(CHANNELS):
            field[cells[n], c] += change[n, c]


@njit(cache=True)
def wipe(plots: np.ndarray, lives: np.ndarray) -> None:
    """Set plots[~lives] = 0 in place."""
    field, kept = plots.reshape(-1, CHANNELS), lives.ravel()
    for n in range(len(kept)):
        if not kept[n]:
            field[n] = 0
