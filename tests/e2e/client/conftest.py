"""Our client against our servers: through `livereactor serve`, and what is about the way in at `livereactor run` too.

The acceptance cases that official clients show too are the same tests (tests/e2e/acceptance), driven through
`tests/tools/own_client`; what concerns the life of a client itself is written against `livereactor.Reactor` in this
process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from livereactor import Reactor
from tests.tools.drivers import OWN, PythonClients
from tests.tools.fixtures import SMALL, Start, join, network, viewer
from tests.tools.processes import REPOSITORY, Program, livereactor_run
from tests.tools.serving import Coordinator, livereactor_serve

__all__ = ["join", "network", "viewer"]

CONFORMANCE, CONFORMANCE_AV = "examples/conformance.py", "examples/conformance_av.py"
SLOW_STEP, TAGS = (f"tests/e2e/acceptance/models/{name}.py" for name in ("slow_step", "tags"))
VISITS = "tests/e2e/client/models/visits.py"
MODELS = {  # target: the name its sessions are asked for by
    CONFORMANCE: "conformance",
    CONFORMANCE_AV: "conformance_av",
    SLOW_STEP: "slow-step",
    TAGS: "tags",
    VISITS: "visits",
}
ENVIRONMENT = {**SMALL, "PYTHONPATH": str(REPOSITORY / "examples")}

Make: TypeAlias = Callable[..., Reactor]


# What a client does is the same at both doors where it is not about the way in: `make test` takes one, `make test-all`
# both. (That official clients see the same at `run` is shown in tests/e2e/acceptance.)
DOORS = (pytest.param("run", marks=pytest.mark.long), "serve")
BOTH_DOORS = pytest.mark.parametrize("door", ["run", "serve"], indirect=True)


@pytest.fixture(scope="module", params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """Which of our servers."""
    return request.param


@pytest.fixture(scope="module")
def targets() -> tuple[str, ...]:
    """What a module's coordinator serves; each model loads when a session asks for it."""
    return (CONFORMANCE,)


@pytest.fixture(scope="module")
def arguments() -> tuple[str, ...]:
    """What a module's coordinator is told."""
    return ()


@pytest.fixture(scope="module")
def start(
    door: str, targets: tuple[str, ...], arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """`start(target)`: a server with that model that ends with the module; a coordinator has all its `targets`."""
    started: dict[str, Program] = {}
    with ExitStack() as stack:

        def run(target: str, *, environment: dict[str, str] | None = None) -> Program:
            key = target if door == "run" else "all"
            if key not in started:
                log_path = tmp_path_factory.mktemp("server") / "log"
                where = [REPOSITORY / each for each in ([target] if door == "run" else targets)]
                variables = {**ENVIRONMENT, **(environment or {})}
                if door == "run":
                    server = livereactor_run(where[0], log_path=log_path, environment=variables)
                else:
                    few = ("--min-ready", "0", *arguments)
                    server = livereactor_serve(where, log_path=log_path, environment=variables, arguments=few)
                started[key] = stack.enter_context(server)
            program = started[key]
            return replace(program, model=MODELS[target]) if isinstance(program, Coordinator) else program

        yield run


@pytest.fixture(scope="module")
def server(start: Start) -> Program:
    """The conformance model at 640x360, 30 frames a second."""
    return start(CONFORMANCE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def python_clients(door: str) -> AsyncIterator[PythonClients]:
    """The process in which our clients live that are driven from outside."""
    async with PythonClients.started(OWN) as clients:
        yield clients


@pytest_asyncio.fixture(loop_scope="module")
async def make() -> AsyncIterator[Make]:
    """`make(server)`: a client in this process for a server of ours, disconnected and closed when the test ends."""
    made: list[Reactor] = []

    def client(program: Program, **options: Any) -> Reactor:
        if isinstance(program, Coordinator):
            options = {"api_url": program.url, "api_key": program.key, **options}
            reactor = Reactor(program.model, **options)
        else:
            reactor = Reactor("conformance", local=program.url, **options)
        made.append(reactor)
        return reactor

    yield client
    for reactor in reversed(made):  # adopters first: the creator's leaving ends the session
        await reactor.disconnect()
        reactor.close()
