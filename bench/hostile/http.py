"""Attacks on the HTTP front door, by visitors whom nobody has asked who they are."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from contextlib import suppress

from bench.hostile.asking import ask, http, status, wire
from bench.hostile.attack import BOTH, RUN, Attack, Tally, Target, paced, together, words
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, credential
from livereactor.protocol import link

BEGIN = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
KIB = 1024
SHARE = 128  # connections of one address (`address_sockets`)
HANDSHAKE = (
    f"GET {link.PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
).encode()
WAITING, WAITING_IN_SUM = 500, 10_000  # WebSockets at once, and of one attack
REBOUND = {"Host": "evil.example:8080", "X-Forwarded-Host": "localhost"}


async def endless_headers(target: Target, tally: Tally) -> None:
    """Eight connections at a time, each with header lines that never end."""

    async def one(_: int) -> None:
        async for _ in paced(5):
            async with wire(target) as (reader, writer):
                tally.sent += 1
                try:
                    writer.write(BEGIN)
                    for _ in range(64):  # 4 MiB: what is read of them is what counts
                        writer.write(b"x: " + b"y" * 64 * KIB + b"\r\n")
                        await writer.drain()
                    tally.saw(await status(reader))
                except ConnectionError:
                    tally.saw("closed")

    await together(8, one)


async def slow_headers(target: Target, tally: Tally) -> None:
    """As many connections as an address may have, each with a byte of a header every half second."""

    async def one(_: int) -> None:
        while True:
            async with wire(target) as (reader, writer):
                tally.sent += 1
                try:
                    writer.write(BEGIN + b"x: ")
                    while not reader.at_eof():
                        writer.write(b"y")
                        await writer.drain()
                        try:
                            async with asyncio.timeout(0.5):
                                tally.saw(await status(reader))
                            break
                        except TimeoutError:
                            continue
                except ConnectionError:
                    tally.saw("closed")

    await together(SHARE - 8, one)


async def idle_sockets(target: Target, tally: Tally) -> None:
    """Open connections and say nothing: forty more than an address may have, again whenever one is closed."""

    async def one(_: int) -> None:
        async for _ in paced(2):
            async with wire(target) as (reader, _writer):
                tally.sent += 1
                tally.saw(await status(reader))

    await together(SHARE + 40, one)


async def connection_churn(target: Target, tally: Tally) -> None:
    """Connect, ask one thing and hang up before the answer, 200 times a second."""

    async def one(_: int) -> None:
        async for number in paced(25):
            async with wire(target) as (reader, writer):
                writer.write(BEGIN + b"\r\n")
                tally.sent += 1
                if number % 2:
                    tally.saw(await status(reader))

    await together(8, one)


async def pipelined_requests(target: Target, tally: Tally) -> None:
    """Write 14,000 requests at once and wait for no answer, over eight connections, five times a second each."""
    many = b"GET / HTTP/1.1\r\n\r\n" * 14_000

    async def one(_: int) -> None:
        async for _ in paced(5):
            async with wire(target) as (reader, writer):
                tally.sent += 1
                writer.write(many)
                tally.saw(await status(reader))

    await together(8, one)


async def bodies_before_keys(target: Target, tally: Tally) -> None:
    """Post nested JSON to `/tokens` without a key, over eight connections: as large as one with a key may be."""
    body = b"[" * 32_000 + b"]" * 32_000

    async def one(_: int) -> None:
        async with http(target, most=1) as client:
            async for _ in paced(5):
                await ask(client, tally, "POST", "/tokens", content=body)

    await together(8, one)


async def rebound_hosts(target: Target, tally: Tally) -> None:
    """Read as a page does that points its own name at this machine, and claim to be behind a proxy."""
    paths = itertools.cycle(["/session", "/events", "/metrics", "/schema"])

    async def one(_: int) -> None:
        async with http(target, most=1) as client:
            async for _ in paced(25):
                await ask(client, tally, "GET", next(paths), headers=REBOUND)

    await together(8, one)


async def guessed_worker_secrets(target: Target, tally: Tally) -> None:
    """Dial as a worker, 100 times a second: with a secret, or with a credential that another secret made."""

    async def one(_: int) -> None:
        async for number in paced(12.5):
            guess = secrets.token_urlsafe(32)
            shown = credential(guess, WorkerIdentity("conformance-1", "conformance")) if number % 2 else guess
            async with wire(target) as (reader, writer):
                tally.sent += 1
                writer.write(HANDSHAKE + f"Authorization: Bearer {shown}\r\n\r\n".encode())
                tally.saw(await status(reader))

    await together(8, one)


async def idle_websockets(target: Target, tally: Tally) -> None:
    """Begin WebSockets, half of them without the end of their header, and stay until the server hangs up."""

    async def one(number: int) -> None:
        async for _ in paced(1):
            if tally.sent >= WAITING_IN_SUM:
                return
            async with wire(target) as (reader, writer):
                tally.sent += 1
                writer.write(HANDSHAKE + (b"\r\n" if number % 2 else b""))
                tally.saw(await status(reader))
                with suppress(ConnectionError):
                    await reader.read()

    await together(WAITING, one)


async def busy_neighbour(target: Target, tally: Tally) -> None:
    """Compute, and leave the server alone."""
    while True:
        sum(range(100_000))
        await asyncio.sleep(0)


ATTACKS = (
    Attack(
        "busy-neighbour",
        "a process of the same machine computes at the priority of the attackers, and sends nothing",
        "nothing: this is what the bench itself costs",
        busy_neighbour,
        may=frozenset(),
        programs=BOTH,
    ),
    Attack(
        "endless-headers",
        "eight connections send header lines of 64 KiB without an end",
        "header_bytes",
        endless_headers,
        may=words("431 closed 429"),
        must=words("closed"),
        programs=BOTH,
    ),
    Attack(
        "slow-headers",
        "120 connections send one byte of a header every half second",
        "header_wait, address_sockets",
        slow_headers,
        may=words("408 429 closed"),
        programs=BOTH,
    ),
    Attack(
        "idle-sockets",
        "168 connections of one address are opened and say nothing",
        "address_sockets, header_wait",
        idle_sockets,
        may=words("429 408 closed"),
        must=words("429"),
        programs=BOTH,
    ),
    Attack(
        "connection-churn",
        "200 connections a second, every other one hung up before its answer",
        "anonymous_per_minute",
        connection_churn,
        may=words("200 429"),
        must=words("200"),
        programs=BOTH,
    ),
    Attack(
        "pipelined-requests",
        "40 times a second, 14,000 requests are written at once to a connection, and no answer is waited for",
        "pipelined_requests",
        pipelined_requests,
        may=words("429 closed"),
        must=words("429"),
        programs=BOTH,
    ),
    Attack(
        "bodies-before-keys",
        "40 bodies of 64 KB, nested 32,000 deep, are posted to /tokens a second without a key",
        "the key before the body, anonymous_per_minute",
        bodies_before_keys,
        may=words("401 429 431 closed"),  # 431: the rest of a refused body is counted like a header
        must=words("401"),
    ),
    Attack(
        "rebound-hosts",
        "200 requests a second come with a foreign Host and X-Forwarded-Host: localhost, as from a rebound name",
        "Host is judged before X-Forwarded-Host",
        rebound_hosts,
        may=words("403 429"),
        must=words("403"),
        programs=RUN,
    ),
    Attack(
        "guessed-worker-secrets",
        "100 dials a second to /workers/link show a worker secret or credential that is a guess",
        "30 wrong worker credentials a minute of an address, anonymous_per_minute",
        guessed_worker_secrets,
        may=words("401 429"),
        must=words("429"),
    ),
    Attack(
        "idle-websockets",
        "500 WebSockets at once are begun and left idle, half of them without the end of their header; 10,000 in sum",
        "address_sockets, header_wait, the credential before the socket",
        idle_websockets,
        may=words("401 408 429 closed"),
        must=words("429"),
    ),
)
