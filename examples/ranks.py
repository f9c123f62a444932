"""Water in two processes: each computes half of the picture, and one of them streams it.

`livereactor run examples/ranks.py`. Large models are split into ranks like this, one for each GPU. All ranks compute.
Rank 0 is the model's own process: it sets the pace, takes the commands and yields the frames.
"""

import multiprocessing
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]
WIDTH, HEIGHT, RANKS = 640, 360, 2
LOADING, PATIENCE = 120.0, 10.0  # seconds that a rank may take to load, and for its part of a frame


class Ranks(lr.Model):
    """Water, computed by two processes. Touch it to make waves."""

    main_video = lr.VideoOut(width=WIDTH, height=HEIGHT, fps=30)

    def load(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would share GPU driver state, which breaks
        memory = spawn.RawArray("f", 2 * HEIGHT * WIDTH)
        self.water, self.turn = shared(memory), 0
        self.others: list[Connection] = []
        for rank in range(1, RANKS):
            ours, theirs = spawn.Pipe()
            spawn.Process(target=compute, args=(rank, memory, theirs), daemon=True).start()
            theirs.close()  # only the rank holds it now, so that `ours` reports when the rank ends
            self.others.append(ours)
        self.gather(LOADING)

    def open(self, session: lr.Session) -> None:
        if any(other.poll() for other in self.others):  # nothing was asked, so this is the end of the rank
            raise RuntimeError("a rank has died")  # ends this worker, which is then replaced
        self.water[:] = 0

    @lr.command
    def drop(self, x: Unit, y: Unit) -> None:
        """Let a drop fall."""
        row, column = int(y * (HEIGHT - 1)), int(x * (WIDTH - 1))
        self.water[:, max(0, row - 4) : row + 5, max(0, column - 4) : column + 5] -= 1.0

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            for other in self.others:
                other.send(self.turn)
            step(self.water, self.turn, rank=0)
            self.gather(PATIENCE)
            self.turn += 1
            yield picture(self.water[self.turn % 2])

    def gather(self, timeout: float) -> None:
        """Wait until every rank has done its part; raise EOFError or ConnectionError if one died."""
        for other in self.others:
            if not other.poll(timeout):
                raise TimeoutError(f"a rank did not finish within {timeout:g} s")
            other.recv()


def compute(rank: int, memory: Any, zero: Connection) -> None:
    """Run another rank: compute its part of every frame until rank 0 ends. Its GPU would be `cuda:{rank}`."""
    water = shared(memory)
    with suppress(EOFError, ConnectionError):
        while True:
            zero.send(None)
            step(water, zero.recv(), rank)


def step(water: np.ndarray, turn: int, rank: int) -> None:
    """Compute a rank's rows of the next moment, over those of the moment before."""
    now, then = water[turn % 2], water[(turn + 1) % 2]
    rows = np.arange(rank * HEIGHT // RANKS, (rank + 1) * HEIGHT // RANKS)
    mine = now[rows]
    around = now[(rows - 1) % HEIGHT] + now[(rows + 1) % HEIGHT] + np.roll(mine, 1, axis=1) + np.roll(mine, -1, axis=1)
    then[rows] = (around / 2 - then[rows]) * 0.985


def picture(height: np.ndarray) -> np.ndarray:
    light = np.clip(128 + 400 * (height - np.roll(height, 2, axis=1)), 0, 255).astype(np.uint8)
    return np.dstack([light // 3, light // 2 + 30, light // 2 + 90])


def shared(memory: Any) -> np.ndarray:
    return np.frombuffer(memory, dtype=np.float32).reshape(2, HEIGHT, WIDTH)
