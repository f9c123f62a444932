"""How long a Ticket waits: by hand, for queues that one can play forward in the head."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.coordinator.decisions.places import FAR, Forecast, forecast
from livereactor.store.records import SessionRecord, SessionState

seconds = st.floats(0.0, 10_000.0)
SECOND = 1_000_000


def ran(**more: Any) -> SessionRecord:
    return SessionRecord("ses", "tests", "pond", SessionState.CLOSED, 0, 0, **more)


def test_nothing_is_said_while_nothing_is_known() -> None:
    assert Forecast(durations=[], ages=[1.0], slots=1).wait(1) is None
    assert Forecast(durations=[10.0], ages=[], slots=0).wait(1) is None


@pytest.mark.parametrize(
    ("ages", "slots", "position", "waits"),
    [
        ([], 1, 1, 0.0),  # a Slot is free
        ([], 1, 3, 20.0),  # two before it, ten seconds each
        ([4.0], 1, 1, 6.0),  # what runs there has had four of its ten
        ([4.0], 1, 2, 16.0),
        ([4.0, 9.0], 2, 1, 1.0),  # the one that ends first
        ([4.0, 9.0], 2, 2, 6.0),
        ([4.0, 9.0], 2, 3, 11.0),
        ([25.0], 1, 1, 5.0),  # it outlasts all that are known: half of what one takes
        ([4.0, 9.0, 2.0], 2, 2, 6.0),  # more run than there are Slots, as where a Worker drains
    ],
)
def test_slots_are_played_forward(ages: list[float], slots: int, position: int, waits: float) -> None:
    assert Forecast(durations=[10.0], ages=ages, slots=slots).wait(position) == pytest.approx(waits)


def test_what_runs_takes_as_long_as_those_before_that_lasted_so_long() -> None:
    known = Forecast(durations=[2.0, 2.0, 2.0, 100.0], ages=[10.0], slots=1)
    assert known.wait(1) == pytest.approx(90.0)


def test_far_places_are_drawn_out_in_proportion() -> None:
    known = Forecast(durations=[10.0], ages=[0.0], slots=1)
    at_the_edge = known.wait(FAR)
    assert at_the_edge is not None
    assert at_the_edge == pytest.approx(10.0 * FAR)
    assert known.wait(10 * FAR) == pytest.approx(10 * at_the_edge)


@given(st.lists(seconds, min_size=1, max_size=20), st.lists(seconds, max_size=8), st.integers(1, 8), st.integers(1, 60))
def test_nobody_waits_longer_than_the_one_behind(
    durations: list[float], ages: list[float], slots: int, position: int
) -> None:
    known = Forecast(durations, ages[:slots], slots)
    here, behind = known.wait(position), known.wait(position + 1)
    assert here is not None
    assert behind is not None
    assert 0.0 <= here <= behind + 1e-6


def test_durations_are_from_assignment_to_end_and_a_clock_that_ran_back_tells_nothing() -> None:
    recent = [
        ran(assigned_us=5 * SECOND, ended_us=15 * SECOND),
        ran(assigned_us=15 * SECOND, ended_us=5 * SECOND),
        ran(assigned_us=None, ended_us=5 * SECOND),
    ]
    running = [ran(assigned_us=20 * SECOND), ran(assigned_us=40 * SECOND), ran(assigned_us=None)]
    known = forecast(recent, running, slots=2, now_us=30 * SECOND)
    assert known == Forecast(durations=[10.0], ages=[10.0, 0.0], slots=2, error=None)


def test_estimates_are_measured_by_what_the_wait_became() -> None:
    recent = [
        ran(assigned_us=10 * SECOND, estimate_us=8 * SECOND),
        ran(assigned_us=10 * SECOND, estimate_us=16 * SECOND),
        ran(assigned_us=99 * SECOND, estimate_us=0, requeues=1),  # it waited twice, and was told of the first wait
        ran(assigned_us=10 * SECOND),  # it was told nothing
    ]
    assert forecast(recent, [], slots=1, now_us=0).error == pytest.approx(4.0)
