"""P22: what a server's memory grows by while sessions come and go for an hour."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import psutil

from bench.frame import Figure
from bench.stand import OWN, Stand
from livereactor.probes.results import Result
from tests.tools.processes import Program

WARM_UP = 0.1  # of the time: what is loaded once is not what grows
FRAMES = 30  # that a client stays for
MB = 1_000_000


async def p22(stand: Stand) -> Sequence[Result]:
    """One client after another, at each server in turn: connect, see a second of pictures, leave."""
    programs = {server: stand.server(server, "360p") for server in stand.servers_for(OWN)}
    began = time.monotonic()
    await _visited(stand, programs, until=began + WARM_UP * stand.long)
    before = {server: _resident(program) for server, program in programs.items()}
    sessions = await _visited(stand, programs, until=began + stand.long)
    results: list[Result] = []
    for server, begin in before.items():
        end = _resident(programs[server])
        setting = f"{stand.long / 60:.0f} min of sessions, after the first tenth"
        values = {"growth": round(end - begin, 2), "at the end": round(end, 1)}
        results.append(Result("P22", server, OWN, setting, values, "MB", sessions))
    return results


async def _visited(stand: Stand, programs: Mapping[str, Program], *, until: float) -> int:
    """How many sessions each server had; one at least."""
    count = 0
    while count == 0 or time.monotonic() < until:
        for program in programs.values():
            async with stand.connected(OWN, program) as viewer:
                await viewer.frames(FRAMES)
        count += 1
    return count


def _resident(program: Program) -> float:
    """Of the process and its children."""
    root = psutil.Process(program.pid)
    return sum(each.memory_info().rss for each in (root, *root.children(recursive=True))) / MB


FIGURES = (Figure("P22", "growth of a server's memory over an hour of sessions", "at most 5 MB", p22, long=True),)
