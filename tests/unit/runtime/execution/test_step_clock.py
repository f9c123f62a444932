"""What counts as a step and what as a wait for input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import livereactor as lr
from livereactor.base.timing import StageFigures, StageName, Timings
from livereactor.media.frames import Frame
from livereactor.runtime.execution.model_thread import StepClock
from livereactor.runtime.interfaces import Call, CallMarks, SessionStart
from tests.unit.runtime.execution.rig import OWNER, PATIENCE, model_running


def stages(timings: Timings) -> dict[StageName, StageFigures]:
    return {each.stage: each for each in timings.figures()}


def test_a_wait_within_a_step_is_no_part_of_it() -> None:
    timings = Timings()
    clock = StepClock(timings)
    clock.begin(1.0)
    clock.waited(0.200)
    clock.end(1.250, waits=False)
    found = stages(timings)
    assert found[StageName.STEP].total_ms == pytest.approx(50, abs=0.01)
    assert found[StageName.INPUT_WAIT].total_ms == pytest.approx(200, abs=0.01)


def test_a_turn_that_asks_to_wait_is_no_step_and_the_wait_lasts_until_the_next_turn() -> None:
    timings = Timings()
    clock = StepClock(timings)
    clock.begin(1.0)
    clock.end(1.001, waits=True)
    clock.begin(1.101)
    clock.end(1.126, waits=False)
    found = stages(timings)
    assert (found[StageName.STEP].count, found[StageName.STEP].total_ms) == (1, pytest.approx(25, abs=0.01))
    assert (found[StageName.INPUT_WAIT].count, found[StageName.INPUT_WAIT].total_ms) == (
        1,
        pytest.approx(100, abs=0.01),
    )


class Echo(lr.Model):
    """Gives back what it sees."""

    main_video = lr.VideoOut(fps=60)
    webcam = lr.VideoIn()

    @lr.command
    def nothing(self) -> None:
        """Do nothing."""

    def stream(self) -> Iterator[np.ndarray]:
        for frame in self.webcam.frames():
            yield frame.pixels


def test_the_thread_counts_steps_waits_and_marks_a_command() -> None:
    timings, marks = Timings(), CallMarks()
    with model_running(Echo, start=SessionStart("ses_1", timings=timings)) as (thread, rig):
        thread.runner.input_active("webcam", True)
        thread.call(Call("nothing", {}, marks), OWNER).result(PATIENCE)
        for count in range(3):
            thread.feed("webcam", Frame(np.full((4, 4, 3), count, np.uint8)))
            rig.until(lambda wanted=count + 1: len(rig.emissions) >= wanted)
    found = stages(timings)
    assert found[StageName.STEP].count == 3
    assert found[StageName.INPUT_WAIT].count >= 1  # a step that is due at the tick finds nothing yet
    assert 0 < marks.taken <= marks.done


class Plain(lr.Model):
    """A picture after another."""

    main_video = lr.VideoOut(fps=60)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            yield np.zeros((4, 4, 3), np.uint8)


def test_each_session_has_its_own() -> None:
    first, second = Timings(), Timings()
    with model_running(Plain, start=SessionStart("ses_1", timings=first)) as (thread, rig):
        rig.until(lambda: len(rig.emissions) >= 3)
        thread.close("stopped").result(PATIENCE)
        before = stages(first)[StageName.STEP].count
        seen = len(rig.emissions)
        thread.open(SessionStart("ses_2", timings=second)).result(PATIENCE)
        rig.until(lambda: len(rig.emissions) >= seen + 3)
    assert stages(first)[StageName.STEP].count == before
    assert stages(second)[StageName.STEP].count >= 3
