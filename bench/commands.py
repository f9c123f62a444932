"""P7 and P17: round trips of commands while frames stream, and how many frames lie between the model and the viewer."""

from __future__ import annotations

from collections.abc import Sequence

from bench.frame import Figure
from bench.stand import OWN, PYTHON, Stand
from livereactor.probes.results import Result, spread

ECHOES, ROUNDS, LOOKS = 500, 5, 60


async def p7(stand: Stand) -> Sequence[Result]:
    """`echo`, one after the other, while 360p streams; clients and servers in turn."""
    rows = {(client, server): list[float]() for client in stand.clients for server in stand.servers_for(client)}
    for _ in range(ROUNDS):
        for (client, server), times in rows.items():
            async with stand.connected(client, stand.server(server, "360p")) as viewer:
                await viewer.command("set_pacing", pacing="backpressure")
                await viewer.frames(30)
                times += await viewer.ask("echo_times", count=ECHOES // ROUNDS)
    return [
        Result("P7", server, client, "360p streaming", spread(times), "ms", len(times))
        for (client, server), times in rows.items()
    ]


async def p17(stand: Stand) -> Sequence[Result]:
    """What the model had counted when it answered, less what the viewer had seen when the answer came."""
    results: list[Result] = []
    for client in (name for name in (OWN, PYTHON) if name in stand.clients):
        for server in stand.servers_for(client):
            async with stand.connected(client, stand.server(server, "360p")) as viewer:
                await viewer.command("set_pacing", pacing="backpressure")
                await viewer.frames(60)
                between = await viewer.ask("frames_between", count=LOOKS)
                results.append(Result("P17", server, client, "360p", spread(between), "frames", LOOKS))
    return results


FIGURES = (
    Figure("P7", "command round trip while frames stream", "0.8 / 2.5 ms (p50 / p95)", p7),
    Figure("P17", "frames between the model and the viewer", "at most 2", p17),
)
