"""docs/limits.md lists every bound of the budget, with its default."""

from __future__ import annotations

import re
from pathlib import Path

from livereactor.cli.commands.config import shown_limit
from livereactor.coordinator.options import CoordinatorOptions

PAGE = (Path(__file__).parents[3] / "docs" / "limits.md").read_text()
ROW = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \|", re.MULTILINE)


def test_each_limit_is_on_the_page_once_with_its_default() -> None:
    found: dict[str, str] = {}
    for names, defaults in ROW.findall(PAGE):
        each = re.findall(r"`(\w+)`", names)
        values = re.split(r", (?=\d)", defaults)
        assert len(each) == len(values), names
        assert not found.keys() & set(each), names
        found |= zip(each, values, strict=True)
    assert found == {name: shown_limit(name, value) for name, value in CoordinatorOptions().bounds().items()}


def test_a_rate_is_shown_as_one() -> None:
    assert shown_limit("message_rate", 200.0) == "200 /s"
    assert shown_limit("message_rate_bytes", 2_000_000.0) == "2,000,000 B/s"
    assert shown_limit("upload_wait", 10.0) == "10 s"
    assert shown_limit("events_kept", 3_024_000.0) == "3,024,000 s"
    assert shown_limit("message_bytes", 262_144) == "256 KiB"
    assert shown_limit("max_session_duration", 0.0) == "unlimited"
