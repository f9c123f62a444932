"""A coordinator of one test: a WebSocket server that speaks `protocol/link.py`, and does only what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from livereactor.protocol import link

SECRET = "a worker secret of the tests"
PATIENCE = 30.0  # seconds for what takes a moment on an idle machine
F = TypeVar("F", bound=link.FromWorker)


class StandIn:
    """Takes one Worker's socket at a time, answers Hello and beats by itself, and keeps what it hears.

    Attributes:
        holds: fence by Slot, as this coordinator sees it.
        answers: Hello and beats are answered; False = the store is away.
        stale: the next Hello is refused.
    """

    def __init__(self) -> None:
        self.port = 0
        self.holds: dict[int, int] = {}
        self.answers = True
        self.stale = False
        self.heard: list[link.FromWorker] = []
        self.sockets = 0
        self._socket: ServerConnection | None = None
        self._changed = asyncio.Event()
        self._server: Server | None = None
        self._requests = 0
        self._fence = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_dialled(self) -> bool:
        return self._socket is not None

    async def say(self, frame: link.FromCoordinator) -> None:
        assert self._socket is not None
        await self._socket.send(link.write(frame))

    async def say_text(self, text: str) -> None:
        assert self._socket is not None
        await self._socket.send(text)

    async def stop(self) -> None:
        """Go away; `standing_in` with the same port comes back."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def hang_up(self) -> None:
        assert self._socket is not None
        await self._socket.close()

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Until it holds, looked at after each frame."""
        async with asyncio.timeout(timeout):
            while not condition():
                changed = self._changed
                await changed.wait()

    async def hear(self, kind: type[F], like: Callable[[F], bool] = lambda _: True, timeout: float = PATIENCE) -> F:
        """The first frame of this kind that was heard, or will be; it and what came before is forgotten."""

        def index() -> int | None:
            found = (n for n, each in enumerate(self.heard) if isinstance(each, kind) and like(each))
            return next(found, None)

        await self.until(lambda: index() is not None, timeout)
        at = index()
        assert at is not None
        frame = self.heard[at]
        del self.heard[: at + 1]
        assert isinstance(frame, kind)
        return frame

    async def ready(self) -> link.Beat:
        return await self.hear(link.Beat, lambda beat: beat.state == "ready")

    async def phase(self, phase: str) -> link.SessionReport:
        return await self.hear(link.SessionReport, lambda report: report.phase == phase)

    async def assign(self, session: str, slot: int = 0, **start: Any) -> int:
        """Give a Slot a Session; the fence."""
        self._fence += 1
        self.holds[slot] = self._fence
        await self.say(link.Assign(slot=slot, fence=self._fence, session=session, start=start))
        return self._fence

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> link.Reply:
        """A relayed request and its reply."""
        self._requests += 1
        number = self._requests
        text = "" if body is None else json.dumps(body)
        await self.say(link.Request(id=number, method=method, path=path, body=text, **more))
        return await self.hear(link.Reply, lambda reply: reply.id == number)

    # --- the server ------------------------------------------------------------------------------------------------

    def served_by(self, server: Server) -> None:
        """Answer on the port of a server that runs."""
        self._server, self.port = server, next(iter(server.sockets)).getsockname()[1]

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path != link.PATH:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "nothing here")
        if request.headers.get("Authorization") != f"Bearer {SECRET}":
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong secret")
        return None

    async def talk(self, socket: ServerConnection) -> None:
        self._socket, self.sockets = socket, self.sockets + 1
        try:
            async for text in socket:
                frame = link.read_from_worker(text)
                self.heard.append(frame)
                with contextlib.suppress(ConnectionClosed):  # it has left already
                    await self._answer(socket, frame)
                self._stir()
        finally:
            if self._socket is socket:
                self._socket = None
            self._stir()

    async def _answer(self, socket: ServerConnection, frame: link.FromWorker) -> None:
        if not self.answers:
            return
        if isinstance(frame, link.Hello):
            if self.stale:
                self.stale = False
                await socket.send(link.write(link.Refused(code="stale")))
                return
            await socket.send(link.write(link.Welcome(held=self._held(frame.slots))))
        elif isinstance(frame, link.Beat):
            await socket.send(link.write(link.Renewed(number=frame.number, held=self._held(frame.slots))))

    def _held(self, slots: list[link.SlotReport]) -> list[int]:
        return [each.n for each in slots if each.phase != "free" and self.holds.get(each.n) == each.fence]

    def _stir(self) -> None:
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()


@asynccontextmanager
async def standing_in(port: int = 0, standin: StandIn | None = None) -> AsyncIterator[StandIn]:
    """A coordinator on a free port, or on the one given."""
    made = standin or StandIn()
    async with serve(made.talk, "127.0.0.1", port, process_request=made.check, max_size=link.FRAME_BYTES) as server:
        made.served_by(server)
        yield made


@asynccontextmanager
async def chattering(text: str) -> AsyncIterator[str]:
    """A WebSocket server of somebody else's, that says just this; its URL."""

    async def talk(socket: ServerConnection) -> None:
        await socket.send(text)
        await socket.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
