"""A service of so many sessions, in cells, in virtual time; prints one JSON line a size, the same for the same seed.

How long people wait, how many workers are in use, what the coordinators' database is asked and how much of what it was
measured to carry that is. `--find` makes one cell larger until something bends, and says what.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from bench.simulate.cell import Cell
from bench.simulate.world import World
from livereactor.probes.watching import percentiles

SIMULATED = 2  # cells of one size: they share nothing, so the others are like them
BUSY = 0.7  # of a database's pace: beyond it waits grow faster than load
SLOW = 0.1  # seconds for a decision, p99


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="at once")
    parser.add_argument("--cell", type=int, default=1_000, help="sessions of a cell at most")
    parser.add_argument("--minutes", type=float, default=10.0, help="of virtual time; the first third fills the cells")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--find", action="store_true", help="one cell, twice as large each time, until it bends")
    given = parser.parse_args(arguments)
    if given.find:
        return _find(given.seed, given.minutes)
    for sessions in given.sessions:
        cells = -(-sessions // given.cell)
        print(json.dumps(service(sessions, cells, minutes=given.minutes, seed=given.seed)), flush=True)
    return 0


def _find(seed: int, minutes: float) -> int:
    sessions = 500
    while True:
        row = service(sessions, 1, minutes=minutes, seed=seed)
        print(json.dumps(row), flush=True)
        if row["bends"]:
            return 0
        sessions *= 2


def service(sessions: int, cells: int, *, minutes: float, seed: int) -> dict[str, Any]:
    """The figures of a service: of some of its cells, and how many there are."""
    world = World(sessions=round(sessions / cells), minutes=minutes)
    made = [Cell(world, seed * 1_000 + n) for n in range(min(cells, SIMULATED))]
    figures = [each.run() for each in made]
    waits = sorted(wait for each in figures for wait in each.waits)
    samples = [sample for each in figures for sample in each.samples]
    decided = percentiles([wait for each in made for wait in each.database.waited]) or {}
    seconds = minutes * 60 * len(made)
    calls = {name: sum(each.database.calls[name] for each in made) for name in sorted(_kinds(made))}
    tally = {name: sum(each.tally[name] for each in figures) for name in sorted({n for e in figures for n in e.tally})}
    row: dict[str, Any] = {
        "sessions": sessions,
        "cells": cells,
        "simulated": len(made),
        "slots": world.slots() * cells,
        "running": round(_mean([running for _, _, running, _ in samples]) * cells),
        "in use": round(_mean([running / max(1, workers) for _, workers, running, _ in samples]), 3),
        "waited at all": round(sum(wait > 1.0 for wait in waits) / max(1, len(waits)), 3),
        "wait s": {name: round(value, 2) for name, value in (percentiles(waits) or {}).items()},
        "gave up": round(tally.get("gave up", 0) / max(1, len(waits)), 3),
        "queue": max((waiting for _, _, _, waiting in samples), default=0),
        "decisions a second": round(sum(len(each.database.waited) for each in made) / seconds, 1),
        "database busy": round(sum(calls.values()) / seconds / made[0].database.pace, 3),
        "of it": {name: round(count / sum(calls.values()), 3) for name, count in calls.items()},
        "decision ms": {name: round(value * 1e3, 1) for name, value in decided.items()},
        "tally": tally,
    }
    return {**row, "bends": bends(row)}


def bends(row: dict[str, Any]) -> list[str]:
    """What does not go on as it did: in words, nothing where all is well."""
    found: list[str] = []
    if row["database busy"] > BUSY:
        most = max(row["of it"], key=row["of it"].get)
        found.append(f"the database is busy {row['database busy']:.0%} of the time, most of it with {most}")
    if row["decision ms"]["p99"] > SLOW * 1e3:
        found.append(f"a decision takes {row['decision ms']['p99']:.0f} ms (p99)")
    return found


def _kinds(cells: Sequence[Cell]) -> set[str]:
    return {name for each in cells for name in each.database.calls}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


if __name__ == "__main__":
    sys.exit(main())
