import pytest

from livereactor.client.lifecycle.machine import (
    RETRIES,
    SESSION_POLLS,
    SILENCE_STEPS,
    Polls,
    Retries,
    Silence,
    SilenceAction,
)


def test_each_wait_is_twice_the_one_before_up_to_the_longest() -> None:
    polls = Polls(0.2, 10.0, 20)
    assert [polls.next() for _ in range(8)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])


def test_so_many_polls_and_no_more() -> None:
    polls = Polls(*SESSION_POLLS)
    waits = [polls.next() for _ in range(20)]
    assert waits[:19] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4] + [10.0] * 13)
    assert waits[19] is None


def test_polls_that_do_not_count_never_run_out() -> None:
    polls = Polls(0.2, 10.0, 2)
    assert all(polls.next(counts=False) for _ in range(100))
    assert polls.next() is not None
    assert polls.next() is None


def test_retries_come_further_apart_until_the_window_closes() -> None:
    now, made = 0.0, list[float]()
    retries = Retries(until=30.0)
    while (at := retries.next(now, chance=0.5)) is not None:
        made.append(at - now)
        now = at
    assert made == pytest.approx([*RETRIES, 8.0])


def test_a_retry_is_spread_by_a_fifth_either_way() -> None:
    assert Retries(30.0).next(0.0, chance=0.0) == pytest.approx(0.4)
    assert Retries(30.0).next(0.0, chance=1.0) == pytest.approx(0.6)


def walk(silence: Silence, *, heard_at: float, until: float) -> list[tuple[float, SilenceAction]]:
    steps: list[tuple[float, SilenceAction]] = []
    while (due := silence.deadline()) is not None and due <= until:
        steps += [(round(due, 3), step) for step in silence.due(due, heard_at)]
    return steps


def test_silence_is_probed_then_checked_then_offered_anew_then_given_up() -> None:
    assert walk(Silence(0.0), heard_at=0.0, until=10.0) == [(each.after, each.action) for each in SILENCE_STEPS]


def test_what_is_heard_begins_the_silence_anew() -> None:
    silence = Silence(0.0)
    assert silence.due(0.4, heard_at=0.0) == [SilenceAction.PROBE]
    assert silence.due(0.7, heard_at=0.5) == []
    assert silence.deadline() == pytest.approx(0.9)


def test_who_was_away_probes_before_it_draws_conclusions() -> None:
    silence = Silence(0.0)
    assert walk(silence, heard_at=0.0, until=0.4) == [(0.4, SilenceAction.PROBE)]
    assert SilenceAction.LOST not in silence.due(60.0, heard_at=0.0)
    assert walk(silence, heard_at=0.0, until=60.2) in ([(60.0, SilenceAction.PROBE)], [])
    assert silence.deadline() == pytest.approx(60.3)
