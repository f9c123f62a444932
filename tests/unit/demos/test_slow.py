"""What the slow model promises: chunks that join smoothly, progress while they are made, changes with the next one."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from examples.slow import CHUNK, SHAPES, Slow
from livereactor.media.frames import Pixels
from livereactor.runtime.interfaces import MessageOut, ModelEvent
from livereactor.testing import Stage


def opened(**params: Any) -> Stage:
    stage = Stage(Slow).open()
    for name, value in params.items():
        stage.command(f"set_{name}", **{name: value})
    return stage


def chunk(stage: Stage) -> list[Pixels]:
    return list(stage.step().frames["main_video"])


def changes(frames: list[Pixels]) -> Any:
    """How far each frame is from the one before, in grey levels."""
    return np.array([np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)])


@pytest.fixture(scope="module")
def left_alone() -> list[list[Pixels]]:
    """The first two chunks where nobody does anything."""
    stage = opened()
    return [chunk(stage), chunk(stage)]


def same(a: list[Pixels], b: list[Pixels]) -> list[bool]:
    return [np.array_equal(one, other) for one, other in zip(a, b, strict=True)]


def test_a_step_makes_sixteen_frames_and_tells_how_far_it_is_meanwhile() -> None:
    stage = opened()
    for number in range(2):
        step = stage.step()
        assert [frame.shape for frame in step.frames["main_video"]] == [(360, 640, 3)] * CHUNK
        told = [message.data for message in step.messages if message.type == "rendering"]
        assert [each["chunk"] for each in told] == [number] * 4
        assert [each["done"] for each in told] == [0.25, 0.5, 0.75, 1.0]


def test_frames_change_smoothly_within_chunks_and_from_one_to_the_next() -> None:
    stage = opened(speed=1.0)
    chunk(stage)  # the light gathers
    moved = changes(chunk(stage) + chunk(stage))
    assert moved.min() > 0.05
    assert moved.max() < 8
    assert moved[CHUNK - 1] < 1.5 * np.delete(moved, CHUNK - 1).max()


@pytest.mark.parametrize(("name", "value"), [("shape", "veil"), ("colours", "lagoon"), ("speed", 1.0)])
def test_a_parameter_shows_from_the_first_frame_of_the_next_chunk(
    name: str, value: Any, left_alone: list[list[Pixels]]
) -> None:
    stage = opened()
    assert all(same(chunk(stage), left_alone[0]))
    stage.command(f"set_{name}", **{name: value})
    assert not any(same(chunk(stage), left_alone[1]))


class Meddling(Stage):
    """Changes everything in the middle of a chunk, as nobody can from outside."""

    meddles = False

    def publish(self, event: ModelEvent) -> None:
        super().publish(event)
        if self.meddles:
            model: Any = self.model
            model.shape, model.colours, model.speed, model.bend_x = "wing", "ghost", 1.0, 0.5


def test_a_chunk_is_made_from_what_was_set_before_it(left_alone: list[list[Pixels]]) -> None:
    stage = Meddling(Slow).open()
    stage.meddles = True
    assert all(same(chunk(stage), left_alone[0]))
    assert not any(same(chunk(stage), left_alone[1]))


def test_a_touch_bends_it_in_the_chunk_it_says(left_alone: list[list[Pixels]]) -> None:
    stage = opened()
    chunk(stage)
    assert stage.command("bend", x=0.9, y=0.1) == MessageOut("bent", {"chunk": 1})
    assert not any(same(chunk(stage), left_alone[1]))


def test_a_touch_never_makes_it_jump() -> None:
    stage = opened()
    frames = [frame for _ in range(2) for frame in chunk(stage)]
    stage.command("bend", x=1.0, y=0.0)
    stage.command("set_shape", shape="wing")
    frames += chunk(stage)
    assert changes(frames[CHUNK:]).max() < 10


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_fills_the_picture_with_light(shape: str) -> None:
    stage = opened(shape=shape)
    picture = [chunk(stage) for _ in range(2)][-1][-1].max(axis=2)
    lit = picture > 40
    assert lit.mean() > 0.06
    assert lit.any(axis=0).mean() > 0.7
    assert lit.any(axis=1).mean() > 0.7
    assert picture.max() > 200


def test_a_session_sees_nothing_of_the_last_one(left_alone: list[list[Pixels]]) -> None:
    stage = opened(colours="ghost")
    stage.command("bend", x=0, y=1)
    assert not any(same(left_alone[0], chunk(stage)))
    stage.open()
    assert all(same(left_alone[0], chunk(stage)))


@pytest.mark.long
def test_a_chunk_is_made_while_the_last_one_plays() -> None:
    spent = list[float]()
    with Stage(Slow) as stage:
        for _ in range(8):
            before = time.thread_time()
            stage.step()
            spent.append(time.thread_time() - before)
    assert 0.1 < sorted(spent)[4] < 0.9 * CHUNK / 30  # slow, but never too slow
