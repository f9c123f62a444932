"""P15, P16 and P25: how evenly frames come, of a steady model and of one that makes chunks, and the way of a camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.frame import Figure
from bench.stand import JAVASCRIPT, OWN, PAGE, PYTHON, Stand, frames_for
from livereactor.probes.results import Result

CHUNKS = "tests/e2e/acceptance/models/chunks.py"
EVERY_MS = 700 / 16  # what 16 frames every 700 ms come to


async def p15(stand: Stand) -> Sequence[Result]:
    """Gaps between frames at the client, 720p at 30 fps."""
    results: list[Result] = []
    for client in stand.clients:
        for server in stand.servers_for(client):
            async with stand.connected(client, stand.server(server, "720p")) as viewer:
                await viewer.command("set_pacing", pacing="backpressure")
                await viewer.frames(60, timeout=15.0)
                frames: Any = await frames_for(viewer, stand.seconds)
            values = {name: round(frames["gap_ms"][name], 1) for name in ("p50", "p95", "p99", "max")}
            results.append(Result("P15", server, client, "720p, gap", values, "ms", frames["count"]))
    return results


async def p16(stand: Stand) -> Sequence[Result]:
    """A model that makes 16 frames every 700 ms: gaps longer than one and a half intervals."""
    results: list[Result] = []
    for client in (name for name in (OWN, PYTHON) if name in stand.clients):
        for server in stand.servers_for(client):
            program = stand.server(server, "360p", target=CHUNKS, model="Chunks")
            async with stand.connected(client, program) as viewer:
                await viewer.frames(48, timeout=20.0)
                start = await viewer.ask("mark")
                await frames_for(viewer, stand.seconds)
                frames = await viewer.ask("since", start=start)
                long = await viewer.ask("gaps_over", start=start, limit_ms=1.5 * EVERY_MS)
            rate = (frames["count"] - 1) / frames["seconds"]
            values = {
                "long gaps": float(long),
                "fps": round(rate, 2),
                "longest gap ms": round(frames["gap_ms"]["max"], 1),
            }
            results.append(Result("P16", server, client, "16 frames every 700 ms", values, "", frames["count"]))
    return results


async def p25(stand: Stand) -> Sequence[Result]:
    """A client's camera frame through the model and back, by the stamp it carries."""
    results: list[Result] = []
    for client in (name for name in (PYTHON, JAVASCRIPT, PAGE) if name in stand.clients):
        for server in stand.servers_for(client):
            async with stand.connected(client, stand.server(server, "360p")) as viewer:
                await viewer.command("set_pacing", pacing="backpressure")
                if client == PYTHON:
                    await viewer.ask("publish")
                await viewer.ask("start_camera")
                await viewer.command("set_source", source="webcam")
                await viewer.frames(90, timeout=20.0)
                frames: Any = await frames_for(viewer, min(stand.seconds, 10.0))
            if not frames["age_ms"]:
                continue
            values = {name: round(frames["age_ms"][name], 1) for name in ("p50", "p95", "max")}
            results.append(Result("P25", server, client, "640×360, camera to screen", values, "ms", frames["count"]))
    return results


FIGURES = (
    Figure("P15", "gap between frames", "p99 36 ms; Chromium 45", p15),
    Figure("P16", "gaps between frames of a model that yields chunks", "no gap over 1.5 intervals", p16),
    Figure(
        "P25", "camera frame through the model and back", "12 / 15 ms; Chromium 15 / 20 (p50 / p95)", p25, long=True
    ),
)
