"""Which engines the suite runs against: one line each in ENGINES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import product

import pytest

from livereactor.engine.aiortc.engine import AiortcEngine
from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.port import Engine

ENGINES: dict[str, Callable[[], Engine]] = {
    "libwebrtc": LibwebrtcEngine,
    "aiortc": AiortcEngine,
}


# Each engine as server and as client of its own kind; `make test-all`, and the tests that say so, cross them too.
PAIRS = [
    pytest.param(pair, marks=() if pair[0] == pair[1] else pytest.mark.long, id=f"{pair[0]} to {pair[1]}")
    for pair in product(ENGINES, ENGINES)
]
EVERY_PAIR = pytest.mark.parametrize(
    "engines", list(product(ENGINES, ENGINES)), indirect=True, ids=lambda pair: f"{pair[0]} to {pair[1]}"
)


class Engines:
    """The server's and the client's engine of one test: the same object where they are of one kind."""

    def __init__(self, server: Engine, client: Engine) -> None:
        self.server, self.client = server, client


@pytest.fixture(params=PAIRS)
async def engines(request: pytest.FixtureRequest) -> AsyncIterator[Engines]:
    server_name, client_name = request.param
    server = ENGINES[server_name]()
    client = server if client_name == server_name else ENGINES[client_name]()
    await server.start()
    await client.start()
    yield Engines(server, client)
    await client.aclose()
    await server.aclose()


@pytest.fixture(params=list(ENGINES))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """For what one engine does whoever is on the other side; here that is the same engine."""
    made = ENGINES[request.param]()
    await made.start()
    yield made
    await made.aclose()
