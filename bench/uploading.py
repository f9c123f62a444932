"""P21: a file given to a session, from the call to its handle; and what it costs the server in memory."""

from __future__ import annotations

from collections.abc import Sequence

from bench.frame import Figure
from bench.stand import JAVASCRIPT, OWN, PYTHON, Stand
from livereactor.probes.results import Result, spread
from tests.tools.drivers import Client
from tests.tools.process_memory import peak, reset_peak

MB = 1_000_000
FILES = {"5 MB": (5 * MB, 22), "95 MB": (95 * MB, 4)}  # size and how often: below the 500 MiB of a session in all
WARM_UP = {"5 MB": 2, "95 MB": 1}
TYPE = "application/octet-stream"


async def p21(stand: Stand) -> Sequence[Result]:
    """Bytes in the client's memory, over loopback, while a picture streams."""
    results: list[Result] = []
    for client in (name for name in (OWN, PYTHON, JAVASCRIPT) if name in stand.clients):
        for server in stand.servers_for(client):
            program = stand.server(server, "360p")
            async with stand.connected(client, program) as viewer:
                for what, (size, count) in FILES.items():
                    before = reset_peak(program.pid)
                    times = await _upload(viewer, size, count)
                    grown = (peak(program.pid) - before) / MB
                    warm = times[WARM_UP[what] :]
                    results.append(Result("P21", server, client, what, spread(warm), "ms", len(warm)))
                    results.append(
                        Result("P21", server, client, f"{what}, server memory", {"peak": grown}, "MB", count)
                    )
    return results


async def _upload(viewer: Client, size: int, count: int) -> list[float | None]:
    """Milliseconds of each."""
    asked = {"size": size, "name": "film.bin", "mime_type": TYPE}
    return [(await viewer.ask("upload", ref=f"{size} {number}", **asked))["ms"] for number in range(count)]


FIGURES = (Figure("P21", "upload of 5 MB and of 95 MB", "25 ms for 5 MB; memory does not grow with the file", p21),)
