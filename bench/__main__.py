"""`python -m bench [FIGURE…]` measures, prints and keeps JSON; `python -m bench table` writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence

from bench import clips, commands, connecting, cost, demos, exporting, flow, latency, recovering, serving, uploading
from bench.frame import Figure, machine, save, table
from bench.stand import JAVASCRIPT, OWN, PAGE, PYTHON, Stand
from tests.tools.netns import private_network
from tests.tools.processes import REPOSITORY

FIGURES = {
    figure.name: figure
    for figure in sorted(
        (
            *latency.FIGURES,
            *connecting.FIGURES,
            *serving.FIGURES,
            *commands.FIGURES,
            *clips.FIGURES,
            *recovering.FIGURES,
            *cost.FIGURES,
            *flow.FIGURES,
            *demos.FIGURES,
            *exporting.FIGURES,
            *uploading.FIGURES,
        ),
        key=lambda figure: (figure.name[0] != "P", int(figure.name[1:])),
    )
}
CLIENTS = {"own": OWN, "python": PYTHON, "javascript": JAVASCRIPT, "page": PAGE}


def main() -> int:
    """Run what was asked for; 1 where a figure could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"{', '.join(FIGURES)} (default: all), or table")
    parser.add_argument("--ours-only", action="store_true", help="leave the official runtimes out")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), help="who measures")
    parser.add_argument("--trials", type=int, default=60, help="latencies a row")
    parser.add_argument("--seconds", type=float, default=30.0, help="streaming a row")
    given = parser.parse_args()
    if given.figures == ["table"]:
        (REPOSITORY / "docs" / "benchmarks.md").write_text(table(list(FIGURES.values())))
        return 0
    unknown = [name for name in given.figures if name not in FIGURES]
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    stand = Stand(
        rivals=not given.ours_only,
        trials=given.trials,
        seconds=given.seconds,
        clients=tuple(CLIENTS[name] for name in given.clients),
    )
    print(json.dumps({"machine": machine()}), flush=True)
    with private_network():
        return asyncio.run(measure(stand, [FIGURES[name] for name in given.figures or FIGURES]))


async def measure(stand: Stand, figures: Sequence[Figure]) -> int:
    """One figure after the other; one that fails does not spoil the rest."""
    failed = 0
    try:
        for figure in figures:
            print(f"{figure.name}: {figure.title}", file=sys.stderr, flush=True)
            started = time.monotonic()
            try:
                save(figure, await figure.run(stand), time.monotonic() - started)
            except Exception as error:
                failed = 1
                print(f"{figure.name} failed: {error!r}", file=sys.stderr, flush=True)
    finally:
        await stand.aclose()
    return failed


if __name__ == "__main__":
    sys.exit(main())
