"""`docs/states.md` shows the tables of all machines, as they are."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from livereactor.base.machine import Table
from scripts import draw_states

SOURCE = Path(__file__).parents[3] / "src"


def test_the_page_is_not_stale() -> None:
    assert draw_states.PAGE.read_text(encoding="utf-8") == draw_states.page(), "run `make states`"


def test_every_machine_is_on_the_page() -> None:
    tables = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in SOURCE.rglob("*.py")
        if re.search(r"^LEGAL: Final\[Table\[", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert tables == {drawn.module for drawn in draw_states.MACHINES}


@pytest.mark.parametrize("module", [drawn.module for drawn in draw_states.MACHINES])
def test_every_state_and_event_has_a_meaning(module: str) -> None:
    table: Table[Any, Any] = import_module(module).LEGAL
    section = draw_states.page().split(f"`src/{module.replace('.', '/')}.py`")[1].split("\n## ")[0]
    assert "|  |" not in section
    assert all(f"| `{state.value}` | " in section for state in table)
