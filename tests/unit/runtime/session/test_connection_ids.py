"""Numbers of Connections: whose each is, and for how long."""

from __future__ import annotations

import pytest

from livereactor.base.errors import ConflictError, PeerError
from livereactor.runtime.session.member import FIRST_MINTED, FLAT_CONNECTION, LAST_CONNECTION, ConnectionIds


def test_a_minted_number_is_its_callers_until_the_session_ends() -> None:
    numbers = ConnectionIds()
    number = numbers.mint("ann", ())
    numbers.check(number, "ann", ())
    for there in ((), (number,)):  # whether or not there is a Connection by now
        with pytest.raises(ConflictError, match="another client's"):
            numbers.check(number, "bob", there)
    numbers.forget()
    numbers.check(number, "bob", ())
    assert not numbers.is_minted(number)


def test_a_chosen_number_is_its_callers_while_he_is_there() -> None:
    numbers = ConnectionIds()
    numbers.check(FLAT_CONNECTION, "ann", ())
    numbers.claim(FLAT_CONNECTION, "ann")
    with pytest.raises(ConflictError):
        numbers.check(FLAT_CONNECTION, "bob", (FLAT_CONNECTION,))
    numbers.check(FLAT_CONNECTION, "bob", ())
    numbers.claim(FLAT_CONNECTION, "bob")
    with pytest.raises(ConflictError):
        numbers.check(FLAT_CONNECTION, "ann", (FLAT_CONNECTION,))


def test_where_nobody_is_told_apart_everybody_may_use_every_number() -> None:
    numbers = ConnectionIds()
    number = numbers.mint("", ())
    numbers.check(number, "", (number,))


def test_numbers_come_round_and_pass_over_those_that_are_there() -> None:
    numbers, there = ConnectionIds(), {FIRST_MINTED}
    minted = {numbers.mint("ann", there) for _ in range(LAST_CONNECTION - FIRST_MINTED)}
    assert minted == set(range(FIRST_MINTED + 1, LAST_CONNECTION + 1))
    assert numbers.mint("bob", there) == FIRST_MINTED + 1
    numbers.check(FIRST_MINTED + 1, "bob", ())


@pytest.mark.parametrize("number", [-1, 0, FLAT_CONNECTION - 1, LAST_CONNECTION + 1])
def test_a_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(PeerError, match="1001 to 9999"):
        ConnectionIds().check(number, "", ())
