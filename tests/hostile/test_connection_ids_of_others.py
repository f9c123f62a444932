"""A holder of a share link who asks for connection ids until they come round."""

from __future__ import annotations

import pytest

from livereactor.base.errors import ConflictError
from livereactor.base.limits import Limits
from livereactor.runtime.session.member import FIRST_MINTED, LAST_CONNECTION, ConnectionIds

ALL = LAST_CONNECTION - FIRST_MINTED + 1


def test_ids_that_come_round_pass_over_the_owners() -> None:
    ids = ConnectionIds()
    owners = ids.mint("owner", ())
    links = {ids.mint("link", ()) for _ in range(2 * ALL)}
    assert owners not in links
    ids.check(owners, "owner", ())
    with pytest.raises(ConflictError):
        ids.check(owners, "link", ())


def test_a_caller_keeps_only_its_newest_ids() -> None:
    ids = ConnectionIds(most=3)
    minted = [ids.mint("link", {FIRST_MINTED}) for _ in range(10)]
    assert [ids.is_minted(each) for each in minted] == [False] * 7 + [True] * 3


def test_many_callers_together_take_no_id_of_one_who_holds_few() -> None:
    ids, most = ConnectionIds(), Limits().minted_ids
    owners = ids.mint("owner", ())
    for number in range(ALL // most + 2):
        for _ in range(most):
            ids.mint(f"link {number}", ())
    assert ids.mint("owner", ()) != owners
    ids.check(owners, "owner", ())
    assert ids.is_minted(owners)
