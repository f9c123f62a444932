"""Fixtures for end-to-end tests: a private network, a server on it, and the official clients. For conftest files.

`CONFORMANCE_SERVER=official-3` (or -2, for the JavaScript client) runs the same tests against that official runtime: so
the tests themselves were checked. What only ours promises is then left out by `ours_only`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.tools.drivers import Client, PythonClients
from tests.tools.netns import private_network
from tests.tools.official import official_run
from tests.tools.processes import REPOSITORY, Program, livereactor_run
from tests.tools.serving import Coordinator, livereactor_serve

OFFICIAL_SERVER = int(os.environ.get("CONFORMANCE_SERVER", "").rpartition("-")[2] or 0)
SMALL = {"CONFORMANCE_WIDTH": "640", "CONFORMANCE_HEIGHT": "360"}

ours_only = pytest.mark.skipif(OFFICIAL_SERVER > 0, reason="our promise; the official runtime makes another one")

Start = Callable[..., Program]


@pytest.fixture(scope="module")
def network() -> Iterator[bool]:
    """A private network for the whole module, where that is allowed."""
    with private_network() as private:
        yield private


@pytest.fixture(scope="module")
def start(network: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`start("examples/conformance.py", …)`: a server that ends with the module."""
    with ExitStack() as stack:

        def run(
            target: str, *, stepped: bool = False, environment: dict[str, str] | None = None, **more: Any
        ) -> Program:
            log_path = tmp_path_factory.mktemp("server") / "log"
            if OFFICIAL_SERVER:
                model = "SteppedConformance" if stepped else "Conformance"
                context = official_run(OFFICIAL_SERVER, log_path=log_path, environment=environment, model=model)
            else:
                context = livereactor_run(REPOSITORY / target, log_path=log_path, environment=environment, **more)
            return stack.enter_context(context)

        yield run


@pytest.fixture(scope="module")
def server(start: Start) -> Program:
    """The conformance model at 640x360, 30 frames a second."""
    return start("examples/conformance.py", environment=SMALL)


@pytest.fixture(scope="module", params=["run"] if OFFICIAL_SERVER else ["run", "serve"])
def either_server(
    request: pytest.FixtureRequest, network: bool, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """As `server`, by `livereactor run` and again through `livereactor serve` with a key."""
    if request.param == "run":
        yield start("examples/conformance.py", environment=SMALL)
        return
    log_path = tmp_path_factory.mktemp("coordinator") / "log"
    with livereactor_serve([REPOSITORY / "examples/conformance.py"], log_path=log_path, environment=SMALL) as served:
        yield served


def credentials(program: Program, *, jwt: bool = False) -> dict[str, str]:
    """What a client needs to be let in; `jwt`: a token, for clients that take no key."""
    if not isinstance(program, Coordinator):
        return {}
    let_in = {"jwt": program.token()} if jwt else {"api_key": program.key}
    return {"model": program.model, **let_in}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def python_clients(network: bool) -> AsyncIterator[PythonClients]:
    """The process in which official Python clients live."""
    async with PythonClients.started() as clients:
        yield clients


@pytest_asyncio.fixture(loop_scope="module")
async def join(python_clients: PythonClients, server: Program) -> AsyncIterator[Callable[..., Any]]:
    """`await join()`: a connected official Python client; with `session_id`, one more in a session that is there."""
    joined: list[Client] = []

    async def connected(
        *, session_id: str | None = None, watch: str | None = "main_video", at: Program | None = None, **options: Any
    ) -> Client:
        program = at or server
        if OFFICIAL_SERVER == 3 and session_id is None:  # it refuses a session while the last one is closing
            program.wait_until(lambda: program.get("/health")[1]["state"] == "available", timeout=20.0)
        client = await python_clients.new(program.url, **credentials(program), **options)
        joined.append(client)
        await client.connect(session_id=session_id, watch=watch)
        return client

    yield connected
    for client in reversed(joined):  # adopters first: the creator's leaving ends the session
        await client.ask("drop")


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(join: Callable[..., Any]) -> Client:
    """A connected official Python client in a fresh session."""
    return await join()
