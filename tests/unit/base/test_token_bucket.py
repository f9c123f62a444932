"""A token bucket never lets through more than it may, and always what it may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.token_bucket import TokenBucket

STEPS = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20)), max_size=60)


def test_a_full_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 5)
    assert [bucket.take(1, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.wait(1) == 0.1
    assert bucket.take(1, 0.125)
    assert not bucket.take(1, 0.125)


def test_what_was_given_back_can_be_taken_and_does_not_overflow() -> None:
    bucket = TokenBucket(1, 3)
    assert bucket.take(3, 0.0)
    bucket.give(10)
    assert [bucket.take(1, 0.0) for _ in range(4)] == [True, True, True, False]


@given(STEPS)
def test_no_more_than_burst_and_rate_pass_in_any_time(steps: list[tuple[float, int]]) -> None:
    bucket, now, passed = TokenBucket(7, 30), 0.0, 0
    for pause, amount in steps:
        now += pause
        if bucket.take(amount, now):
            passed += amount
        else:
            assert bucket.wait(amount) > 0
        assert passed <= 30 + 7 * now + 1e-6


@given(STEPS)
def test_a_client_that_waits_as_told_is_let_through(steps: list[tuple[float, int]]) -> None:
    bucket, now = TokenBucket(7, 30), 0.0
    for _, amount in steps:
        if not bucket.take(amount, now):
            now += bucket.wait(amount) + 1e-6
            assert bucket.take(amount, now)
