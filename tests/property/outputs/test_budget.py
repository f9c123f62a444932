"""A stream's budget: pictures within the rate are never held, those above it are, and none for longer than was said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livereactor.runtime.outputs.fanout import DEBT, HINDSIGHT, LONGEST, Budget

RATES = st.floats(150_000, 10_000_000)
# Pauses, sizes in bytes, and rates told in between.
HISTORY = st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 200_000), st.none() | RATES), min_size=1, max_size=60)


@given(RATES, st.floats(5, 60))
def test_pictures_within_the_rate_are_never_held(bps: float, fps: float) -> None:
    budget = Budget()
    budget.follow(bps, 0.0)
    for number in range(100):
        now = number / fps
        assert budget.ready_at() <= now
        budget.spend(int(bps / fps / 8), now)


@given(HISTORY, RATES)
def test_whatever_comes_a_picture_may_be_made_within_the_longest_wait(
    history: list[tuple[float, int, float | None]], bps: float
) -> None:
    budget, now = Budget(), 0.0
    budget.follow(bps, now)
    for pause, size, told in history:
        now += pause
        if told is not None:
            budget.follow(told, now)
        assert budget.ready_at() <= now + LONGEST
        now = max(now, budget.ready_at())
        budget.spend(size, now)
    assert budget.ready_at() <= now + LONGEST


@given(RATES, st.integers(2, 12))
def test_pictures_that_cost_too_much_come_as_often_as_the_rate_pays(bps: float, times: int) -> None:
    """Each costs so many intervals of 30 fps; those made are as many as that, and what they owe stays bounded."""
    budget, size, made, seconds = Budget(), int(times * bps / 30 / 8), 0, 10
    budget.follow(bps, 0.0)
    for tick in range(30 * seconds):
        if budget.ready_at() <= tick / 30:
            budget.spend(size, tick / 30)
            made += 1
    paid = 30 * seconds / times
    assert paid - 2 <= made <= paid + 30 * DEBT / times + 2


def test_a_way_that_became_narrow_has_been_so_for_a_while() -> None:
    budget = Budget()
    budget.follow(8e6, 0.0)
    for tick in range(15):  # 2.4 Mbit/s for half a second: all through, as far as was known
        budget.spend(10_000, tick / 30)
    assert budget.ready_at() <= 0.5
    budget.follow(1e6, 0.5)  # 1.2 Mbit, of which half a second has passed
    assert 14 / 30 + LONGEST >= budget.ready_at() > 0.5 + DEBT
    budget.follow(9e5, 0.5 + HINDSIGHT + 0.1)  # and what is long past is not held against it again
    assert budget.ready_at() <= 0.5 + HINDSIGHT + 0.1 + DEBT


def test_after_the_longest_wait_what_was_owed_is_forgotten() -> None:
    budget = Budget()
    budget.follow(150_000, 0.0)
    budget.spend(1_000_000, 0.0)
    assert budget.ready_at() == LONGEST
    budget.spend(100, LONGEST)
    assert budget.ready_at() < LONGEST + 0.02
