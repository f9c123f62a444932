"""Fixtures for tests across networks: an internet, a relay on it, a model served at one site, clients at the other.

The model is served by `livereactor run`, or as clouds do it: a coordinator on the public network, and a Worker at its
site that dials out to it and is told the rest.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import cache

import pytest
import pytest_asyncio

from tests.tools.browser import BrowserClients
from tests.tools.coturn import Coturn, coturn
from tests.tools.drivers import PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.nat import COORDINATOR, RELAY, Internet, can_make_internet, internet
from tests.tools.processes import LIVEREACTOR, Program, background, running
from tests.tools.serving import Coordinator, livereactor_serve

Serve = Callable[..., Program]
_WORKER_SECRET = "tests-only-worker-0123456789-0123456789"


@pytest.fixture(scope="module")
def net() -> Iterator[Internet]:
    """Two sites and a public network."""
    if not can_make_internet():
        pytest.skip("this machine lets us make no networks: it takes root, iproute2, nftables and TUN devices")
    with internet() as made:
        yield made


@pytest.fixture(scope="module")
def relay(net: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    """A coturn that everybody reaches."""
    with ExitStack() as stack:
        with net.relay.inside():
            made = stack.enter_context(coturn(RELAY, tmp_path_factory.mktemp("coturn")))
        yield made


@pytest.fixture(scope="module")
def serve(net: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve(turn=…, port_range="…")`: the conformance model at the worker's site, until the module ends.

    Args of `serve`: `turn`, servers with credentials; `relays`, urls and the secret they share; `[runtime]` settings.
    Asked for the same again, it gives the one that runs.
    """
    ports = itertools.count(8080)
    with ExitStack() as stack:

        @cache
        def started(
            *, turn: tuple[str, ...] = (), relays: tuple[tuple[str, ...], str] | None = None, **runtime: str
        ) -> Program:
            port = next(ports)
            command = [*LIVEREACTOR, "run", "examples/conformance.py", "--insecure", "--port", str(port)]
            settings = {"host": "0.0.0.0", **runtime}
            environment = {**SMALL, **{f"LIVEREACTOR_RUNTIME__{name.upper()}": settings[name] for name in settings}}
            environment["LIVEREACTOR_TURN__TURN"] = json.dumps(turn)
            if relays is not None:
                environment["LIVEREACTOR_TURN__URLS"] = json.dumps(relays[0])
                environment["LIVEREACTOR_TURN__SECRET"] = relays[1]
            log_path = tmp_path_factory.mktemp("server") / "log"
            with net.worker.host.inside():
                program = stack.enter_context(running(command, port=port, log_path=log_path, environment=environment))
            program.url = f"http://{net.worker.public}:{port}"
            return program

        yield started


@pytest.fixture(scope="module")
def service(net: Internet, relay: Coturn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """A coordinator that shares the relay's secret, and at the worker's site a Worker that knows no relay."""
    folder = tmp_path_factory.mktemp("service")
    environment = {
        "LIVEREACTOR_TURN__URLS": json.dumps(relay.urls),
        "LIVEREACTOR_TURN__SECRET": relay.secret,
        "LIVEREACTOR_COORDINATOR__WORKER_SECRET": _WORKER_SECRET,
    }
    url = f"http://{COORDINATOR}:8080"
    command = [*LIVEREACTOR, "worker", "examples/conformance.py", "--coordinator", url]
    shown = {**SMALL, "LIVEREACTOR_WORKER_SECRET": _WORKER_SECRET}
    with ExitStack() as stack:
        with net.public.inside():
            serving = livereactor_serve(
                [],
                host=COORDINATOR,
                port=8080,
                log_path=folder / "log",
                environment=environment,
            )
            made = stack.enter_context(serving)
        with net.worker.host.inside():
            stack.enter_context(background(command, url=url, log_path=folder / "worker", environment=shown))
        made.wait_until(lambda: "worker registered" in made.log(), timeout=60.0)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pythons(net: Internet) -> AsyncIterator[PythonClients]:
    """Official Python clients at the client's site."""
    async with AsyncExitStack() as stack:
        with net.client.host.inside():
            made = await stack.enter_async_context(PythonClients.started())
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browsers(net: Internet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserClients]:
    """Official JavaScript clients in a Chromium at the client's site."""
    async with AsyncExitStack() as stack:
        with net.client.host.inside():
            made = await stack.enter_async_context(BrowserClients.started(tmp_path_factory.mktemp("pages")))
        yield made
