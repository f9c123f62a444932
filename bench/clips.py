"""P8 and P9: how fast the last ten seconds are a file at the client, and whether it shows what was asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.frame import Figure
from bench.stand import OURS, OWN, PYTHON, SIZES, Stand
from livereactor.probes.results import Result, spread
from tests.tools.drivers import Client
from tests.tools.films import misses

LENGTH = 10.0  # seconds
CLIPS, RIVAL_CLIPS = 20, 5  # a rival's clip takes six seconds
CHECKED = 6
APART = 17  # frames between two requests: at any phase of a group of pictures


async def p8(stand: Stand) -> Sequence[Result]:
    """`request_clip(10)`, then the download: until all of it is in a file, and until the answer alone."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            for client, server in _pairs(stand):
                count = CLIPS if server == OURS else RIVAL_CLIPS
                async with stand.connected(client, stand.server(server, size)) as viewer:
                    await _streamed(viewer)
                    kept = [await _kept(viewer, Path(folder) / "clip.mp4") for _ in range(count)]
                for name, key in (("file", "file_ms"), ("answer", "answer_ms")):
                    values = spread([float(each[key]) for each in kept])
                    results.append(Result("P8", server, client, f"{size}, until the {name}", values, "ms", count))
    return results


async def p9(stand: Stand) -> Sequence[Result]:
    """Pictures too many (above 0) or too few at either end, by the numbers on them."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        clip, whole = Path(folder) / "clip.mp4", Path(folder) / "all.mp4"
        for client, server in _pairs(stand):
            ends: list[tuple[int, int]] = []
            async with stand.connected(client, stand.server(server, "360p")) as viewer:
                await _streamed(viewer)
                for _ in range(CHECKED):
                    asked = await _kept(viewer, clip)
                    await viewer.ask("keep", path=str(whole))
                    ends.append(misses(clip, whole, asked["start_marker"], asked["end_marker"]))
            for name, found in zip(("first", "last"), zip(*ends, strict=True), strict=True):
                values = {"least": min(found), "most": max(found)}
                results.append(Result("P9", server, client, f"360p, {name} picture", values, "pictures", CHECKED))
    return results


def _pairs(stand: Stand) -> list[tuple[str, str]]:
    """JavaScript 2.9.0 knows no clips."""
    clients = (name for name in (OWN, PYTHON) if name in stand.clients)
    return [(client, server) for client in clients for server in stand.servers_for(client)]


async def _streamed(viewer: Client) -> None:
    """More than a clip."""
    await viewer.command("set_pacing", pacing="backpressure")
    await viewer.frames(int(LENGTH * 32), timeout=30.0)


async def _kept(viewer: Client, path: Path) -> dict[str, float]:
    await viewer.frames(APART)
    return await viewer.ask("keep", path=str(path), seconds=LENGTH)


FIGURES = (
    Figure(
        "P8",
        "clip of ten seconds, from request to file",
        "p50 150 ms (360p) / 250 ms (720p), at most 500",
        p8,
        long=True,
    ),
    Figure(
        "P9", "first and last picture of a clip, against the requested range", "at most 1 at each end", p9, long=True
    ),
)
