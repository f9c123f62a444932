"""Key wishes: bounded in number, and none is forgotten."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.media.key_frame_requests import JOINS_A_SECOND, KeyFrameRequests

EVENTS = st.lists(st.tuples(st.sampled_from(["wish", "join", "frame"]), st.floats(0, 0.6)), max_size=60)


def history(events: list[tuple[str, float]]) -> None:
    keys, now, granted, pending = KeyFrameRequests(), 0.0, list[float](), False
    for kind, pause in events:
        now += pause
        match kind:
            case "wish":
                keys.request()
                pending = True
            case "join":
                keys.request_for_join()
                pending = True
            case _:
                if keys.grant(now):
                    assert pending
                    granted.append(now)
                    pending = False
        assert (keys.deadline() is not None) == pending
    for at in granted:
        assert sum(at <= other < at + 1.0 for other in granted) <= JOINS_A_SECOND + 1
    if (deadline := keys.deadline()) is not None:
        assert deadline <= now + 1.0
        assert keys.grant(max(now, deadline))


@settings(deadline=None)
@given(EVENTS)
def test_at_most_five_a_second_and_each_wish_is_fulfilled_within_one(events: list[tuple[str, float]]) -> None:
    history(events)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_bounds_hold_in_a_million_histories() -> None:
    dice = random.Random(1)
    for _ in range(1_000_000):
        history([(dice.choice(["wish", "join", "frame"]), 0.6 * dice.random()) for _ in range(dice.randint(0, 30))])


def test_wishes_of_all_viewers_share_one_key_frame_a_second() -> None:
    keys = KeyFrameRequests()
    granted = list[float]()
    for tenth in range(40):
        keys.request()
        if keys.grant(tenth / 10):
            granted.append(tenth / 10)
    assert granted == [0.0, 1.0, 2.0, 3.0]


def test_a_join_is_served_at_once_though_a_wish_was_just_fulfilled() -> None:
    keys = KeyFrameRequests()
    keys.request()
    assert keys.grant(0.0)
    keys.request_for_join()
    assert keys.grant(0.01)


def test_no_key_frame_without_a_wish() -> None:
    assert not KeyFrameRequests().grant(5.0)
