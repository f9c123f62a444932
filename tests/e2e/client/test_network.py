"""A network that goes away, comes back or is narrow, in a network of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.e2e.acceptance.test_media import made, rate, window
from tests.e2e.client.conftest import DOORS
from tests.tools.drivers import OWN, Client, PythonClients
from tests.tools.fixtures import credentials
from tests.tools.netns import throttled
from tests.tools.processes import Program
from tests.tools.trying import in_one_of_three

pytestmark = pytest.mark.asyncio(loop_scope="module")
CUT = """
table inet cut {
    chain in { type filter hook input priority 0; policy accept; {rule} drop; }
}
"""


@pytest.fixture(scope="module", params=DOORS)
def door(request: pytest.FixtureRequest, network: bool) -> str:
    """As the others, with servers and clients in the network."""
    if not network:
        pytest.skip("a link can be cut in a namespace of one's own only, which is not allowed here")
    return request.param


@contextmanager
def cut(rule: str) -> Iterator[None]:
    """What the rule matches is lost, both ways, until the end."""
    nft(CUT.replace("{rule}", rule))
    try:
        yield
    finally:
        nft("flush ruleset")


def nft(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)


async def errors(client: Client) -> list[dict[str, Any]]:
    return (await client.state())["errors"]


@in_one_of_three
async def test_a_peer_that_is_gone_is_one_error_and_disconnected_within_8_s(join: Any) -> None:
    client = await join()
    await client.frames(10)
    with cut("meta l4proto udp"):
        started = time.monotonic()
        assert await client.ask("wait_status", status="disconnected", timeout=8.0)
        assert 4.0 <= time.monotonic() - started <= 8.0
    (error,) = await errors(client)
    assert (error["code"], error["recoverable"], error["retry_after"]) == ("GPU_CONNECTION_ERROR", True, 3)
    assert error["reason"] == "TRANSPORT_ERROR"
    assert (await client.state())["session"] is not None


@in_one_of_three
async def test_after_6_s_without_a_packet_the_same_session_is_ready_within_3_s(join: Any) -> None:
    client = await join(auto_reconnect=True)
    session = (await client.state())["session"]
    await client.command("set_prompt", prompt="kept")
    await client.frames(10)
    with cut("meta l4proto { tcp, udp }"):
        await client.ask("frames_for", seconds=6.0)
    returned = time.monotonic()
    assert await client.ask("wait_status", status="ready", timeout=10.0)
    assert time.monotonic() - returned <= 3.0
    assert (await client.frames(5))["count"] >= 5
    assert (await client.state())["session"] == session
    assert (await client.command("get_state"))["data"]["prompt"] == "kept"


@in_one_of_three
async def test_a_second_of_silence_is_mended_while_the_status_stays_ready(join: Any) -> None:
    client = await join()
    session = (await client.state())["session"]
    await client.frames(10)
    with cut("meta l4proto udp"):
        await client.ask("frames_for", seconds=2.5)
    assert (await client.frames(5, timeout=5.0))["count"] >= 5
    state = await client.state()
    assert (state["status"], state["session"], state["errors"]) == ("ready", session, [])
    assert state["statuses"] == ["connecting", "waiting", "ready"]


@pytest.mark.alone
async def test_a_throttled_viewer_costs_the_others_nothing(join: Any, server: Program) -> None:
    first = await join()
    session = (await first.state())["session"]
    async with PythonClients.started(OWN) as elsewhere:
        second = await elsewhere.new(server.url, **credentials(server))
        await second.connect(session_id=session)
        await second.frames(10)
        await first.frames(10)
        ports = {each.laddr.port for each in psutil.Process(elsewhere.pid).net_connections("udp")}
        with throttled(ports, kbit=300):
            await first.ask("frames_for", seconds=2.0)
            frames = await window(first, 5.0, lambda seen: rate(seen) >= 29.0 and 29.4 <= made(seen) <= 30.6)
        assert rate(frames) >= 29.0
        assert made(frames) == pytest.approx(30.0, rel=0.02)
        await second.ask("drop")
