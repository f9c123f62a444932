"""The socket that workers dial (`GET /workers/link`), and the report that a worker's process died.

Each socket has one conversation. Its reader hands replies on at once; frames about the lease go to a task that handles
them in order, so a slow store does not delay replies, nor a big reply the lease.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import structlog
from fastapi import APIRouter, WebSocket
from fastapi.responses import Response
from pydantic import Field
from starlette.websockets import WebSocketDisconnect

from livereactor.base.errors import ForbiddenError, LivereactorError, PeerError, UnavailableError
from livereactor.base.sparse_log import SparseLog
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity
from livereactor.coordinator.http.dependencies import (
    AnyWorker,
    AuthenticatorPart,
    ServicePart,
    app_part,
    json_body,
)
from livereactor.coordinator.service import Service
from livereactor.coordinator.worker_sockets import WorkerSocket, WorkerSockets
from livereactor.protocol import link
from livereactor.protocol.http import Body
from livereactor.store.port import StoreUnavailableError
from livereactor.web.documents import WORKER, asked_by, problems, takes

SOCKETS: Final = 4_096  # open at once; each costs some 60 KiB
HELLO_WAIT: Final = 10.0  # seconds for the first frame
WAITING: Final = 64  # frames about the lease that wait for the store; beats replace each other
LAST_WORDS: Final = 5.0  # seconds for what a socket said before it ended: how a Session ended, and the goodbye
BAD_FRAMES: Final = 5  # on one socket, before it is closed
STORE_RETRY: Final = 1.0  # seconds
# Arguments of uvicorn.Config for this socket: frames as large as the link's, pings within the lease.
SERVER: Final[Mapping[str, Any]] = {
    "ws": "websockets-sansio",
    "ws_max_size": link.FRAME_BYTES,
    "ws_ping_interval": 5.0,
    "ws_ping_timeout": 10.0,
    "ws_per_message_deflate": False,
}
_AboutLease: TypeAlias = link.Hello | link.Beat | link.SessionReport | link.Bye

log = SparseLog(structlog.get_logger("livereactor.links"))


class Died(Body):
    """Body of `POST /workers/{worker}/died`."""

    reason: str = Field(default="its keeper said so", max_length=500)


SocketsPart = Annotated[WorkerSockets, app_part("sockets")]

routes = APIRouter(prefix="/workers", tags=["workers"])


@routes.websocket(link.PATH.removeprefix("/workers"))
async def dial_in(
    socket: WebSocket, authenticator: AuthenticatorPart, service: ServicePart, sockets: SocketsPart
) -> None:
    """Serve a worker's socket until it ends."""
    identity = authenticator.must_be_worker(socket)
    if sockets.are_leaving:
        raise UnavailableError("this coordinator is stopping; reconnect to reach another")
    if sockets.open_count >= SOCKETS:
        raise UnavailableError(f"{SOCKETS} of {SOCKETS} workers are connected here; try another coordinator")
    await socket.accept()
    sockets.open_count += 1
    try:
        await _Conversation(service, sockets, socket, identity).run()
    finally:
        sockets.open_count -= 1


@routes.post(
    "/{worker}/died",
    status_code=204,
    response_class=Response,
    responses=problems(401, 403, 408, 413),
    openapi_extra={**takes(Died, example={"reason": "exit code 137"}), **asked_by(WORKER)},
)
async def report_worker_death(
    worker: str, identity: AnyWorker, asked: Annotated[Died, json_body(Died)], service: ServicePart
) -> Response:
    """Report that a worker's process has died. Its sessions are moved or ended at once, not when its lease expires."""
    identity.must_cover(worker)
    await service.worker_died(worker, reason=asked.reason)
    return Response(status_code=204)


class _Conversation:
    """The conversation on one socket, from its hello to its end."""

    def __init__(self, service: Service, sockets: WorkerSockets, socket: WebSocket, identity: WorkerIdentity) -> None:
        self._service, self._sockets, self._socket, self._identity = service, sockets, socket, identity
        self._waiting: deque[_AboutLease] = deque()
        self._more = asyncio.Event()
        self._heard_all = False
        self._bad = 0

    async def run(self) -> None:
        """Serve the socket until it closes."""
        try:
            async with asyncio.timeout(HELLO_WAIT):
                hello = await self._read()
        except TimeoutError:
            hello = None
        if not isinstance(hello, link.Hello):
            await self._refuse(link.Refused(code="bad_frame", message="the first frame must be a hello"), 1008)
            return
        if (refused := self._not_its_own(hello)) is not None:
            await self._refuse(refused, 1008)
            return
        mine = WorkerSocket(hello.worker, self._socket)
        self._sockets.joining(mine)
        try:
            answer = await self._service.hello(hello, since=self._identity.since)
            if isinstance(answer, link.Refused):
                await self._refuse(answer, 1013 if answer.code == "unavailable" else 1008)
                return
            self._sockets.join(mine, answer)
            await self._talk(hello, mine)
        finally:
            self._sockets.leave(mine)

    async def _talk(self, hello: link.Hello, mine: WorkerSocket) -> None:
        """Run until reader or writer ends, which is when the socket does."""
        parts = {"read": self._listen(mine), "leases": self._handle(hello, mine), "write": mine.write()}
        tasks = [asyncio.create_task(part, name=f"link {name}") for name, part in parts.items()]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            mine.close()
            # Frames queued before, such as a refusal, are still sent, and frames received before are still handled.
            await asyncio.wait([tasks[0], tasks[-1]], timeout=1.0)
            if self._heard_all:
                await asyncio.wait([tasks[1]], timeout=LAST_WORDS)
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                    log.error("link failed", worker=mine.worker, error=repr(outcome))

    async def _listen(self, mine: WorkerSocket) -> None:
        while (frame := await self._read()) is not None:
            if isinstance(frame, PeerError):
                if not self._count_bad(frame, mine):
                    return
            elif isinstance(frame, link.Reply):
                mine.answered(frame)
            elif not self._enqueue(frame):
                mine.close(1013, "frames arrive faster than they can be handled")
                return
        self._heard_all = True
        self._more.set()

    async def _read(self) -> link.FromWorker | PeerError | None:
        """Return the next frame, or the error if it cannot be read; None when the socket has closed."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        try:
            return link.read_from_worker(message.get("text") or message.get("bytes") or "")
        except PeerError as error:
            return error

    def _count_bad(self, error: PeerError, mine: WorkerSocket) -> bool:
        self._bad += 1
        log.warning("bad frame from a worker", worker=mine.worker, reason=error.message)
        mine.send(link.Refused(code="bad_frame", message=error.message))
        if self._bad >= BAD_FRAMES:
            mine.close(1008, f"{BAD_FRAMES} bad frames")
        return mine.is_open

    def _enqueue(self, frame: _AboutLease) -> bool:
        """Queue a frame about the lease; False if too many are waiting."""
        if isinstance(frame, link.Beat) and self._waiting and isinstance(self._waiting[-1], link.Beat):
            self._waiting.pop()  # the newer one says all that the older did
        if len(self._waiting) >= WAITING:
            return False
        self._waiting.append(frame)
        self._more.set()
        return True

    async def _handle(self, hello: link.Hello, mine: WorkerSocket) -> None:
        while mine.is_open or self._heard_all:
            while not self._waiting:
                if self._heard_all:
                    return
                self._more.clear()
                await self._more.wait()
            frame = self._waiting.popleft()
            try:
                await self._handle_one(frame, hello, mine)
            except StoreUnavailableError:
                # A report carries a reason that no beat repeats; it waits here, and the frames behind it with it.
                self._waiting.appendleft(frame)
                await asyncio.sleep(STORE_RETRY)
            except LivereactorError as error:
                log.warning("frame of a worker rejected", worker=mine.worker, type=frame.type, reason=error.message)

    async def _handle_one(self, frame: _AboutLease, hello: link.Hello, mine: WorkerSocket) -> None:
        worker, incarnation = hello.worker, hello.incarnation
        answer: link.Welcome | link.Refused | link.Renewed | None = None
        if isinstance(frame, link.Beat):
            answer = await self._service.beat(worker, incarnation, frame)
        elif isinstance(frame, link.SessionReport):
            await self._service.report(worker, incarnation, frame)
        elif isinstance(frame, link.Hello):
            answer = await self._register_again(frame, hello)
        else:
            await self._service.bye(worker, incarnation)
            mine.close(1000, "bye")
        if answer is not None:
            mine.send(answer)
        if isinstance(answer, link.Refused):
            mine.close(1008, answer.code)

    async def _register_again(self, again: link.Hello, first: link.Hello) -> link.Welcome | link.Refused:
        if (again.worker, again.incarnation) != (first.worker, first.incarnation):
            return link.Refused(code="bad_frame", message="this socket belongs to another worker; open another socket")
        return self._not_its_own(again) or await self._service.hello(again, since=self._identity.since)

    def _not_its_own(self, hello: link.Hello) -> link.Refused | None:
        """Refuse a worker that says it is another, or that it serves another model, than its credential names."""
        try:
            self._identity.must_cover(hello.worker, hello.model)
        except ForbiddenError as error:
            log.warning("worker refused", worker=hello.worker, model=hello.model, reason=error.message)
            return link.Refused(code="bad_frame", message=error.message)
        return None

    async def _refuse(self, refused: link.Refused, code: int) -> None:
        try:
            await self._socket.send_text(link.write(refused))
            await self._socket.close(code, refused.code)
        except (WebSocketDisconnect, RuntimeError):
            return  # it has left already
