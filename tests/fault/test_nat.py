"""A picture through every pair of NATs, with a relay for those that cannot do without.

Everything here happens in namespaces with the kernel's own address translation, and with a real coturn 20 ms away.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.tools.browser import BrowserClients
from tests.tools.coturn import Coturn
from tests.tools.drivers import Client, PythonClients
from tests.tools.fixtures import credentials
from tests.tools.nat import OPENED, Internet, Nat
from tests.tools.nat_fixtures import Serve, browsers, net, pythons, relay, serve, service
from tests.tools.processes import Program
from tests.tools.serving import Coordinator

__all__ = ["browsers", "net", "pythons", "relay", "serve", "service"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = (Nat.OPEN, Nat.FULL_CONE, Nat.SYMMETRIC, Nat.UDP_BLOCKED)
PAIRS = tuple(product(KINDS, KINDS))  # 16 (R4)
# Whoever may send no UDP sends TCP to the relay, but a client that is open takes TCP itself (RFC 6544), which our
# engine dials; of two symmetric NATs neither can foretell the other's port.
NEEDS_RELAY = {pair for pair in PAIRS if Nat.UDP_BLOCKED in pair} | {(Nat.SYMMETRIC, Nat.SYMMETRIC)}
NEEDS_RELAY -= {(Nat.OPEN, Nat.UDP_BLOCKED)}
RELAYED_BYTES = 15_000  # a third of what 10 frames are
READY = 2.0  # seconds (R5); half a second on a quiet machine
PATIENCE = 20.0  # seconds for what takes a second there


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(net: Internet, pythons: PythonClients, service: Coordinator) -> None:
    """The first connection of a process loads and makes what later ones find."""
    async with connected(net, pythons, service):
        pass


@asynccontextmanager
async def connected(
    net: Internet, clients: PythonClients | BrowserClients, server: Program
) -> AsyncIterator[tuple[Client, dict[str, Any]]]:
    with net.public.inside():
        shown = credentials(server, jwt=isinstance(clients, BrowserClients))
    client = await clients.new(server.url, **shown)
    try:
        yield client, await client.connect()
    finally:
        await client.ask("drop")


def relayed(net: Internet) -> int:
    """Bytes that have come from the relay."""
    (device,) = json.loads(net.public.run(["ip", "-json", "-statistics", "link", "show", "dev", "wire"]))
    return device["stats64"]["rx"]["bytes"]


async def streamed_by_relay(net: Internet, client: Client) -> bool:
    """Whether the relay carries the picture; fails where there is none."""
    assert (await client.frames(3))["count"] >= 3
    before = relayed(net)
    assert (await client.frames(10))["decoded"] >= 9
    return relayed(net) - before > RELAYED_BYTES


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].value} client, {pair[1].value} worker")
async def test_a_picture_comes_through_every_pair_of_nats(
    net: Internet, relay: Coturn, service: Coordinator, pythons: PythonClients, pair: tuple[Nat, Nat]
) -> None:
    net.client.become(pair[0])
    net.worker.become(pair[1])
    async with connected(net, pythons, service) as (client, ready):
        assert await streamed_by_relay(net, client) is (pair in NEEDS_RELAY)
        assert (await client.command("echo", value=1))["data"]["value"] == 1
        assert f":{ready['session']}>" in relay.log_path.read_text(), "its credentials are the session's"


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("worker", [Nat.OPEN, Nat.SYMMETRIC, Nat.UDP_BLOCKED], ids=lambda nat: f"{nat.value} worker")
async def test_a_client_without_udp_is_ready_within_two_seconds_over_tcp(
    net: Internet, service: Coordinator, pythons: PythonClients, capsys: pytest.CaptureFixture[str], worker: Nat
) -> None:
    net.client.become(Nat.UDP_BLOCKED)
    net.worker.become(worker)
    taken: list[float] = []
    while not taken or (min(taken) > READY and len(taken) < 3):  # a machine that is busy elsewhere may be slow once
        async with connected(net, pythons, service) as (client, ready):
            taken.append(ready["ready_ms"] / 1e3)
            assert (await client.frames(10))["count"] >= 10
            stats = await client.ask("stats")
            assert (stats["candidate_type"], stats["relay_protocol"]) == ("relay", "tcp")
    with capsys.disabled():
        print(f"\nR5: without UDP, {worker.value} worker: ready over TCP in {min(taken):.2f} s (at most {READY:g} s)")
    assert min(taken) <= READY


@pytest.mark.parametrize(
    "nat", [Nat.SYMMETRIC, pytest.param(Nat.UDP_BLOCKED, marks=pytest.mark.long)], ids=lambda nat: nat.value
)
async def test_the_official_client_in_a_browser_gets_a_picture_through_the_relay(
    net: Internet, service: Coordinator, browsers: BrowserClients, nat: Nat
) -> None:
    """Without UDP this client waits 5 s for the relay's UDP candidate before it posts its offer: that is its own."""
    net.client.become(nat)
    net.worker.become(Nat.SYMMETRIC)
    async with connected(net, browsers, service) as (client, _):
        assert await streamed_by_relay(net, client)


@pytest.mark.parametrize(
    "nat", [pytest.param(Nat.SYMMETRIC, marks=pytest.mark.long), Nat.UDP_BLOCKED], ids=lambda nat: nat.value
)
async def test_the_page_shows_a_picture_through_the_relay(
    net: Internet, relay: Coturn, serve: Serve, browsers: BrowserClients, nat: Nat
) -> None:
    worker = serve(relays=(relay.urls, relay.secret))
    net.client.become(nat)
    net.worker.become(Nat.SYMMETRIC)
    assert browsers.page.context.browser is not None
    page = await browsers.page.context.browser.new_page()
    try:
        await page.goto(worker.url)
        await page.get_by_role("button", name="Start").click()
        picture = page.locator("figure:not([hidden]) video")
        await expect(picture).to_have_js_property("videoWidth", 640, timeout=PATIENCE * 1e3)
    finally:
        await page.close()


async def test_a_runtime_without_a_coordinator_gives_credentials_too(
    net: Internet, relay: Coturn, serve: Serve, pythons: PythonClients
) -> None:
    net.client.become(Nat.UDP_BLOCKED)
    net.worker.become(Nat.SYMMETRIC)
    async with connected(net, pythons, serve(relays=(relay.urls, relay.secret))) as (client, ready):
        assert await streamed_by_relay(net, client)
        assert f":{ready['session']}>" in relay.log_path.read_text(), "its credentials are the session's"


@pytest.mark.long
@pytest.mark.parametrize("nat", [Nat.SYMMETRIC, Nat.UDP_BLOCKED], ids=lambda nat: nat.value)
async def test_the_other_engine_finds_the_same_ways(
    net: Internet, serve: Serve, relay: Coturn, pythons: PythonClients, nat: Nat
) -> None:
    worker = serve(engine="aiortc", turn=relay.entries())
    net.client.become(nat)
    net.worker.become(nat)
    async with connected(net, pythons, worker) as (client, _):
        assert await streamed_by_relay(net, client)


@pytest.mark.parametrize("nat", [Nat.OPEN, Nat.SYMMETRIC], ids=lambda nat: f"{nat.value} client")
async def test_behind_a_one_to_one_nat_the_public_address_is_enough(
    net: Internet, serve: Serve, pythons: PythonClients, nat: Nat
) -> None:
    """Neither STUN nor TURN: the client only knows what the answer says, and only a few ports are open."""
    worker = serve(public_address=net.worker.public, port_range=f"{OPENED[0]}:{OPENED[-1]}")
    net.client.become(nat)
    net.worker.become(Nat.ONE_TO_ONE)
    async with connected(net, pythons, worker) as (client, _):
        assert not await streamed_by_relay(net, client)
