"""Connections of a server that come and go in every way leave nothing behind, and are counted once."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from livereactor.base.limits import Limits
from livereactor.web.sockets import Sockets
from livereactor.wiring.connections import KEPT, BoundedWebSocket, bounded
from livereactor.wiring.process import Server

PATIENCE: Final = 30.0  # seconds for what takes two
VISITS: Final = 3_000
LARGE: Final = 16 * 1_048_576  # bytes of an answer: more than the two kernels keep for a client that does not read
PIECE: Final = 131_072
LOOPS: Final = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def _get(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


def _upgrade(path: str, *, version: int = 13) -> bytes:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return _get(path, "Upgrade: websocket", "Connection: Upgrade", key, f"Sec-WebSocket-Version: {version}")


BEGINNINGS: Final = (
    b"",
    b"G",
    _get("/"),
    _get("/") * 5,
    _get("/held"),
    _get("/held") + b"garbage\r\n\r\n",
    b"garbage\r\n\r\n",
    b"x" * 70_000,
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab",
    _get("/", "Upgrade: h2c", "Connection: Upgrade"),
    _upgrade("/"),
    _upgrade("/", version=12),
    _upgrade("/refused"),
    _upgrade("/") + b"\xff\xff\xff\xff",
    _get("/held") + _upgrade("/"),
)


@dataclass
class Running:
    """A server with its connections, as its two counts see them."""

    port: int
    server: Server
    sockets: Sockets[asyncio.Protocol]
    held: asyncio.Event

    def is_empty(self) -> bool:
        state = self.server.server_state
        return not (state.connections or state.tasks or len(self.sockets))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - the condition is of another thread
                await asyncio.sleep(0.02)

    def dial(self, *, window: int | None = None) -> socket.socket:
        """A connection, whose kernel takes so many bytes that the client has not read."""
        if window is None:
            return socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        end = socket.socket()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        end.settimeout(PATIENCE)
        end.connect(("127.0.0.1", self.port))
        return end


@asynccontextmanager
async def served(most: int, limits: Limits) -> AsyncIterator[Running]:
    held = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            if scope["path"] == "/refused":
                await send({"type": "websocket.close"})
                return
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
        elif scope["type"] == "http":
            if scope["path"] == "/held":
                await held.wait()
            pieces = [b"ok"]
            if scope["path"] in ("/whole", "/pieces"):
                pieces = [b"x" * LARGE] if scope["path"] == "/whole" else [b"x" * PIECE] * (LARGE // PIECE)
            headers = [(b"content-length", b"%d" % sum(map(len, pieces)))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for left, piece in zip(range(len(pieces) - 1, -1, -1), pieces, strict=True):
                await send({"type": "http.response.body", "body": piece, "more_body": left > 0})

    options: Any = bounded(limits, most=most, proxies=())
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws=BoundedWebSocket, **options)
        server = Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield Running(listener.getsockname()[1], server, options["http"].sockets, held)
        finally:
            held.set()
            server.should_exit = server.force_exit = True
            await serving


def _descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def _visit(running: Running, visits: int) -> None:
    chance, left_open = random.Random(7), list[socket.socket]()
    for _ in range(visits):
        end = running.dial()
        try:
            end.sendall(chance.choice(BEGINNINGS))
            way = chance.randrange(4)
            if way == 0:  # a reset
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif way == 1:
                end.shutdown(socket.SHUT_WR)
        except OSError:  # the server was faster
            way = 0
        left_open.append(end)
        while left_open and (way in (0, 2) or len(left_open) > 200):
            left_open.pop(chance.randrange(len(left_open))).close()
            way = 3
    for end in left_open:
        end.close()


@pytest.mark.parametrize("most", [4_096, 60], ids=["room for all", "hardly any room"])
@pytest.mark.parametrize("loop", LOOPS)
def test_thousands_of_visits_leave_no_connection_task_or_descriptor(
    loop: str, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with served(most, Limits(header_wait=2.0, idle_wait=1.0)) as running:
            await running.until(lambda: running.server.started)
            before = _descriptors()
            visiting = asyncio.get_running_loop().run_in_executor(None, _visit, running, VISITS)
            await running.until(visiting.done)
            await visiting
            running.held.set()
            await running.until(running.is_empty)
            assert _descriptors() <= before

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
    assert [each for each in caplog.records if each.exc_info] == []


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_served_while_its_connection_is_refused_ends_in_silence(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with served(4, Limits()) as running:
            await running.until(lambda: running.server.started)
            with running.dial() as end:
                end.sendall(_get("/held") + _get("/") * Limits().pipelined_requests)
                assert (await asyncio.to_thread(_heard, end)).startswith(b"HTTP/1.1 429")
            await running.until(lambda: len(running.sockets) == 0)
            running.held.set()
            await running.until(running.is_empty)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []


async def test_connections_that_end_now_refuse_nobody() -> None:
    # uvicorn counts a connection until the loop has told of its loss; a storm leaves thousands of these for a moment.
    async with served(4, Limits()) as running:
        await running.until(lambda: running.server.started)
        gone = {asyncio.Protocol() for _ in range(100)}
        running.server.server_state.connections.update(gone)  # type: ignore[arg-type]
        try:
            with running.dial() as end:
                end.sendall(_get("/", "Connection: close"))
                assert (await asyncio.to_thread(_heard, end)).startswith(b"HTTP/1.1 200")
        finally:
            running.server.server_state.connections.difference_update(gone)


async def test_the_last_places_are_for_websockets() -> None:
    async with served(4, Limits()) as running:
        await running.until(lambda: running.server.started)
        ends: list[socket.socket] = []
        try:
            while len(running.sockets) < 4 + KEPT // 2:
                ends.append(running.dial())
                ends[-1].sendall(_get("/held"))
                await running.until(lambda: len(running.server.server_state.tasks) == len(ends))
            ends.append(running.dial())
            ends[-1].sendall(_get("/"))
            said = await asyncio.to_thread(_heard, ends[-1])
            assert said.startswith(b"HTTP/1.1 503")
            head, _, body = said.partition(b"\r\n\r\n")
            assert b"retry-after: 5" in head.lower()
            assert json.loads(body)["code"] == "UNAVAILABLE"
            ends.append(running.dial())
            ends[-1].sendall(_upgrade("/"))
            assert (await asyncio.to_thread(ends[-1].recv, 100)).startswith(b"HTTP/1.1 101")
        finally:
            for end in ends:
                end.close()


async def test_a_websocket_does_not_begin_before_the_answers_of_its_connection() -> None:
    async with served(4, Limits()) as running:
        await running.until(lambda: running.server.started)
        with running.dial() as end:
            end.sendall(_get("/held") + _upgrade("/"))
            assert (await asyncio.to_thread(_heard, end)).startswith(b"HTTP/1.1 400")
        with running.dial() as end:
            end.sendall(_get("/"))
            said = b""
            while not said.endswith(b"ok"):
                said += await asyncio.to_thread(end.recv, 1_000)
            end.sendall(_upgrade("/"))
            assert (await asyncio.to_thread(end.recv, 1_000)).startswith(b"HTTP/1.1 101")


UNREAD: Final = {
    "held by the program": _get("/pieces"),
    "written and not taken": _get("/whole"),
    "before it is closed": _get("/whole", "Connection: close"),
    "one after the other": _get("/whole") * 5,
}


@pytest.mark.parametrize("asked", UNREAD.values(), ids=UNREAD)
@pytest.mark.parametrize("loop", LOOPS)
def test_an_answer_that_nobody_reads_holds_no_place(loop: str, asked: bytes) -> None:
    async def main() -> None:
        async with served(4, Limits(header_wait=0.5, idle_wait=600.0, write_wait=1.0)) as running:
            await running.until(lambda: running.server.started)
            with running.dial() as end:
                end.sendall(asked)
                await running.until(lambda: len(running.sockets) == 1)
                await running.until(running.is_empty)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_refusal_of_a_websocket_that_nobody_reads_holds_no_place(loop: str) -> None:
    async def main() -> None:
        async with served(4, Limits(header_wait=0.5, idle_wait=600.0, write_wait=1.0)) as running:
            await running.until(lambda: running.server.started)
            with running.dial() as end:
                end.sendall(_get("/whole"))
                await running.until(lambda: running.server.server_state.total_requests == 1)
                end.sendall(_upgrade("/refused"))
                await running.until(lambda: _is_websocket(running))
                await running.until(running.is_empty)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


def _is_websocket(running: Running) -> bool:
    return any(isinstance(each, BoundedWebSocket) for each in running.server.server_state.connections)


@pytest.mark.parametrize("asked", [_get("/pieces"), _get("/whole", "Connection: close")], ids=["pieces", "whole"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_reads_slowly_has_the_whole_answer(loop: str, asked: bytes) -> None:
    async def main() -> None:
        async with served(4, Limits(header_wait=0.2, idle_wait=0.2, write_wait=2.0)) as running:
            await running.until(lambda: running.server.started)
            with running.dial(window=262_144) as end:
                end.sendall(asked)
                got = await asyncio.get_running_loop().run_in_executor(None, _read_slowly, end)
            assert got >= LARGE  # with its head

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


def _read_slowly(end: socket.socket) -> int:
    """Bytes of one answer and its head; some six seconds for the whole."""
    got = 0
    while got < LARGE and (more := end.recv(131_072)):
        got += len(more)
        time.sleep(0.05)  # what makes it slow
    return got


async def test_a_stream_with_little_to_say_is_left_alone() -> None:
    async with served(4, Limits(header_wait=0.1, idle_wait=0.1, write_wait=0.1)) as running:
        await running.until(lambda: running.server.started)
        with running.dial() as end:
            end.sendall(_get("/held", "Connection: close"))
            await running.until(lambda: len(running.server.server_state.tasks) == 1)
            await asyncio.sleep(1.0)  # ten times what silence may last elsewhere
            running.held.set()
            assert (await asyncio.to_thread(_heard, end)).startswith(b"HTTP/1.1 200")


def _heard(end: socket.socket) -> bytes:
    said, until = b"", time.monotonic() + PATIENCE
    try:
        while (more := end.recv(65_536)) and time.monotonic() < until:
            said += more
    except ConnectionError:  # it closed while more was on its way to it
        pass
    return said
