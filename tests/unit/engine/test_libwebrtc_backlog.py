"""What waits before a narrow network takes its share of the rate, and is looked for only while something may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livereactor.engine.libwebrtc.outputs import CALM, IN_TIME, LEAST, Backlog

RATES = st.integers(30_000, 10_000_000)


def suspecting() -> Backlog:
    """A way has become narrow."""
    backlog = Backlog()
    backlog.rate(8_000_000)
    backlog.rate(1_000_000)
    return backlog


@given(RATES)
def test_on_a_way_that_stays_as_it_is_nothing_is_looked_for_and_all_of_the_rate_is_for_new_pictures(bps: int) -> None:
    backlog = Backlog()
    assert [backlog.rate(bps) for _ in range(20)] == [bps] * 20
    assert not backlog.is_suspected


def test_what_waits_takes_its_share_until_it_is_through() -> None:
    backlog = suspecting()
    assert backlog.is_suspected
    backlog.sample(100, 10.0)
    backlog.sample(200, 60.0)  # 0.5 s each
    assert backlog.rate(1_000_000) == round(1_000_000 * (1.0 - 0.5 + IN_TIME))
    backlog.sample(300, 62.0)  # 0.02
    assert backlog.rate(1_000_000) == 1_000_000


@given(st.floats(0, 100), RATES)
def test_a_share_is_always_left_for_new_pictures(waited: float, bps: int) -> None:
    backlog = suspecting()
    backlog.sample(1, waited)
    assert round(LEAST * bps) <= backlog.rate(bps) <= bps


def test_when_nothing_has_waited_for_a_second_no_more_is_looked_for_until_the_next_fall() -> None:
    backlog = suspecting()
    for number in range(1, CALM):
        backlog.sample(number, 0.0)
        assert backlog.is_suspected
    backlog.sample(CALM, 0.0)
    assert not backlog.is_suspected
    backlog.rate(8_000_000)
    backlog.rate(2_000_000)
    assert backlog.is_suspected


def test_samples_in_which_nothing_was_sent_say_nothing() -> None:
    backlog = suspecting()
    backlog.sample(100, 50.0)
    backlog.sample(100, 50.0)
    assert backlog.rate(1_000_000) == round(1_000_000 * (1.0 - 0.5 + IN_TIME))
