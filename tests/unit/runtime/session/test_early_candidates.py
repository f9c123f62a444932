"""Candidates that wait for an offer: whose they are, and whose make room."""

from __future__ import annotations

import pytest

from livereactor.base.errors import LimitError
from livereactor.base.limits import Limits
from livereactor.engine.port import Candidate
from livereactor.runtime.session.early_candidates import EarlyCandidates, Sender

OWNER, OTHER_LINK, LINK = Sender("owner", 2), Sender("other link", 0), Sender("link", 0)
LIMITS = Limits(waiting_connections=4, candidates_per_connection=3)


def line(number: int) -> Candidate:
    return Candidate(f"candidate:{number} 1 udp 1 192.0.2.1 1 typ host", "0", 0)


def filled() -> EarlyCandidates:
    early = EarlyCandidates(LIMITS)
    for number in range(4):
        early.keep(2000 + number, line(number), LINK, 0.0)
    return early


def test_a_viewer_who_fills_all_places_keeps_the_owner_out_of_none() -> None:
    early = filled()
    for number in range(4):
        early.keep(3000 + number, line(number), OWNER, 1.0)
    assert all(early.count(3000 + number, OWNER.caller) == 1 for number in range(4))
    with pytest.raises(LimitError, match="4 of 4"):
        early.keep(2000, line(0), LINK, 1.0)


def test_one_link_leaves_another_its_share() -> None:
    early = filled()
    early.keep(3000, line(0), OTHER_LINK, 0.0)
    early.keep(3001, line(0), OTHER_LINK, 0.0)
    assert [early.count(each, LINK.caller) for each in range(2000, 2004)] == [0, 0, 1, 1]
    with pytest.raises(LimitError, match="waiting_connections"):
        early.keep(3002, line(0), OTHER_LINK, 0.0)


def test_a_viewer_takes_nothing_from_the_owner() -> None:
    early = EarlyCandidates(LIMITS)
    for number in range(4):
        early.keep(2000 + number, line(number), OWNER, 0.0)
    with pytest.raises(LimitError):
        early.keep(3000, line(0), LINK, 0.0)


def test_two_senders_on_one_connection_have_candidates_of_their_own() -> None:
    early = EarlyCandidates(LIMITS)
    for number in range(3):
        early.keep(1001, line(number), LINK, 0.0)
    with pytest.raises(LimitError, match="3 of 3"):
        early.keep(1001, line(3), LINK, 0.0)
    early.keep(1001, line(9), OWNER, 0.0)
    assert early.take(1001, OWNER.caller) == [line(9)]
    assert early.take(1001, OWNER.caller) == []
    assert early.count(1001, LINK.caller) == 3


def test_what_waited_too_long_goes_but_for_those_that_are_wanted() -> None:
    early = EarlyCandidates(LIMITS)
    early.keep(2000, line(0), OWNER, 0.0)
    early.keep(2001, line(0), OWNER, 0.0)
    early.keep(2002, line(0), OWNER, 5.0)
    early.drop_older_than(1.0, {2001})
    assert [early.count(each, OWNER.caller) for each in (2000, 2001, 2002)] == [0, 1, 1]


def test_room_is_asked_for_before_anything_is_kept() -> None:
    early = filled()
    assert early.must_have_room(2000, LINK) is None
    assert early.must_have_room(3000, OWNER) == (2000, LINK.caller)
    with pytest.raises(LimitError, match="waiting_connections"):
        early.must_have_room(3000, LINK)
    assert [early.count(each, LINK.caller) for each in range(2000, 2004)] == [1, 1, 1, 1]
