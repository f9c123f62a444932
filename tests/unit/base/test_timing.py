"""Histograms of stages: figures are right, whatever is added, and adding costs next to nothing."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.timing import StageName, Timing, Timings

ANY_US = st.integers(0, 120_000_000)


def figures_of(timing: Timing):
    found = timing.figures(StageName.STEP, None)
    assert found is not None
    return found


@given(st.lists(ANY_US, min_size=1, max_size=200))
def test_percentiles_are_right_to_six_percent_and_sums_exactly(durations: list[int]) -> None:
    timing = Timing()
    for us in durations:
        timing.add((us + 0.5) / 1e6)
    found, ordered = figures_of(timing), sorted(durations)
    assert found.count == len(durations)
    assert found.total_ms == sum(durations) / 1e3
    assert found.max_ms == ordered[-1] / 1e3
    for share, shown_ms in ((0.5, found.p50_ms), (0.95, found.p95_ms), (0.99, found.p99_ms)):
        exact = next(us for rank, us in enumerate(ordered, 1) if rank >= share * len(ordered))
        assert abs(shown_ms * 1e3 - exact) <= 1 + exact / 16


@given(st.floats(allow_nan=False, min_value=-1e6, max_value=1e12))
def test_a_clock_that_goes_back_and_a_step_that_never_ends_are_counted_too(seconds: float) -> None:
    timing = Timing()
    timing.add(seconds)
    found = figures_of(timing)
    assert found.count == 1
    assert 0 <= found.p50_ms <= found.max_ms <= 135_000


def test_what_did_not_take_place_is_not_there_and_the_rest_stands_in_the_order_of_the_way() -> None:
    timings = Timings()
    timings.of(StageName.DECODE, "main_video")
    for stage, track in ((StageName.SEND, "b"), (StageName.STEP, None), (StageName.QUEUE, "b"), (StageName.SEND, "a")):
        timings.of(stage, track).add(0.001)
    timings.of(StageName.COMMANDS).add(0.001, 3)
    assert [(each.stage.value, each.track, each.count) for each in timings.figures()] == [
        ("commands", None, 3),
        ("step", None, 1),
        ("queue", "b", 1),
        ("send", "a", 1),
        ("send", "b", 1),
    ]


def test_it_can_be_read_while_a_thread_adds() -> None:
    timing, over = Timing(), threading.Event()

    def add() -> None:
        while not over.is_set():
            timing.add(0.010)

    adding = threading.Thread(target=add)
    adding.start()
    try:
        while timing.figures(StageName.STEP, None) is None:
            pass
        for _ in range(200):
            found = figures_of(timing)
            assert 9.4 <= found.p50_ms <= found.p99_ms <= found.max_ms == 10.0
    finally:
        over.set()
        adding.join()


def test_it_costs_a_frame_next_to_nothing() -> None:
    """Against a loop that reads the clock as often, which a frame's way does anyway; the best of several rounds."""
    timing, rounds, count = Timing(), 7, 5000

    def looped(add) -> float:
        began = time.perf_counter()
        for _ in range(count):
            started = time.perf_counter()
            add(time.perf_counter() - started + 0.0123)
        return (time.perf_counter() - began) / count

    with_it = min(looped(timing.add) for _ in range(rounds))
    without = min(looped(abs) for _ in range(rounds))
    # Twelve stages of a frame cost less than a hundredth of a frame's time at 60 frames a second.
    assert 12 * (with_it - without) < 1 / 60 / 100
