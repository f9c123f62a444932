"""What an answer says of where we are: public addresses, and how long it waits for a relay."""

from __future__ import annotations

import re
import socket
import time

from livereactor.engine.gathering import RELAY_WAIT
from livereactor.engine.port import Engine, IceServer, PeerConfig, Section, Use
from tests.tools.trying import in_one_of_three

from .harness import Side, make_side

SECTIONS = (Section("video", Use.RECEIVE),)
USES = {"0": Use.SEND}
HOST = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", re.MULTILINE | re.IGNORECASE)


async def offered(engine: Engine) -> tuple[Side, str]:
    client = await make_side(engine)
    return client, await client.peer.offer(SECTIONS, ["data", "control"])


async def test_host_candidates_are_announced_at_the_public_addresses_of_their_family(engine: Engine) -> None:
    client, offer = await offered(engine)
    server = await make_side(engine, PeerConfig(public_addresses=("203.0.113.7", "2001:db8::7")))
    answer = (await server.peer.accept(offer, USES)).answer
    await server.peer.aclose()
    await client.peer.aclose()
    found = HOST.findall(answer)
    assert found
    assert {address for address, _ in found} <= {"203.0.113.7", "2001:db8::7"}
    assert all(int(port) > 0 for _, port in found)


async def test_the_announced_port_is_the_one_that_is_bound(engine: Engine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    client, offer = await offered(engine)
    server = await make_side(engine, PeerConfig(public_addresses=("203.0.113.7",), port_range=(port, port)))
    answer = (await server.peer.accept(offer, USES)).answer
    await server.peer.aclose()
    await client.peer.aclose()
    assert ("203.0.113.7", str(port)) in HOST.findall(answer)


@in_one_of_three
async def test_a_relay_that_keeps_silent_delays_one_answer_only(engine: Engine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("0.0.0.0", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address of this machine is used
            address = probe.getsockname()[0]
        dead = PeerConfig(ice_servers=(IceServer((f"turn:{address}:{silent.getsockname()[1]}",), "user", "secret"),))
        times: list[float] = []
        for _ in range(3):
            client, offer = await offered(engine)
            server = await make_side(engine, dead)
            started = time.perf_counter()
            assert (await server.peer.accept(offer, USES)).answer
            times.append(time.perf_counter() - started)
            await client.peer.aclose()
            await server.peer.aclose()
    assert RELAY_WAIT <= times[0] < RELAY_WAIT + 0.5
    assert max(times[1:]) < RELAY_WAIT / 2


@in_one_of_three
async def test_an_offer_waits_for_no_relay(engine: Engine) -> None:
    """It trickles: the candidate follows."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"turn:127.0.0.1:{silent.getsockname()[1]}"
        client = await make_side(engine, PeerConfig(ice_servers=(IceServer((url,), "user", "secret"),)))
        started = time.perf_counter()
        await client.peer.offer(SECTIONS, ["data", "control"])
        assert time.perf_counter() - started < RELAY_WAIT / 2
        await client.peer.aclose()
