"""Room for another upload: what share links have, written or not, never refuses the owner."""

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


def test_one_link_has_at_most_half_of_bytes_and_of_files() -> None:
    assert room(Place("c", link="one"), Place("a", link="one")) == []
    with pytest.raises(LimitError, match=r"20 bytes of 20 bytes \(upload_session_bytes\) .* try again in 800 s"):
        room(Place("c", link="one"), Place("a", link="one"), Place("b", link="one", left=800))
    small = [Place(f"{n}", 1, link="one") for n in range(3)]
    with pytest.raises(LimitError, match=r"3 of 3 files \(upload_slots\)"):
        room(Place("c", 1, link="one"), *small)
    assert room(Place("c", link="two"), *small) == []


def test_what_a_link_has_written_counts_until_the_session_ends() -> None:
    for landed in ([Place(f"{n}", 1, "one", landed=True) for n in range(3)], [Place("a", 11, "one", landed=True)]):
        with pytest.raises(LimitError, match=r"one share link may have .* written files stay until the session ends"):
            room(Place("c", link="one"), *landed)
        assert room(Place("c", link="two"), *landed) == []


def test_a_link_comes_back_when_enough_of_its_places_have_expired() -> None:
    held = [Place("a", 9, "one", landed=True), Place("b", 1, "one", left=100), Place("c", 9, "one", left=200)]
    with pytest.raises(LimitError, match="try again in 200 s"):
        room(Place("d", link="one"), *held)
    with pytest.raises(LimitError, match="try again in 100 s"):
        room(Place("d", 2, link="one"), *held)


@pytest.mark.parametrize("landed", [True, False], ids=["written", "not written"])
def test_all_links_leave_a_quarter_of_bytes_and_of_files_to_the_owner(landed: bool) -> None:
    files = [Place(f"{n}", 1, link=f"l{n}", landed=landed) for n in range(4)]
    with pytest.raises(LimitError, match=r"4 of 4 files .* all share links may have"):
        room(Place("c", 1, link="new"), *files)
    full = [Place(f"{n}", link=f"l{n}", landed=landed) for n in range(3)]
    with pytest.raises(LimitError, match=r"30 bytes of 30 bytes .* all share links may have"):
        room(Place("c", 1, link="new"), *full)
    for theirs in (files, full):
        assert room(Place("mine"), *theirs) == []


def test_the_owner_takes_the_newest_places_of_links_and_only_as_many_as_it_needs() -> None:
    links = [Place("a", link="one", left=600), Place("b", link="one", left=700)]
    links += [Place("c", link="two", left=500), Place("d", link="two", left=800)]
    assert room(Place("mine"), *links) == ["d"]
    assert room(Place("mine"), *links, Place("e", 1, left=900)) == ["d", "b"]
    assert room(Place("mine", 1), *(Place(f"{n}", 1, link=f"l{n}", left=n) for n in range(1, 7))) == ["6"]


def test_nobody_takes_what_is_written_or_the_owners() -> None:
    own = [Place("a"), Place("b", landed=True)]
    links = [Place("c", link="one", landed=True), Place("d", link="two", landed=True)]
    with pytest.raises(TooLargeError, match=r"40 bytes of 40 bytes \(upload_session_bytes\) are used"):
        room(Place("mine"), *own, *links)
    with pytest.raises(TooLargeError, match="40 bytes of 40 bytes"):
        room(Place("theirs", link="two"), *[Place(f"{n}") for n in range(4)])
    with pytest.raises(LimitError, match=r"6 of 6 files \(upload_slots\)"):
        room(Place("mine", 1), *[Place(f"{n}", 1) for n in range(6)])


def test_expired_places_go_first_the_oldest_first_and_for_anybody() -> None:
    old = [Place("a", left=-1), Place("b", left=-9), Place("c", left=5, link="one"), Place("d", landed=True, left=-99)]
    assert room(Place("e"), *old) == ["b"]
    assert room(Place("e", link="two"), *old) == ["b"]


def test_a_refusal_gives_nothing_up() -> None:
    with pytest.raises(LivereactorError, match="per file"):
        room(Place("e", 11), Place("a", left=-1))
