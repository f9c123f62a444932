"""What every figure is made of: its rows kept with their machine, JSON lines, and the page of the docs.

`bench/results/` keeps the last rows of each figure; the page and its plots are made of nothing else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.plots import draw
from livereactor.probes.results import Result, machine, words
from tests.tools.processes import REPOSITORY

if TYPE_CHECKING:
    from bench.stand import Stand

RESULTS = REPOSITORY / "bench" / "results"
PAGE = REPOSITORY / "docs" / "benchmarks.md"
PLOTS = REPOSITORY / "docs" / "images" / "bench"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement of docs/benchmarks.md.

    Attributes:
        run: measures and returns its rows.
        target: what we race for, in words.
        long: it takes more than its part of fifteen minutes; `make bench-all` measures it, `make bench` does not.
    """

    name: str
    title: str
    target: str
    run: Callable[[Stand], Awaitable[Sequence[Result]]] = field(repr=False)
    long: bool = False


def save(figure: Figure, results: Sequence[Result], seconds: float, folder: Path = RESULTS) -> None:
    """Keep the rows of one figure, and print each as a JSON line."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = {"machine": machine(), "at": time.strftime("%Y-%m-%d %H:%M"), "seconds": round(seconds, 1)}
    rows = [asdict(result) for result in results]
    kept = {"figure": figure.name, "title": figure.title, "target": figure.target, **measured, "rows": rows}
    (folder / f"{figure.name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    for row in rows:
        print(json.dumps(row), flush=True)


def write_page(figures: Sequence[Figure]) -> None:
    """docs/benchmarks.md and its plots, of everything in `bench/results/`."""
    parts = [HEADER]
    missing = list[str]()
    for figure in figures:
        path = RESULTS / f"{figure.name}.json"
        if path.exists():
            parts += _section(figure, json.loads(path.read_text()))
        else:
            missing.append(f"{figure.name} ({figure.title})")
    if missing:
        parts.append(f"Not measured yet: {'; '.join(missing)}.\n")
    PAGE.write_text("\n".join(parts))


def _section(figure: Figure, kept: dict[str, Any]) -> list[str]:
    on = kept["machine"]
    what = f"{on['cpu']}, {on['cores']} cores, Linux {on['system']}, Python {on['python']}"
    parts = [
        f"## {figure.name}: {figure.title}\n",
        f"Target: {figure.target}. Measured {kept['at']} on {what}; load average {on['load']} at its end.\n",
    ]
    plot = PLOTS / f"{figure.name}.svg"
    if draw(kept["rows"], plot):
        parts.append(f"![{figure.title}]({plot.relative_to(PAGE.parent)})\n")
    parts.append("| server | client | setting | values | trials |\n|---|---|---|---|---|")
    parts += [_line(row) for row in kept["rows"]]
    note = RESULTS / f"{figure.name}.md"  # by hand: what bounds it where it misses its target, and what was tried
    if note.exists():
        parts += ["", note.read_text().rstrip()]
    return [*parts, ""]


HEADER = """# Benchmarks

This page shows what we measured, on which machine, and against which target. `python -m bench table` generates it
from the latest rows of each figure in `bench/results/`. Each rival was measured in the same run, alternating with
livereactor: the official runtimes show the same model (`bench/official/`), and the same clients connect to both.
Delays are read from pixels: every picture carries its number and the time at which it was made.

```sh
make bench       # figures that fit into a quarter of an hour; writes this page again
make bench-all   # all figures; takes hours
livereactor bench https://models.example.com --model pond   # any server, with our client
```

In the plots, a bar is the median (or the only value) and the line reaches to the 95th percentile. Blue is livereactor,
grey is the official stack. Shorter bars are better, except for frames a second and decibels.
"""


def _line(row: dict[str, Any]) -> str:
    told = words(row["values"], row["unit"])
    return f"| {row['server']} | {row['client']} | {row['setting']} | {told} | {row['count']} |"
