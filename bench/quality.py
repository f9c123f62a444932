"""P26: how good the picture is at 1, 3 and 6 Mbit/s, and after a step from 6 to 1, against its source.

The way to the client is held to the rate (tc, with a queue of 100 ms); what each side makes of it is its own.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import Sequence

import psutil

from bench.frame import Figure
from bench.stand import OWN, PYTHON, SIZES, Stand, frames_for
from livereactor.probes.results import Result
from tests.tools.drivers import Client, PythonClients
from tests.tools.netns import throttled

SIZE = "720p"
RATES = (6_000, 3_000, 1_000)  # kbit/s, as the steps go
LOOKED_AT = 20  # frames of each row
STEP = 2.0  # seconds after the step: what somebody sees of it
SETTLE = 10.0  # seconds in which congestion control finds a rate


async def p26(stand: Stand) -> Sequence[Result]:
    """The same texture by every server, to the same client."""
    results: list[Result] = []
    for client in (name for name in (OWN, PYTHON) if name in stand.clients):
        for server in stand.servers_for(client):
            program = stand.server(server, SIZE, target="bench/models/texture.py", model="Textured", recording=False)
            async with stand.connected(client, program) as viewer:
                await viewer.command("set_pacing", pacing="backpressure")
                await viewer.frames(60, timeout=20.0)
                ports = _ports(viewer)
                for rate in RATES:
                    with throttled(ports, rate):
                        await asyncio.sleep(min(SETTLE, stand.seconds))
                        values = await _look(viewer)
                    results.append(Result("P26", server, client, f"{rate / 1000:g} Mbit/s", values, "", LOOKED_AT))
                with throttled(ports, RATES[0]):
                    await asyncio.sleep(min(SETTLE, stand.seconds))
                with throttled(ports, RATES[-1]):
                    frames = await frames_for(viewer, STEP)
                    values = await _look(viewer)
                longest = frames["gap_ms"]["max"] if frames["gap_ms"] else STEP * 1e3  # type: ignore[index]
                values["longest gap ms"] = round(longest)
                results.append(Result("P26", server, client, "2 s after a step from 6 to 1", values, "", LOOKED_AT))
    return results


async def _look(viewer: Client) -> dict[str, float]:
    """Of the next frames: medians, what came over the wire meanwhile, and how many could not be read."""
    began, before = time.monotonic(), _passed()
    seen = await viewer.ask("quality", count=LOOKED_AT, size=[int(side) for side in SIZES[SIZE]])
    mbit = (_passed() - before) * 8 / (time.monotonic() - began) / 1e6
    read = [each for each in seen if each is not None]
    values = {"Mbit/s": round(mbit, 2), "unread": float(LOOKED_AT - len(read))}
    if len(read) < 2:
        return values
    values["fps"] = round((len(read) - 1) / (read[-1]["at"] - read[0]["at"]), 1)
    middle = {name: statistics.median(each[name] for each in read) for name in ("psnr", "ssim", "height")}
    return {"PSNR dB": round(middle["psnr"], 2), "SSIM": round(middle["ssim"], 4), "lines": middle["height"], **values}


def _ports(viewer: Client) -> set[int]:
    assert isinstance(viewer.driver, PythonClients)
    return {each.laddr.port for each in psutil.Process(viewer.driver.pid).net_connections("udp")}


def _passed() -> int:
    """Bytes that have gone through the narrow class of `throttled` so far."""
    shown = subprocess.run(["tc", "-s", "-j", "class", "show", "dev", "lo"], check=True, capture_output=True).stdout
    return next(each["stats"]["bytes"] for each in json.loads(shown) if each["handle"] == "1:3")


FIGURES = (
    Figure(
        "P26",
        "picture quality at 1, 3 and 6 Mbit/s, and after a drop in bandwidth",
        "not below the official stack's",
        p26,
        long=True,
    ),
)
