"""The page of the benchmarks and its plots, made of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import frame
from bench.__main__ import FIGURES
from bench.frame import Figure, save, write_page
from bench.plots import draw
from bench.stand import Stand
from livereactor.probes.results import Result

ROWS = [
    Result("P1", "livereactor", "own client", "360p", {"p50": 6.0, "p95": 10.0, "max": 11.0}, "ms", 60),
    Result("P1", "official 3.10.0", "own client", "360p", {"p50": 400.0, "p95": 430.0, "max": 500.0}, "ms", 60),
]


async def nothing(stand: Stand) -> Sequence[Result]:
    return []


def test_there_is_a_program_for_every_figure() -> None:
    assert [name for name in FIGURES if name[0] == "P"] == [f"P{number}" for number in range(1, 28)]


def test_a_page_says_what_was_measured_where_and_what_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "RESULTS", tmp_path)
    monkeypatch.setattr(frame, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(frame, "PLOTS", tmp_path / "plots")
    measured, other = Figure("P1", "one", "6 ms", nothing), Figure("P2", "two", "7 ms", nothing)
    save(measured, ROWS, 12.3, tmp_path)
    (tmp_path / "P1.md").write_text("The encoder bounds it.\n")
    assert json.loads((tmp_path / "P1.json").read_text())["seconds"] == 12.3
    write_page([measured, other])
    page = (tmp_path / "page.md").read_text()
    assert "| official 3.10.0 | own client | 360p | p50 400, p95 430, max 500 ms | 60 |" in page
    assert "![one](plots/P1.svg)" in page
    assert "ms | 60 |\n\nThe encoder bounds it.\n" in page
    assert "Not measured yet: P2 (two)." in page


def test_a_plot_follows_the_scheme_of_its_page(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    assert draw(
        [
            {"server": row.server, "client": row.client, "setting": row.setting, "values": row.values, "unit": "ms"}
            for row in ROWS
        ],
        path,
    )
    text = path.read_text()
    assert "prefers-color-scheme: dark" in text
    assert {"var(--ink)", "var(--ours)", "var(--theirs)"} <= {
        part.partition(")")[0] + ")" for part in _from(text, "var(")
    }
    assert not draw([], path)
    assert not path.exists()


def _from(text: str, begin: str) -> list[str]:
    return [begin + part for part in text.split(begin)[1:]]
