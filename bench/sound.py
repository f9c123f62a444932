"""P27: from a command to the ear, sound against picture, and whether the two drift apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from bench.frame import Figure
from bench.stand import OURS, OWN, PYTHON, Stand
from livereactor.probes.results import Result, phases, spread

MODEL = "bench/models/sounding.py"
SETTLE = 60  # frames
ROUND = 20  # beeps between two looks at the clock
PART = 10  # the first and the last of so many parts are compared


async def p27(stand: Stand) -> Sequence[Result]:
    """A command clicks and flashes at once; beeps go on for as long as drift takes to show."""
    results: list[Result] = []
    for client in (name for name in (OWN, PYTHON) if name in stand.clients):
        program = stand.server(OURS, "360p", target=MODEL, recording=False)
        async with stand.connected(client, program) as viewer:
            await viewer.command("set_pacing", pacing="backpressure")
            await viewer.ask("listen_clicks", track="main_audio")
            await viewer.frames(SETTLE, timeout=20.0)
            began = time.monotonic()
            beeps: list[dict[str, float | None]] = []
            while len(beeps) < stand.trials or time.monotonic() - began < stand.long:
                apart = 0.4 if len(beeps) < stand.trials else 2.0
                waits = phases(min(ROUND, stand.trials), shortest=apart, seed=len(beeps))
                beeps += await viewer.ask("beep_times", track="main_audio", phases=waits)
        first = beeps[: stand.trials]
        for name, key in (("command to ear", "sound"), ("command to picture", "picture")):
            results.append(Result("P27", OURS, client, name, spread([each[key] for each in first]), "ms", len(first)))
        results += _apart(client, beeps)
    return results


def _apart(client: str, beeps: Sequence[dict[str, float | None]]) -> list[Result]:
    """How far the click is from the flash, whichever is first, and by how much that has changed."""
    offsets = [
        (at, sound - picture)
        for each in beeps
        if (at := each["at"]) and (sound := each["sound"]) is not None and (picture := each["picture"]) is not None
    ]
    apart = spread([abs(offset) for _, offset in offsets])
    part = max(1, len(offsets) // PART)
    begin, end = (statistics.median(offset for _, offset in some) for some in (offsets[:part], offsets[-part:]))
    minutes = (offsets[-1][0] - offsets[0][0]) / 60
    drift = {"drift": round(end - begin, 2), "sound later by": round(begin, 2)}
    return [
        Result("P27", OURS, client, "sound against picture", apart, "ms", len(offsets)),
        Result("P27", OURS, client, f"drift over {minutes:.0f} min", drift, "ms", len(offsets)),
    ]


FIGURES = (
    Figure(
        "P27",
        "sound: delay from command to ear, offset from the picture, drift",
        "60 ms; 40 ms (p95); 20 ms over an hour",
        p27,
        long=True,
    ),
)
