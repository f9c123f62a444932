"""P5, P6 and P24: how long until a client is ready, sees a first frame, and sees a sharp one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.frame import Figure
from bench.stand import JAVASCRIPT, OURS, PAGE, PYTHON, Stand
from livereactor.probes.results import Result, spread
from tests.tools.drivers import Client
from tests.tools.processes import Program
from tests.tools.stun import stun_server

WARM_UP = 2
SETTLE = 0.25  # seconds: what the client before leaves for the server to do is not what is measured


async def connect_once(stand: Stand, client: str, server: Program, *, sharp: bool = False) -> dict[str, float | None]:
    """Milliseconds from `connect()` to ready, to the first frame, and with `sharp` to the first sharp one."""
    made = await stand.new(client, server)
    await asyncio.sleep(SETTLE)
    options = {"onPage": True} if client == PAGE else {}
    if sharp:
        await made.ask("keep_pictures", count=20)
    connected = await made.connect(**options)
    first = await made.ask("first_frame")
    times: dict[str, float | None] = {
        "ready": connected["ready_ms"],
        "first frame": None if first is None else (first - connected["started"]) * 1e3,
    }
    if sharp:
        times |= await _sharp_times(made, connected["started"])
    await made.ask("drop")
    return times


async def _sharp_times(made: Client, started: float) -> dict[str, float | None]:
    found = await made.ask("first_sharp")
    offered = await made.ask("offered_at")
    at = found["at"]
    return {
        "sharp frame": None if at is None else (at - started) * 1e3,
        "sharp frame from the offer": None if at is None or offered is None else (at - offered) * 1e3,
    }


async def p5(stand: Stand) -> Sequence[Result]:
    """Clients and servers in turn; the first connects of each process are warm-up."""
    rows: dict[tuple[str, str, str], list[float | None]] = {}
    for number in range(WARM_UP + stand.connects):
        for client in stand.clients:
            for server in stand.servers_for(client):
                times = await connect_once(stand, client, stand.server(server, "720p"))
                if number >= WARM_UP:
                    for name, value in times.items():
                        rows.setdefault((client, server, name), []).append(value)
    return [
        Result("P5", server, client, f"connect() to {name}, 720p", spread(values), "ms", len(values))
        for (client, server, name), values in sorted(rows.items(), key=lambda row: stand.clients.index(row[0][0]))
    ]


async def p6(stand: Stand) -> Sequence[Result]:
    """What a STUN server that never answers adds to connect-to-ready."""
    results: list[Result] = []
    with stun_server(silent=True) as silent:
        for client in (name for name in (PYTHON, JAVASCRIPT) if name in stand.clients):
            for server in stand.servers_for(client):
                dead = {"STUN_SERVERS": f"stun:{silent}"} if server == OURS else {}
                rows: dict[str, list[float | None]] = {"without": [], "with a dead STUN server": []}
                for number in range(WARM_UP + stand.connects // 3):
                    for name, values in rows.items():
                        if name == "without":
                            program = stand.server(server, "360p")
                        else:
                            program = stand.server(server, "360p", environment=dead, silent_stun=True)
                        ready = (await connect_once(stand, client, program))["ready"]
                        if number >= WARM_UP:
                            values.append(ready)
                medians = {name: spread(values)["p50"] for name, values in rows.items()}
                values = {**medians, "added": round(medians["with a dead STUN server"] - medians["without"], 1)}
                results.append(
                    Result("P6", server, client, "connect() to ready, median", values, "ms", stand.connects // 3)
                )
    return results


async def p24(stand: Stand) -> Sequence[Result]:
    """Connects until the first frame with at least 35 dB against its source."""
    results: list[Result] = []
    for client in stand.clients:
        rows: dict[tuple[str, str], list[float | None]] = {}
        for number in range(WARM_UP + stand.connects // 2):
            for server in stand.servers_for(client):
                times = await connect_once(stand, client, stand.server(server, "720p"), sharp=True)
                if number >= WARM_UP:
                    for name, value in times.items():
                        rows.setdefault((server, name), []).append(value)
        results += [
            Result("P24", server, client, f"{name}, 720p", spread(values), "ms", len(values))
            for (server, name), values in rows.items()
            if "sharp" in name and any(value is not None for value in values)
        ]
    return results


FIGURES = (
    Figure(
        "P5",
        "connect() to ready and to first frame",
        "own client 85 / 120 ms to the first frame, page 120 / 180; Python 1.13 110 / 150, JavaScript 240 / 300",
        p5,
    ),
    Figure("P6", "time that an unreachable STUN server adds to connect()", "at most 30 ms", p6, long=True),
    Figure("P24", "connection to the first sharp frame, 720p", "0.1 s from the offer", p24),
)
