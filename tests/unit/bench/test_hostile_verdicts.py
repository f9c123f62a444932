"""Verdicts of the hostile bench, of figures that are given, and the page that is made of rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.hostile.attack import BOTH, Attack, Tally, Target, words
from bench.hostile.attacks import ATTACKS
from bench.hostile.owner import Felt
from bench.hostile.page import save, write_page
from bench.hostile.verdict import Measured, delays, promises
from bench.hostile.watching import MB, Held

FELT = Felt(40.0, 3.0, 300, 200, 0)
HELD = Held(300 * MB, 100, 4, frozenset({1, 2}))
FINE = Measured(FELT, FELT, HELD, HELD, HELD, 1234, Counter({"429": 3}))


async def nothing(target: Target, tally: Tally) -> None:
    return


ATTACK = Attack(
    "knocking", "a visitor knocks", "patience", nothing, may=words("200 429"), must=words("429"), programs=BOTH
)


@pytest.mark.parametrize(
    "measured",
    [
        FINE,
        replace(FINE, attacked=Felt(79.0, 5.9, 290, 200, 0)),
        replace(FINE, attacked=Felt(40.0, 10.9, 290, 200, 0)),  # more than double, and less than noise
        replace(FINE, peak=replace(HELD, memory=900 * MB, descriptors=4000, udp=20)),
        replace(FINE, after=replace(HELD, memory=309 * MB, descriptors=98, udp=2)),
        replace(FINE, after=replace(HELD, processes=frozenset({1, 2, 3}))),
    ],
)
def test_an_attack_is_withstood(measured: Measured) -> None:
    assert [*promises(ATTACK, measured), *delays(measured)] == []


@pytest.mark.parametrize(
    ("measured", "wrong"),
    [
        (replace(FINE, attacked=Felt(81.0, 3.0, 290, 200, 0)), "frame gap p99 went from 40 to 81 ms"),
        (replace(FINE, attacked=Felt(40.0, 11.1, 290, 200, 0)), "command p99 went from 3 to 11.1 ms"),
        (replace(FINE, attacked=replace(FELT, lost=2)), "2 commands of the owner were lost"),
        (replace(FINE, ended=["disconnected"]), "the owner's client became disconnected"),
        (replace(FINE, after=replace(HELD, memory=311 * MB)), "memory grew by 11.0 MB"),
        (replace(FINE, after=replace(HELD, descriptors=101)), "1 descriptors are left"),
        (replace(FINE, after=replace(HELD, udp=6)), "2 UDP sockets are left"),
        (replace(FINE, after=replace(HELD, processes=frozenset({1, 3}))), "1 processes of the server have ended"),
        (replace(FINE, answers=Counter({"429": 1, "500": 7})), "answered 500 7 times"),
        (replace(FINE, answers=Counter({"200": 1})), "never answered 429"),
    ],
)
def test_an_attack_is_not_withstood(measured: Measured, wrong: str) -> None:
    assert [*promises(ATTACK, measured), *delays(measured)] == [wrong]


def test_a_page_shows_each_attack_and_its_row(tmp_path: Path) -> None:
    worse = replace(FINE, after=replace(HELD, udp=6), answers=Counter({"429": 1200}))
    assert save(ATTACK, "run", 10.0, FINE, tmp_path)
    assert not save(ATTACK, "serve", 10.0, worse, tmp_path)
    write_page([ATTACK], tmp_path, tmp_path / "page.md")
    with pytest.raises(FileNotFoundError):
        write_page([ATTACK, replace(ATTACK, name="never-measured")], tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "| `knocking` | a visitor knocks | patience |" in page
    assert (
        "40 → 40 ms | 3 → 3 ms | 300 → 300 → 300 MB | 2 UDP sockets | 1,234 | 429 × 1,200 | 2 UDP sockets are left |"
        in page
    )
    assert page.index("## `livereactor serve`") < page.index("## `livereactor run`")


def test_attacks_say_what_they_do() -> None:
    for attack in ATTACKS.values():
        assert attack.does[0].islower() or attack.does[0].isdigit()
        assert attack.must <= attack.may
