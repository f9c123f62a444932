"""P14: how many sessions a machine carries, each a worker of its own with a viewer, none below 29.5 frames a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.frame import Figure
from bench.stand import OWN, Stand
from livereactor.probes.results import Result
from tests.tools.drivers import Client

ENOUGH = 29.5  # frames a second
MOST = 24  # sessions that are tried
SETTLE = 2.0  # seconds after one has joined


async def p14(stand: Stand) -> Sequence[Result]:
    """One session more at a time, until one of them does not get its frames any more; viewers on the same cores."""
    results: list[Result] = []
    for server in stand.servers_for(OWN):
        rates: dict[int, float] = {}
        async with AsyncExitStack() as stack:
            viewers: list[Client] = []
            for count in range(1, MOST + 1):
                program = stack.enter_context(stand.starting(server, "360p", recording=False))
                viewer = await stand.new(OWN, program)
                await viewer.connect(watch=None)
                stack.push_async_callback(viewer.ask, "drop")
                await viewer.command("set_pacing", pacing="backpressure")
                viewers.append(viewer)
                await asyncio.sleep(SETTLE)
                rates[count] = min(await asyncio.gather(*(_rate(each, stand.seconds) for each in viewers)))
                if rates[count] < ENOUGH:
                    break
        carried = max((count for count, rate in rates.items() if rate >= ENOUGH), default=0)
        values = {"sessions": float(carried), "least fps": round(rates.get(carried, 0.0), 2)}
        if carried + 1 in rates:
            values["least fps with one more"] = round(rates[carried + 1], 2)
        results.append(Result("P14", server, OWN, "360p, one worker each", values, "", round(stand.seconds)))
    return results


async def _rate(viewer: Client, seconds: float) -> float:
    """Frames a second that were decoded; none is looked at, which would cost more than to serve it."""
    began, before = time.monotonic(), await _decoded(viewer)
    await asyncio.sleep(seconds)
    after = await _decoded(viewer)
    return (after - before) / (time.monotonic() - began)


async def _decoded(viewer: Client) -> int:
    return int((await viewer.ask("stats"))["inbound"]["main_video"]["frames_decoded"] or 0)


FIGURES = (Figure("P14", "sessions at 640×360 and 30 fps on one machine", "8 on two cores", p14, long=True),)
