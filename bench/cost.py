"""P12 and P13: CPU of the server process for one viewer, and for each further one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import product

from bench.frame import Figure
from bench.stand import JAVASCRIPT, OURS, OWN, SIZES, Stand, frames_for
from livereactor.probes.results import Result
from tests.tools.drivers import Client

VIEWERS = (1, 4, 6, 20)
MANY = {"LIVEREACTOR_RUNTIME__MAX_CONNECTIONS": "64"}


async def cores(viewer: Client, seconds: float) -> tuple[float, float]:
    """Cores the server's process used over `seconds`, and frames a second that came."""
    before = (await viewer.command("get_state"))["data"]["cpu_s"]
    frames = await frames_for(viewer, seconds)
    after = (await viewer.command("get_state"))["data"]["cpu_s"]
    return (after - before) / seconds, float(str(frames["count"])) / seconds


async def p12(stand: Stand) -> Sequence[Result]:
    """One viewer, the model's own cost included; without recording and with it.

    A browser gets the pictures that are recorded, in H.264; our own client decodes none, and gets VP8 beside them.
    """
    results: list[Result] = []
    for size, client, recording in product(SIZES, (OWN, JAVASCRIPT), (False, True)):
        if client not in stand.clients:
            continue
        for server in stand.servers_for(client):
            async with stand.connected(client, stand.server(server, size, recording=recording)) as viewer:
                pacing = "backpressure" if server == OURS else "realtime"
                await viewer.command("set_pacing", pacing=pacing)
                await viewer.frames(60, timeout=15.0)
                used, rate = await cores(viewer, stand.seconds)
            values = {"cores": round(used, 3), "fps": round(rate, 1)}
            setting = f"{size}, {'recorded' if recording else 'no recording'}"
            results.append(Result("P12", server, client, setting, values, "", round(stand.seconds)))
    return results


async def p13(stand: Stand) -> Sequence[Result]:
    """The same with more viewers of one session; the slope is what each further one costs."""
    results: list[Result] = []
    for server in stand.servers_for(OWN):
        used = dict[int, float]()
        program = stand.server(server, "360p", recording=False, environment=MANY)
        for count in VIEWERS if server == OURS else VIEWERS[:3]:
            async with AsyncExitStack() as stack:
                first = await stack.enter_async_context(stand.connected(OWN, program))
                session = (await first.state())["session"]
                for _ in range(count - 1):
                    further = await stand.new(OWN, program, joining=True)
                    await further.connect(session_id=session)
                    stack.push_async_callback(further.ask, "leave")
                await first.frames(60, timeout=15.0)
                used[count], rate = await cores(first, stand.seconds / 2)
            values = {"cores": round(used[count], 3), "fps at the first": round(rate, 1)}
            results.append(Result("P13", server, OWN, f"360p, {count} viewers", values, "", round(stand.seconds / 2)))
        for count in list(used)[2:]:
            slope = {"cores each": round((used[count] - used[1]) / (count - 1), 4)}
            results.append(Result("P13", server, OWN, f"360p, each further of {count}", slope, "", count))
    return results


FIGURES = (
    Figure("P12", "server CPU of one stream", "0.09 core at 360p, 0.20 at 720p", p12),
    Figure("P13", "server CPU of each further viewer", "at most 0.016 core", p13, long=True),
)
