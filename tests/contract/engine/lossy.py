"""A bad network without privileges: a UDP relay of ours stands between two Peers and drops what it is told to drop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from livereactor.engine.port import Accepted, Engine, PeerState, Section, Use

from .harness import Link, make_side

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host.*$", re.MULTILINE)


class Relay:
    """Two UDP sockets: `near` is what the client believes to be the server, `far` what the server sees of the client.

    Attributes:
        drops: asked per packet, with True for those of the server; True drops it.
        dropped: how many were.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.drops: Callable[[bool], bool] = lambda _: False
        self.dropped = 0
        self._server = server
        self._client: tuple[str, int] | None = None

    async def open(self) -> tuple[str, int]:
        """Start; the address for the client."""
        loop = asyncio.get_running_loop()
        host = self._server[0]
        self._near, _ = await loop.create_datagram_endpoint(lambda: _Half(self._from_client), (host, 0))
        self._far, _ = await loop.create_datagram_endpoint(lambda: _Half(self._from_server), (host, 0))
        return self._near.get_extra_info("sockname")[:2]

    def close(self) -> None:
        self._near.close()
        self._far.close()

    def _from_client(self, data: bytes, address: tuple[str, int]) -> None:
        self._client = address
        if self._passes(False):
            self._far.sendto(data, self._server)

    def _from_server(self, data: bytes, _: tuple[str, int]) -> None:
        if self._passes(True) and self._client is not None:
            self._near.sendto(data, self._client)

    def _passes(self, of_server: bool) -> bool:
        dropped = self.drops(of_server)
        self.dropped += dropped
        return not dropped


class _Half(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, addr)


@asynccontextmanager
async def lossy_link(
    server_engine: Engine, client_engine: Engine, sections: Sequence[Section]
) -> AsyncIterator[tuple[Link, Relay]]:
    """Join two Peers through a Relay: the client knows its address only, the server is told no candidate at all."""
    server, client = await make_side(server_engine), await make_side(client_engine)
    offer = await client.peer.offer(sections, ["data", "control"])
    offer = re.sub(r"a=candidate:[^\r\n]*\r\n", "", offer)
    uses = {str(index): Use.SEND for index, section in enumerate(sections) if section.use is Use.RECEIVE}
    accepted = await server.peer.accept(offer, uses)
    found = _CANDIDATE.search(accepted.answer)
    assert found, "the answer has no IPv4 candidate"
    relay = Relay((found[1], int(found[2])))
    try:
        host, port = await relay.open()
        line = f"a=candidate:1 1 udp 2122260223 {host} {port} typ host\r\n"
        bare = re.sub(r"a=candidate:[^\r\n]*\r\n", "", accepted.answer)
        answer = bare.replace("a=end-of-candidates", line + "a=end-of-candidates")
        joined = Link(server, client, offer, accepted, await client.peer.take_answer(answer))
        await client.state(PeerState.CONNECTED)
        yield joined, relay
    finally:
        await client.peer.aclose()
        await server.peer.aclose()
        relay.close()


__all__ = ["Accepted", "Relay", "lossy_link"]
