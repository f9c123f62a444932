"""P1, P2 and P3: from sending a command to the first frame that shows it, at random phases of the model's beat."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.frame import Figure
from bench.stand import Stand
from livereactor.probes.results import Result, phases, spread
from tests.tools.drivers import Client

ROUNDS = 3  # per row, servers in turn: what else this machine does hits all alike
WARM_UP = 5  # trials of each round that are not counted
# What a model may do about its rate: leave it to the runtime, or sleep to it by itself.
PACINGS = {"backpressure": "paced by the runtime", "realtime": "the model sleeps itself"}


async def flashes(client: Client, trials: int, pacing: str, seed: int) -> list[float | None]:
    """Times of `trials` commands in ms, after a warm-up."""
    await client.command("set_pacing", pacing=pacing)
    seen = await client.frames(30, timeout=15.0)
    if seen["count"] < 30:
        print(f"{client.name} saw {seen['count']} frames in 15 s: {await client.state()}", file=sys.stderr, flush=True)
        return [None] * trials
    waits = phases(trials + WARM_UP, seed=seed)
    times = await client.ask("flash_times", trials=trials + WARM_UP, phases=waits)
    return times[WARM_UP:]


async def measure(stand: Stand, figure: str, size: str, *, fps: int = 30) -> Sequence[Result]:
    """One row per client, server and pacing, in turn."""
    rate = {"CONFORMANCE_FPS": str(fps)}
    rows = {
        (client, server, pacing): list[float | None]()
        for client in stand.clients
        for server in stand.servers_for(client)
        for pacing in PACINGS
    }
    for number in range(ROUNDS):
        for (client, server, pacing), times in rows.items():
            async with stand.connected(client, stand.server(server, size, environment=rate)) as viewer:
                times += await flashes(viewer, stand.trials // ROUNDS, pacing, seed=number)
    return [
        Result(figure, server, client, f"{size}, {PACINGS[pacing]}", spread(times), "ms", len(times))
        for (client, server, pacing), times in rows.items()
    ]


FIGURES = (
    Figure(
        "P1",
        "command to first changed pixel, 640×360 at 30 fps",
        "own client 6 / 10 ms, on the page 14 / 28; Python 1.13 7 / 12, JavaScript 8 / 15 (p50 / p95)",
        lambda stand: measure(stand, "P1", "360p"),
    ),
    Figure(
        "P2",
        "command to first changed pixel, 1280×720 at 30 fps",
        "own client 13 / 22 ms, on the page 26 / 45; Python 1.13 15 / 25, JavaScript 16 / 25 (p50 / p95)",
        lambda stand: measure(stand, "P2", "720p"),
    ),
    Figure(
        "P3",
        "command to first changed pixel, 640×360 at 60 fps",
        "6 / 11 ms (p50 / p95)",
        lambda stand: measure(stand, "P3", "360p", fps=60),
        long=True,
    ),
)
