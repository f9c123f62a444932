"""The tutorial's Pond, as printed in the design."""

from __future__ import annotations

import time

import numpy as np
import pytest

from examples.pond import Dropped, Pond
from livereactor.base.errors import InvalidCommandError
from livereactor.runtime.interfaces import MessageOut
from livereactor.testing import Stage


def test_a_drop_is_confirmed_and_changes_the_picture() -> None:
    with Stage(Pond) as touched, Stage(Pond) as calm:
        reply = touched.command("drop", x=0.5, y=0.5, strength=3)
        assert reply == MessageOut("dropped", {"x": 0.5, "y": 0.5})
        a, b = (stage.run(0.1)[-1][1].frames["main_video"][0] for stage in (touched, calm))
        assert a.shape == (360, 640, 3)
        assert np.abs(a.astype(int) - b)[140:220, 280:360].mean() > 3
        assert np.array_equal(a[:60, :60], b[:60, :60])


def test_rain_is_a_parameter_within_its_bounds_and_back_at_its_default_for_the_next_session() -> None:
    stage = Stage(Pond).open()
    assert stage.command("set_rain", rain=1) is None
    assert stage.model.rain == 1.0  # type: ignore[attr-defined]
    with pytest.raises(InvalidCommandError, match=r"set_rain.rain: 9(.0)? is above 1"):
        stage.command("set_rain", rain=9)
    stage.open()
    assert stage.model.rain == 0.2  # type: ignore[attr-defined]


def test_two_sessions_see_the_same_rain() -> None:
    stage = Stage(Pond).open()
    first = [stage.step().frames["main_video"][0] for _ in range(20)]
    stage.command("drop", x=0.1, y=0.1)
    stage.open()
    again = [stage.step().frames["main_video"][0] for _ in range(20)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_message_is_a_frozen_dataclass() -> None:
    assert Dropped(x=1, y=2) == Dropped(1, 2)
    with pytest.raises(AttributeError):
        Dropped(1, 2).x = 3  # type: ignore[misc]


@pytest.mark.long
def test_a_frame_takes_at_most_8_ms_of_one_core() -> None:
    spent: list[float] = []
    with Stage(Pond) as stage:
        for _ in range(60):
            before = time.thread_time()
            stage.step()
            spent.append(time.thread_time() - before)
    assert sorted(spent)[30] < 0.008
