"""What the model of two processes promises: one picture of both, and no waiting for a rank that has died."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import numpy as np
import pytest

from examples.ranks import HEIGHT, Ranks
from livereactor.testing import Stage

HALF = HEIGHT // 2


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(Ranks) as stage:
        yield stage
    for other in multiprocessing.active_children():
        other.kill()
        other.join()


def moved(stage: Stage, frames: int) -> tuple[bool, bool]:
    """Whether the water moves in the half of each rank."""
    picture = [stage.step().frames["main_video"][0] for _ in range(frames)][-1]
    still = picture[0, 0]
    return bool(np.any(picture[:HALF] != still)), bool(np.any(picture[HALF:] != still))


def test_a_wave_crosses_from_one_rank_to_the_other_and_is_gone_with_the_session(stage: Stage) -> None:
    stage.command("drop", x=0.5, y=0.4)
    assert moved(stage, 2) == (True, False)
    assert moved(stage, 60) == (True, True)
    stage.close()
    stage.open()
    assert moved(stage, 2) == (False, False)


def test_a_rank_that_died_is_not_waited_for(stage: Stage) -> None:
    moved(stage, 1)
    (other,) = multiprocessing.active_children()
    other.kill()
    with pytest.raises((EOFError, ConnectionError)):
        moved(stage, 2)
    stage.close()
    with pytest.raises(RuntimeError, match="a rank has died"):
        stage.open()
