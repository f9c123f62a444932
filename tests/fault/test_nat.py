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
from tests.tools.nat import Internet, Nat
from tests.tools.nat_fixtures import Serve, browsers, net, pythons, relay, serve
from tests.tools.processes import Program

__all__ = ["browsers", "net", "pythons", "relay", "serve"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = (Nat.OPEN, Nat.FULL_CONE, Nat.SYMMETRIC, Nat.UDP_BLOCKED)
PAIRS = tuple(product(KINDS, KINDS))
# Whoever may send no UDP sends TCP to the relay, but a client that is open takes TCP itself (RFC 6544), which our
# engine dials; of two symmetric NATs neither can foretell the other's port.
NEEDS_RELAY = {pair for pair in PAIRS if Nat.UDP_BLOCKED in pair} | {(Nat.SYMMETRIC, Nat.SYMMETRIC)}
NEEDS_RELAY -= {(Nat.OPEN, Nat.UDP_BLOCKED)}
RELAYED_BYTES = 20_000  # a third of what 12 frames are
READY = 2.0  # seconds (R5); behaviour C-40 allows 5
GATHERING = 5.0  # seconds that the official JavaScript client 2.9 waits for candidates at most


@pytest.fixture(scope="module")
def worker(serve: Serve, relay: Coturn) -> Program:
    return serve(turn=relay.entries())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(pythons: PythonClients, worker: Program) -> None:
    """The first connection of a process loads and makes what later ones find."""
    client = await pythons.new(worker.url)
    await client.connect()
    await client.ask("drop")


@asynccontextmanager
async def connected(clients: PythonClients | BrowserClients, url: str) -> AsyncIterator[tuple[Client, dict[str, Any]]]:
    client = await clients.new(url)
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
    assert (await client.frames(5))["count"] >= 5
    before = relayed(net)
    assert (await client.frames(12))["decoded"] >= 11
    return relayed(net) - before > RELAYED_BYTES


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].value} client, {pair[1].value} worker")
async def test_a_picture_comes_through_every_pair_of_nats(
    net: Internet, worker: Program, pythons: PythonClients, pair: tuple[Nat, Nat]
) -> None:
    net.client.become(pair[0])
    net.worker.become(pair[1])
    async with connected(pythons, worker.url) as (client, ready):
        assert ready["ready_ms"] < READY * 1e3
        assert await streamed_by_relay(net, client) is (pair in NEEDS_RELAY)
        assert (await client.command("echo", value=1))["data"]["value"] == 1


@pytest.mark.usefixtures("warm")
async def test_a_client_without_udp_is_ready_within_two_seconds_over_tcp(
    net: Internet, worker: Program, pythons: PythonClients
) -> None:
    net.client.become(Nat.UDP_BLOCKED)
    net.worker.become(Nat.OPEN)
    async with connected(pythons, worker.url) as (client, ready):
        assert ready["ready_ms"] < READY * 1e3
        assert (await client.frames(10))["count"] >= 10
        stats = await client.ask("stats")
        assert (stats["candidate_type"], stats["relay_protocol"]) == ("relay", "tcp")


@pytest.mark.parametrize(
    "nat", [Nat.SYMMETRIC, pytest.param(Nat.UDP_BLOCKED, marks=pytest.mark.long)], ids=lambda nat: nat.value
)
async def test_the_official_client_in_a_browser_gets_a_picture_through_the_relay(
    net: Internet, worker: Program, browsers: BrowserClients, nat: Nat
) -> None:
    net.client.become(nat)
    net.worker.become(Nat.SYMMETRIC)
    async with connected(browsers, worker.url) as (client, ready):
        # Without UDP this client waits 5 s for the relay's UDP candidate before it posts its offer: that is its own.
        assert ready["ready_ms"] < (READY + GATHERING if nat is Nat.UDP_BLOCKED else READY) * 1e3
        assert await streamed_by_relay(net, client)


@pytest.mark.parametrize("nat", [Nat.SYMMETRIC, Nat.UDP_BLOCKED], ids=lambda nat: nat.value)
async def test_the_page_shows_a_picture_through_the_relay(
    net: Internet, worker: Program, browsers: BrowserClients, nat: Nat
) -> None:
    net.client.become(nat)
    net.worker.become(Nat.SYMMETRIC)
    assert browsers.page.context.browser is not None
    page = await browsers.page.context.browser.new_page()
    try:
        await page.goto(worker.url)
        await page.get_by_role("button", name="Start").click()
        picture = page.locator("figure:not([hidden]) video")
        await expect(picture).to_have_js_property("videoWidth", 640, timeout=READY * 1e3)
    finally:
        await page.close()


@pytest.mark.parametrize("nat", [Nat.SYMMETRIC, Nat.UDP_BLOCKED], ids=lambda nat: nat.value)
async def test_the_other_engine_finds_the_same_ways(
    net: Internet, serve: Serve, relay: Coturn, pythons: PythonClients, nat: Nat
) -> None:
    worker = serve(engine="aiortc", turn=relay.entries())
    net.client.become(nat)
    net.worker.become(nat)
    async with connected(pythons, worker.url) as (client, _):
        assert await streamed_by_relay(net, client)


@pytest.mark.parametrize("nat", [Nat.OPEN, Nat.SYMMETRIC], ids=lambda nat: f"{nat.value} client")
async def test_behind_a_one_to_one_nat_the_public_address_is_enough(
    net: Internet, serve: Serve, pythons: PythonClients, nat: Nat
) -> None:
    """Neither STUN nor TURN: the client only knows what the answer says."""
    worker = serve(public_address=net.worker.public, port_range="40000:40100")
    net.client.become(nat)
    net.worker.become(Nat.ONE_TO_ONE)
    async with connected(pythons, worker.url) as (client, ready):
        assert ready["ready_ms"] < READY * 1e3
        assert not await streamed_by_relay(net, client)
