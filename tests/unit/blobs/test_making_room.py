"""Room for another upload: what share links have reserved and not written never refuses the owner."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from livereactor.base.errors import LimitError, LivereactorError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.blobs.uploads import make_room

LIMITS = Limits(upload_bytes=10, upload_session_bytes=40, upload_slots=6)
NOW = 1_000.0


@dataclass(frozen=True)
class Place:
    id: str
    size_bytes: int = 10
    link: str = ""
    left: float = 900.0  # seconds until its address expires
    landed: bool = False
    key: str = "k"

    @property
    def expires_us(self) -> int:
        return int((NOW + self.left) * 1e6)


def room(asked: Place, *slots: Place) -> list[str]:
    return [each.id for each in make_room(asked, slots, LIMITS, now=NOW, is_taken=False)]


def test_one_link_reserves_at_most_half_of_bytes_and_of_files() -> None:
    assert room(Place("c", link="one"), Place("a", link="one")) == []
    with pytest.raises(LimitError, match=r"20 bytes of 20 bytes .* try again in 800 s"):
        room(Place("c", link="one"), Place("a", link="one"), Place("b", link="one", left=800))
    small = [Place(f"{n}", 1, link="one") for n in range(3)]
    with pytest.raises(LimitError, match="3 of 3 files"):
        room(Place("c", 1, link="one"), *small)
    assert room(Place("c", link="two"), *small) == []


def test_what_a_link_has_written_does_not_count_as_reserved() -> None:
    assert room(Place("c", link="one"), *(Place(f"{n}", landed=True, link="one") for n in range(3))) == []


def test_the_owner_takes_the_newest_places_of_links_and_only_as_many_as_it_needs() -> None:
    links = [Place("a", link="one", left=600), Place("b", link="one", left=700)]
    links += [Place("c", link="two", left=500), Place("d", link="two", left=800)]
    assert room(Place("mine"), *links) == ["d"]
    assert room(Place("mine"), *links, Place("e", 1, left=900)) == ["d", "b"]
    assert room(Place("mine", 1), *(Place(f"{n}", 1, link=f"l{n}", left=n) for n in range(1, 7))) == ["6"]


@pytest.mark.parametrize(
    ("asked", "slots"),
    [
        (Place("mine"), [Place(f"{n}", landed=True, link="one") for n in range(4)]),
        (Place("mine"), [Place(f"{n}") for n in range(4)]),
        (Place("theirs", link="two"), [Place(f"{n}", link=f"l{n}") for n in range(4)]),
    ],
    ids=["landed", "the owner's own", "links among themselves"],
)
def test_nobody_takes_what_is_written_or_the_owners_or_another_links(asked: Place, slots: list[Place]) -> None:
    with pytest.raises(TooLargeError, match="40 bytes of 40 bytes are used"):
        room(asked, *slots)


def test_expired_places_go_first_the_oldest_first_and_for_anybody() -> None:
    old = [Place("a", left=-1), Place("b", left=-9), Place("c", left=5, link="one"), Place("d", landed=True, left=-99)]
    assert room(Place("e"), *old) == ["b"]
    assert room(Place("e", link="two"), *old) == ["b"]


def test_a_refusal_gives_nothing_up() -> None:
    with pytest.raises(LivereactorError, match="per file"):
        room(Place("e", 11), Place("a", left=-1))
