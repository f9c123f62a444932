"""P23: from a command to the frame that shows it, where the server is 40 ms away and every hundredth packet is lost."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from bench.frame import Figure
from bench.latency import ROUNDS, flashes
from bench.stand import OURS, OWN, PYTHON, RIVALS, SIZES, Stand
from livereactor.probes.results import Result, spread
from tests.tools.drivers import OWN as OWN_CLIENT
from tests.tools.drivers import Client, PythonClients
from tests.tools.official import VERSIONS, official_run
from tests.tools.places import SERVER, Places, can_make_places, two_places
from tests.tools.processes import Program
from tests.tools.slow_network import Conditions

FAR: Final = Conditions(delay=0.020, loss=0.01)  # each way
SETTING: Final = "640×360, 40 ms round trip, 1 % lost, paced by the runtime"


async def p23(stand: Stand) -> Sequence[Result]:
    """As P1, over a wire of ours; one row per client and server, in turn."""
    if not can_make_places():
        raise RuntimeError("P23 makes networks of its own: run it as root, with iproute2, nftables and /dev/net/tun")
    names = [name for name in (OWN, PYTHON) if name in stand.clients]
    async with AsyncExitStack() as stack:
        places = stack.enter_context(two_places())
        servers = {OURS: stack.enter_context(_ours(places))}
        if stand.rival_of(PYTHON) is not None:
            servers[f"official {VERSIONS[RIVALS[PYTHON]]}"] = stack.enter_context(_rival(places))
        drivers = {name: await stack.enter_async_context(_clients(places, name)) for name in names}
        rows = {(name, server): list[float | None]() for name in names for server in servers}
        for number in range(ROUNDS):
            for (name, server), times in rows.items():
                async with _connected(places, drivers[name], servers[server]) as viewer:
                    times += await flashes(viewer, stand.trials // ROUNDS, "backpressure", seed=number)
    return [
        Result("P23", server, name, SETTING, spread(times), "ms", len(times)) for (name, server), times in rows.items()
    ]


@asynccontextmanager
async def _clients(places: Places, name: str) -> AsyncIterator[PythonClients]:
    """Their process, at their place."""
    async with AsyncExitStack() as stack:
        with places.client.inside():
            starting = PythonClients.started(OWN_CLIENT) if name == OWN else PythonClients.started()
            made = await stack.enter_async_context(starting)
        yield made


@asynccontextmanager
async def _connected(places: Places, driver: PythonClients, server: Program) -> AsyncIterator[Client]:
    """A client that has connected over a good wire, and is far away from then on."""
    places.wire.become(Conditions())
    with places.server.inside():  # the official runtime refuses a session while the last one is closing
        server.wait_until(lambda: server.get("/health")[1].get("state") != "serving", timeout=30.0)
    viewer = await driver.new(server.url)
    await viewer.connect()
    places.wire.become(FAR)
    try:
        yield viewer
    finally:
        places.wire.become(Conditions())
        await viewer.ask("drop")


@contextmanager
def _ours(places: Places) -> Iterator[Program]:
    with (
        tempfile.TemporaryDirectory() as folder,
        places.serving("examples/conformance.py", log_path=Path(folder) / "log", environment=_size()) as program,
    ):
        yield program


@contextmanager
def _rival(places: Places) -> Iterator[Program]:
    with ExitStack() as stack:
        log_path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        with places.server.inside():
            program = stack.enter_context(official_run(RIVALS[PYTHON], log_path=log_path, environment=_size()))
        program.url = f"http://{SERVER}:{program.url.rpartition(':')[2]}"
        yield program


def _size() -> Mapping[str, str]:
    width, height = SIZES["360p"]
    return {"CONFORMANCE_WIDTH": width, "CONFORMANCE_HEIGHT": height}


FIGURES = (
    Figure(
        "P23",
        "command to first changed pixel, at 40 ms round trip and 1 % packet loss",
        "40 ms round trip + 40 ms (p95)",
        p23,
    ),
)
