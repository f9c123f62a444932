"""A bad network without privileges: a UDP relay of ours stands between two Peers and loses what it is told to lose."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from livereactor.engine.port import Engine, PeerState, Section, Use

from .harness import Link, make_side

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host.*$", re.MULTILINE)
_ANY_CANDIDATE = re.compile(r"a=candidate:[^\r\n]*\r\n")
_PROGRAM = Path(__file__).with_name("lossy_relay.py")


class Relay:
    """The relay's process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def lose(self, *, of_client: float = 0.0, of_server: float = 0.0) -> int:
        """Lose these shares of the packets from now on; how many were lost until now."""
        assert self._process.stdin
        self._process.stdin.write(f"{of_client} {of_server}\n".encode())
        return await self.number()

    async def number(self) -> int:
        assert self._process.stdout
        return int(await self._process.stdout.readline())

    async def aclose(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def lossy_link(
    server_engine: Engine, client_engine: Engine, sections: Sequence[Section]
) -> AsyncIterator[tuple[Link, Relay]]:
    """Join two Peers through a Relay: the client knows its address only, the server is told no candidate at all."""
    server, client = await make_side(server_engine), await make_side(client_engine)
    offer = _ANY_CANDIDATE.sub("", await client.peer.offer(sections, ["data", "control"]))
    uses = {str(index): Use.SEND for index, section in enumerate(sections) if section.use is Use.RECEIVE}
    accepted = await server.peer.accept(offer, uses)
    found = _CANDIDATE.search(accepted.answer)
    assert found, "the answer has no IPv4 candidate"
    host = found[1]
    relay = Relay(
        await asyncio.create_subprocess_exec(sys.executable, str(_PROGRAM), host, found[2], stdin=PIPE, stdout=PIPE)
    )
    try:
        line = f"a=candidate:1 1 udp 2122260223 {host} {await relay.number()} typ host\r\n"
        bare = _ANY_CANDIDATE.sub("", accepted.answer)
        answer = bare.replace("a=end-of-candidates", line + "a=end-of-candidates")
        joined = Link(server, client, offer, accepted, await client.peer.take_answer(answer))
        await client.state(PeerState.CONNECTED)
        yield joined, relay
    finally:
        await client.peer.aclose()
        await server.peer.aclose()
        await relay.aclose()
