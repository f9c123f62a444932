"""The page on security: each promise names tests, and they exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs/security.md").read_text()
CITED = re.compile(r"`((?:tests/[\w./-]*/)?test_\w+\.py)`")


def cited(row: str) -> Iterator[Path]:
    """The tests that a row names; one without a folder lies in that of the one before."""
    folder = Path()
    for each in map(Path, CITED.findall(row)):
        folder = each.parent if each.parent != Path() else folder
        yield folder / each.name


def promises() -> dict[str, list[Path]]:
    table = PAGE.partition("| promise | against | tested in |\n|---|---|---|\n")[2].partition("\n\n")[0]
    return {row.split("|")[1].strip(): list(cited(row)) for row in table.splitlines()}


@pytest.mark.parametrize("promise", promises())
def test_a_promise_is_held_by_tests(promise: str) -> None:
    tests = promises()[promise]
    assert tests
    for path in tests:
        assert (REPOSITORY / path).is_file(), path
        assert re.search(r"^(async )?def test_", (REPOSITORY / path).read_text(), re.MULTILINE), path
