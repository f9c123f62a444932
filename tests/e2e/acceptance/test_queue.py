"""Three people and one worker, through `livereactor serve`: true places, kept, and in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.tools.browser import BrowserClients
from tests.tools.drivers import Client, PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve
from tests.tools.trying import in_one_of_three

pytestmark = [pytest.mark.asyncio(loop_scope="module"), in_one_of_three]
PATIENCE = 30.0  # seconds; what is promised within one or two, on a machine that is busy
GRACE = 4.0  # seconds that a client in the queue keeps its place without a word


@pytest.fixture(scope="module")
def server(network: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """One worker."""
    log_path = tmp_path_factory.mktemp("coordinator") / "log"
    settings = {**SMALL, "LIVEREACTOR_COORDINATOR__TICKET_GRACE": f"{GRACE:g}"}
    with livereactor_serve([REPOSITORY / "examples/conformance.py"], log_path=log_path, environment=settings) as served:
        served.wait_until(lambda: served.get("/models")[1]["models"][0]["state"] == "ready", timeout=60.0)
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(network: bool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserClients]:
    async with BrowserClients.started(tmp_path_factory.mktemp("page")) as clients:
        yield clients


class Seen:
    """A session as its client's long polls tell it: every view, and when it came (monotonic)."""

    def __init__(self, server: Coordinator, session: str) -> None:
        self.server, self.session = server, session
        self.version = ""

    async def until(self, **wanted: Any) -> float:
        """Poll until these fields of the view, or of its place in the queue, are so; when they were told."""
        async with asyncio.timeout(PATIENCE):
            while True:
                path = f"/sessions/{self.session}?wait=20&version={self.version}"
                _, view = await asyncio.to_thread(self.server.call, "GET", path)
                self.version, self.view = view["version"], view
                if all({**view, **view.get("queue", {})}.get(name) == value for name, value in wanted.items()):
                    return time.monotonic()

    async def unchanged(self, seconds: float) -> None:
        """Nothing is told for so long, while it asks."""
        path = f"/sessions/{self.session}?wait={seconds:g}&version={self.version}"
        _, view = await asyncio.to_thread(self.server.call, "GET", path)
        assert view["version"] == self.version

    def place(self) -> tuple[int, int]:
        return self.view["queue"]["position"], self.view["queue"]["length"]


async def session_of(client: Client) -> str:
    """Of a client that waits: it has one before it is ready."""
    deadline = time.monotonic() + PATIENCE
    while not (session := (await client.state())["session"]):  # asking is a round trip: it gives the client its turn
        assert time.monotonic() < deadline
    return str(session)


async def test_three_official_clients_see_their_places_and_are_served_in_order(
    server: Coordinator, python_clients: PythonClients, page: BrowserClients
) -> None:
    polls: list[str] = []
    page.page.on("request", lambda request: polls.append(request.url))
    async with AsyncExitStack() as stack:
        token = server.token()
        first = await python_clients.new(server.url, api_key=server.key)
        second = await page.new(server.url, jwt=token)
        third = await python_clients.new(server.url, api_key=server.key)
        for each in (first, second, third):
            stack.push_async_callback(each.ask, "drop")
        await first.connect()

        connecting = asyncio.create_task(second.connect())
        behind = Seen(server, await session_of(second))
        await behind.until(position=1)
        last = asyncio.create_task(third.connect())
        end = Seen(server, await session_of(third))
        await end.until(position=2)
        assert end.place() == (2, 2)
        await behind.until(position=1, length=2)

        left = time.monotonic()
        await first.disconnect()
        told_third = await end.until(position=1)
        await asyncio.wait_for(connecting, PATIENCE)
        ready_second = time.monotonic()
        assert (await second.frames(5))["count"] >= 5
        assert not last.done()
        # It has twenty polls in all: those of a queue are held, so that a long one does not use them up.
        assert len([url for url in polls if url.endswith(behind.session)]) <= 3

        await second.disconnect()
        await asyncio.wait_for(last, PATIENCE)
        assert (await third.frames(5))["count"] >= 5
        assert (await third.state())["statuses"] == ["connecting", "waiting", "ready"]
    assert ready_second - left <= 2.0
    assert told_third - left <= 1.0


async def test_a_client_that_comes_back_in_time_has_kept_its_place_and_one_that_does_not_loses_it(
    server: Coordinator,
) -> None:
    running = Seen(server, server.create()["session_id"])
    await running.until(state="WAITING")
    reloading, behind = (Seen(server, server.create()["session_id"]) for _ in range(2))
    await reloading.until(position=1)
    await behind.until(position=2)
    await behind.unchanged(GRACE / 2)
    back = Seen(server, reloading.session)
    await back.until(position=1, length=2)
    await behind.unchanged(GRACE / 2)

    await behind.until(position=1, length=1)  # the other says nothing any more
    await back.until(state="CLOSED", end_reason="timed_out")
    for each in (running, behind):
        server.call("DELETE", f"/sessions/{each.session}")
    await behind.until(state="CLOSED")
