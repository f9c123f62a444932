"""The clock of a recording: play-out time that stands still while no step may run."""

from __future__ import annotations

import pytest

from livereactor.runtime.recording.media_clock import MediaClock


def running_since(at: float) -> MediaClock:
    clock = MediaClock()
    clock.run(True, at - 1)
    clock.begin(at)
    return clock


def test_it_is_zero_until_the_first_picture() -> None:
    clock = MediaClock()
    clock.run(True, 5.0)
    assert clock.at(100.0) == 0.0
    clock.begin(100.0)
    assert clock.at(100.0) == 0.0
    assert clock.at(102.5) == 2.5


def test_it_stands_while_no_step_runs() -> None:
    clock = running_since(100.0)
    clock.run(False, 103.0)
    assert clock.at(500.0) == 3.0
    clock.run(True, 600.0)
    assert clock.at(601.0) == 4.0


def test_what_was_shown_just_before_a_stop_keeps_its_time() -> None:
    clock = running_since(100.0)
    clock.run(False, 103.0)
    assert clock.at(102.75) == 2.75


def test_a_chunk_that_plays_on_takes_the_clock_with_it() -> None:
    clock = running_since(100.0)
    clock.run(False, 103.0)
    for at in (103.1, 103.2):
        clock.carry(at)
    assert clock.at(103.2) == pytest.approx(3.2)
    assert clock.at(110.0) == pytest.approx(3.2)


def test_a_lone_picture_long_after_a_stop_adds_nothing() -> None:
    clock = running_since(100.0)
    clock.run(False, 103.0)
    clock.carry(200.0)
    assert clock.at(200.0) == 3.0


def test_starting_twice_changes_nothing() -> None:
    clock = running_since(100.0)
    clock.run(True, 104.0)
    assert clock.at(105.0) == 5.0
