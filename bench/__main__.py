"""`python -m bench [FIGURE…]` measures, prints and keeps JSON; `python -m bench table` writes docs/benchmarks.md.

Without a name it measures what fits into a quarter of an hour, `all` is all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import (
    clips,
    commands,
    connecting,
    cost,
    crowding,
    demos,
    exporting,
    far,
    flow,
    growth,
    latency,
    quality,
    recovering,
    serving,
    sound,
    uploading,
)
from bench.frame import RESULTS, Figure, save, write_page
from bench.stand import JAVASCRIPT, OWN, PAGE, PYTHON, Stand
from livereactor.probes.results import machine
from tests.tools.netns import private_network

MODULES = (
    latency,
    far,
    connecting,
    serving,
    commands,
    clips,
    recovering,
    cost,
    crowding,
    flow,
    demos,
    exporting,
    uploading,
    growth,
    quality,
    sound,
)
FIGURES = {
    figure.name: figure
    for figure in sorted(
        (figure for module in MODULES for figure in module.FIGURES),
        key=lambda figure: (figure.name[0] != "P", int(figure.name[1:])),
    )
}
CLIENTS = {"own": OWN, "python": PYTHON, "javascript": JAVASCRIPT, "page": PAGE}
WHOLE, TABLE = ["all"], ["table"]


def main() -> int:
    """Run what was asked for; 1 where a figure could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"{', '.join(FIGURES)}; all; or table")
    parser.add_argument("--ours-only", action="store_true", help="leave the official runtimes out")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), help="who measures")
    parser.add_argument("--trials", type=int, default=60, help="latencies a row; half as many connects")
    parser.add_argument("--seconds", type=float, default=30.0, help="streaming a row")
    parser.add_argument("--long", type=float, default=3600.0, help="seconds for what shows after an hour only")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON (default: bench/results)")
    given = parser.parse_args()
    if given.figures == TABLE:
        write_page(list(FIGURES.values()))
        return 0
    wanted = [] if given.figures == WHOLE else given.figures
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    stand = Stand(
        rivals=not given.ours_only,
        trials=given.trials,
        seconds=given.seconds,
        long=given.long,
        clients=tuple(CLIENTS[name] for name in given.clients),
    )
    figures = [FIGURES[name] for name in wanted] or [
        figure for figure in FIGURES.values() if given.figures == WHOLE or not figure.long
    ]
    print(json.dumps({"machine": machine()}), flush=True)
    with private_network():
        return asyncio.run(measure(stand, figures, given.results))


async def measure(stand: Stand, figures: Sequence[Figure], folder: Path) -> int:
    """One figure after the other; one that fails does not spoil the rest."""
    failed = 0
    try:
        for number, figure in enumerate(figures, start=1):
            print(f"[{number}/{len(figures)}] {figure.name}: {figure.title}", file=sys.stderr, flush=True)
            started = time.monotonic()
            try:
                save(figure, await figure.run(stand), time.monotonic() - started, folder)
            except Exception as error:
                failed = 1
                print(f"{figure.name} failed: {error!r}", file=sys.stderr, flush=True)
    finally:
        await stand.aclose()
    return failed


if __name__ == "__main__":
    sys.exit(main())
