"""Trains the garden's network on the drawings of pictures.py and writes weights.npz. Needs only what the garden needs.

    export OPENBLAS_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=10000000000
    export MALLOC_TOP_PAD_=100000000
    python examples/garden/train.py --rounds 6000 --seed 4
    python examples/garden/train.py --rounds 2200 --seed 5 --further

Training takes 15 minutes on one core. The weights record how they were made (`made_by`). The malloc settings keep Linux
from taking memory back at each step, which would cost half the time. Another BLAS rounds differently: the weights are
as good, but not bit-identical.

A round takes eight organisms out of a pool, lets them grow for about fifty steps, compares them with the pictures of
their genomes, backpropagates along the steps (by hand below: the network is small), and puts them back. The worst ones
start again as seeds. So the pool contains organisms of every age, and the network learns to stay grown, not only to
grow. Later the best ones are wounded and learn to heal, and others get a new genome and learn to turn into something
else. Pool and wounds follow Mordvintsev et al. (automaton.py).
"""

import argparse
import platform
import time
from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path

import numba
import numpy as np
from automaton import ALIVE, CHANNELS, SENSES, SIDE, SPECIES, Trace, Weights, cut, genome, seeds, step, wipe
from numba import njit
from pictures import picture

HIDDEN = 96
BATCH, POOL = 8, 160
STEPS = (40, 60)  # of a round; the far corner of a picture is about 30 steps from the seed
FIRST = 0.25  # share of the rounds in which organisms, each of one species, only learn to grow and stay
BLENDED = 0.3  # afterwards: share of organisms between two species
BLENDS = 8  # steps from one species to another
FAST, SLOW = 2e-3, 5e-5  # learning rate at the start and at the end
CALMING = 0.005  # the file holds a running mean of the weights: share of the newest


@dataclass
class Organisms:
    """Organisms trained together: their plots, genomes and target pictures."""

    plots: np.ndarray  # float32, (n, SIDE, SIDE, CHANNELS)
    genomes: np.ndarray  # float32, (n, len(SPECIES))
    targets: np.ndarray  # float32, (n, SIDE, SIDE, 4)

    @classmethod
    def sown(cls, number: int, chance: np.random.Generator) -> "Organisms":
        sown = cls(
            seeds(number),
            np.zeros((number, len(SPECIES)), np.float32),
            np.zeros((number, SIDE, SIDE, 4), np.float32),
        )
        for place in range(number):
            sown.change(place, chance)
        return sown

    def change(self, place: int, chance: np.random.Generator, blended: float = 0.0) -> None:
        """Give one organism a random genome; with probability `blended`, one between two species."""
        species, other = chance.permutation(SPECIES)[:2]
        blend = chance.integers(1, BLENDS) / BLENDS if chance.random() < blended else 0.0
        self.genomes[place] = genome(species, other, blend)
        self.targets[place] = picture(str(species), str(other), blend)

    def wound(self, place: int, chance: np.random.Generator) -> None:
        """Cut a random round hole into one organism."""
        row, column = chance.uniform(5, SIDE - 5, 2)
        cut(self.plots[place], row, column, chance.uniform(2, 7))

    def taken(self, places: np.ndarray) -> "Organisms":
        """Copy some organisms."""
        return Organisms(**{each.name: getattr(self, each.name)[places] for each in fields(self)})

    def put(self, places: np.ndarray, grown: "Organisms") -> None:
        for each in fields(self):
            getattr(self, each.name)[places] = getattr(grown, each.name)

    def errors(self) -> np.ndarray:
        """Return each organism's mean square error over cells and RGBA: shape (n,)."""
        return np.square(self.plots[..., :4] - self.targets).mean(axis=(1, 2, 3))


def fresh_weights(chance: np.random.Generator) -> Weights:
    """Return a network that does not change anything yet."""
    spread = np.sqrt(2 / SENSES)
    inward = chance.normal(0, spread, (SENSES, HIDDEN)).astype(np.float32)
    return Weights(inward, np.zeros(HIDDEN, np.float32), np.zeros((HIDDEN, CHANNELS), np.float32))


def gradient(batch: Organisms, traces: list[Trace], weights: Weights) -> Weights:
    """Return the gradient of the batch's mean error with respect to the weights, back along the steps."""
    total = Weights(*(np.zeros_like(getattr(weights, each.name)) for each in fields(Weights)))
    upon = np.zeros_like(batch.plots)  # gradient of the error with respect to the plots after a step
    upon[..., :4] = 2 * (batch.plots[..., :4] - batch.targets) / batch.targets.size
    for trace in reversed(traces):
        wipe(upon, trace.lives)
        change = upon.reshape(-1, CHANNELS).take(trace.cells, axis=0)
        total.outward += trace.hidden.T @ change
        hidden = change @ weights.outward.T
        rectify_back(hidden, trace.hidden)
        total.bias += hidden.sum(axis=0)
        total.inward += trace.senses.T @ hidden
        spread_back(upon, trace.cells, hidden @ weights.inward[: 3 * CHANNELS].T)
    return total


@njit(cache=True, fastmath=True)
def spread_back(upon: np.ndarray, cells: np.ndarray, senses: np.ndarray) -> None:
    """Apply the transpose of `perceive`: the gradient of a cell's senses goes to its neighbours."""
    field = upon.reshape(-1, CHANNELS)
    for n in range(len(cells)):
        at = cells[n]
        above, below = at - SIDE, at + SIDE
        for c in range(CHANNELS):
            along_x, along_y = senses[n, CHANNELS + c] / 8, senses[n, 2 * CHANNELS + c] / 8
            field[at, c] += senses[n, c]
            field[at + 1, c] += 2 * along_x
            field[at - 1, c] -= 2 * along_x
            field[below, c] += 2 * along_y
            field[above, c] -= 2 * along_y
            field[below + 1, c] += along_x + along_y
            field[above - 1, c] -= along_x + along_y
            field[above + 1, c] += along_x - along_y
            field[below - 1, c] -= along_x - along_y


@njit(cache=True, fastmath=True)
def rectify_back(upon: np.ndarray, hidden: np.ndarray) -> None:
    """Set upon[hidden == 0] = 0 in place."""
    for n in range(hidden.shape[0]):
        for unit in range(hidden.shape[1]):
            upon[n, unit] = upon[n, unit] if hidden[n, unit] > 0 else np.float32(0)


class Adam:
    """Adam (Kingma and Ba, 2015) on normalised gradients: after many steps their length is arbitrary."""

    def __init__(self, weights: Weights) -> None:
        self.weights, self.count = weights, 0
        self.mean = {each.name: np.zeros_like(getattr(weights, each.name)) for each in fields(Weights)}
        self.square = {name: np.zeros_like(mean) for name, mean in self.mean.items()}

    def follow(self, slope: Weights, rate: float) -> None:
        self.count += 1
        for name, mean in self.mean.items():
            unit = getattr(slope, name)
            unit = unit / (np.linalg.norm(unit) + 1e-8)
            square = self.square[name]
            mean += 0.1 * (unit - mean)
            square += 0.001 * (unit**2 - square)
            change = mean / (1 - 0.9**self.count) / (np.sqrt(square / (1 - 0.999**self.count)) + 1e-8)
            getattr(self.weights, name)[:] -= rate * change


def trained(
    rounds: int, seed: int, file: Path, made_by: str, start: Weights | None = None
) -> tuple[Weights, list[float]]:
    """Train; return the averaged weights and the mean error of each round. Saves every hundred rounds."""
    chance, began = np.random.default_rng(seed), time.monotonic()
    weights, pool, errors = start or fresh_weights(chance), Organisms.sown(POOL, chance), list[float]()
    calm, adam = deepcopy(weights), Adam(weights)
    for done in range(rounds):
        places = chance.choice(POOL, BATCH, replace=False)
        batch = pool.taken(places)
        prepare(batch, chance, is_first=start is None and done < FIRST * rounds)
        traces = [step(batch.plots, batch.genomes, weights, chance) for _ in range(chance.integers(*STEPS))]
        errors.append(float(batch.errors().mean()))
        fast = FAST if start is None else FAST / 4
        rate = SLOW + (fast - SLOW) * (1 + np.cos(np.pi * done / rounds)) / 2
        adam.follow(gradient(batch, traces, weights), rate)
        for name, mean in vars(calm).items():
            mean += (getattr(weights, name) - mean) * max(CALMING, 1 / (done + 1))
        pool.put(places, batch)
        if done % 100 == 99 or done + 1 == rounds:
            spent = time.monotonic() - began
            print(f"{done + 1} rounds  {spent:.0f} s  error {np.mean(errors[-100:]):.5f}", flush=True)
            write(file, calm, f"{made_by}; {done + 1} rounds in {spent:.0f} s")
    return calm, errors


def prepare(batch: Organisms, chance: np.random.Generator, is_first: bool) -> None:
    """Reset the worst two to seeds; later, reset one, give one another genome, and wound the best two."""
    worst, second, *_, other, best = np.argsort(batch.errors())[::-1]
    blended = 0.0 if is_first else BLENDED
    batch.plots[batch.plots[..., 3].max(axis=(1, 2)) <= ALIVE] = seeds(1)
    batch.plots[worst] = seeds(1)[0]
    for place in (worst, second):
        batch.change(place, chance, blended)
    if is_first:
        batch.plots[second] = seeds(1)[0]
    else:
        batch.wound(best, chance)
        batch.wound(other, chance)


def write(file: Path, weights: Weights, made_by: str) -> None:
    held = {each.name: getattr(weights, each.name) for each in fields(Weights)}
    np.savez(file, **held, made_by=np.array(made_by))


def main() -> None:
    ask = argparse.ArgumentParser(description="Train the garden's network.")
    ask.add_argument("--rounds", type=int, default=6000)
    ask.add_argument("--seed", type=int, default=4)
    ask.add_argument("--out", type=Path, default=Path(__file__).with_name("weights.npz"))
    ask.add_argument("--further", action="store_true", help="Continue from the existing weights.")
    given = ask.parse_args()
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}"
    made_by = f"train.py --rounds {given.rounds} --seed {given.seed}; {time.strftime('%Y-%m-%d')}; {versions}"
    start = None
    if given.further:
        start, made_by = Weights.read(given.out), f"{said(given.out)}\nand --further: {made_by}"
    trained(given.rounds, given.seed, given.out, made_by, start)


def said(file: Path) -> str:
    """Return the `made_by` of the weights in a file."""
    with np.load(file) as held:
        return str(held["made_by"])


if __name__ == "__main__":
    main()
