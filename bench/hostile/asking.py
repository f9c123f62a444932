"""HTTP of attackers: raw connections and requests from an address of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import httpx2

from bench.hostile.attack import Tally, Target

PATIENCE = 30.0  # seconds: an answer that takes longer is none


@asynccontextmanager
async def wire(target: Target) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection to the server's HTTP."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(*target.at, local_addr=(target.source, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def status(reader: asyncio.StreamReader) -> str:
    """The status of an answer, or `closed` where the server hung up without one."""
    with suppress(ConnectionError):
        head = await reader.read(65_536)
        if head.startswith(b"HTTP/1.1 "):
            return head[9:12].decode(errors="replace")
    return "closed"


@asynccontextmanager
async def http(target: Target, token: str = "", *, most: int = 20) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with a token, over at most so many connections."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most)
    transport = httpx2.AsyncHTTPTransport(local_address=target.source, limits=limits)
    async with httpx2.AsyncClient(
        base_url=target.url, headers=headers, transport=transport, timeout=PATIENCE
    ) as client:
        yield client


async def ask(
    client: httpx2.AsyncClient,
    tally: Tally,
    method: str,
    path: str,
    *,
    json: object = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Response | None:
    """One request, its status counted; None where no answer came."""
    tally.sent += 1
    try:
        answer = await client.request(method, path, json=json, content=content, headers=headers)
    except httpx2.TimeoutException:
        tally.saw("nothing")
    except httpx2.TransportError:
        tally.saw("closed")
    else:
        tally.saw(answer.status_code)
        return answer
    return None
