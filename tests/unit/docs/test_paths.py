"""Paths that CONTRIBUTING.md, the architecture page and the glossary name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
SOURCE = REPOSITORY / "src/livereactor"
# NAME stands for a name to be chosen; a folder may be named below the one that the sentence is about.
NAMED = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.\w+)?)`")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"])
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = {path for path in NAMED.findall((REPOSITORY / page).read_text()) if "NAME" not in path}
    assert len(named) > 10
    folders = {f"{folder.as_posix()}/" for folder in SOURCE.rglob("*") if folder.is_dir()}
    missing = sorted(
        path
        for path in named
        if not any((root / path).exists() for root in (REPOSITORY, SOURCE))
        and not any(folder.endswith(f"/{path}") for folder in folders)
    )
    assert missing == []
