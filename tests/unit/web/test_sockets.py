"""Who may open one more connection."""

from __future__ import annotations

from livereactor.base.errors import QuotaError, UnavailableError
from livereactor.web.sockets import Sockets

NEAR, FAR, OTHER = "127.0.0.1", "192.0.2.7", "192.0.2.8"


def sockets(*, most: int = 4, kept: int = 2, of_address: int = 2) -> Sockets[int]:
    return Sockets(most=most, kept=kept, of_address=of_address, is_exempt=lambda address: address == NEAR)


def test_an_address_has_its_share_until_one_of_its_own_is_closed() -> None:
    some = sockets()
    assert [some.open(each, FAR).refusal for each in (1, 2)] == [None, None]
    refusal = some.open(3, FAR).refusal
    assert isinstance(refusal, QuotaError)
    assert (refusal.limit, refusal.current, refusal.http_status) == (2, 2, 429)
    assert some.open(4, OTHER).refusal is None
    some.close(1)
    some.close(1)
    assert some.open(5, FAR).refusal is None
    assert some.open(6, FAR).refusal is not None


def test_a_customers_ipv6_network_is_one_address() -> None:
    some = sockets()
    assert some.open(1, "2001:db8::1").refusal is None
    assert some.open(2, "2001:db8::2").refusal is None
    assert some.open(3, "2001:db8::3").refusal is not None
    assert some.open(4, "2001:db8:0:1::3").refusal is None


def test_the_longest_idle_makes_room() -> None:
    some = sockets(most=3)
    for each in (1, 2, 3):
        assert some.open(each, NEAR).displaced is None
    some.busy(1)
    some.busy(2)
    some.waiting(2)
    assert [some.open(each, NEAR).displaced for each in (4, 5, 6)] == [3, 2, 4]
    assert len(some) == 3


def test_workers_find_a_way_in_where_nobody_is_idle() -> None:
    some = sockets(most=2, kept=1)
    for each in (1, 2):
        some.open(each, NEAR)
        some.busy(each)
    assert some.open(3, NEAR).refusal is None
    some.busy(3)
    refusal = some.open(4, NEAR).refusal
    assert isinstance(refusal, UnavailableError)
    assert "3 of 2" in refusal.message
    some.close(3)
    assert some.open(4, NEAR).refusal is None


def test_a_websocket_counts_for_the_whole_and_for_no_address() -> None:
    some = sockets(most=3)
    for each in (1, 2, 3):
        assert some.open(each, FAR).refusal is None
        some.hand_over(each, each + 10)
    assert len(some) == 3
    assert some.open(4, FAR).displaced is None
    some.close(11)
    assert len(some) == 3


def test_one_that_made_room_is_not_heard_of_again() -> None:
    some = sockets(most=1)
    some.open(1, FAR)
    assert some.open(2, FAR).displaced == 1
    some.waiting(1)
    some.hand_over(1, 3)
    some.close(1)
    assert len(some) == 1
    assert some.open(4, FAR).displaced == 2
