"""Sockets of the workers connected to this replica: frames to them, and local-mode requests with their replies.

Loop only. `routes/workers.py` accepts the sockets and feeds what they say to `Service`. What is said never waits: a
frame is queued, one task a socket writes, and a socket that does not take its frames is closed: its Worker dials in
again, and its next beat brings about whatever was lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from livereactor.base.errors import TooLargeError, UnavailableError
from livereactor.base.sparse_log import SparseLog
from livereactor.protocol import link

FRAMES: Final = 512  # queued on one socket: a full house of 256 Slots, each told twice
QUEUED_BYTES: Final = 8 * 1024 * 1024  # likewise: eight bodies of the largest size
ASKED: Final = 256  # requests of one Worker without a reply yet: 64 Connections, each with four of its clients' calls
_ENDS: Final = (1012, "the coordinator ends")  # RFC 6455's registry: service restart
SEND_WAIT: Final = 10.0  # seconds for one frame to leave; less than the lease, so a stuck socket is replaced before

log = SparseLog(structlog.get_logger("livereactor.links"))


class Socket(Protocol):
    """The part of a WebSocket that writes frames."""

    async def send_text(self, data: str) -> None: ...
    async def close(self, code: int = 1000, reason: str | None = None) -> None: ...


class WorkerSocket:
    """One socket: its outbox, and the requests that wait for their replies.

    Args:
        worker: the id of its worker.
        socket: where frames go.
    """

    def __init__(self, worker: str, socket: Socket) -> None:
        self.worker = worker
        self._socket = socket
        self._outbox: deque[str] = deque()
        self._queued_bytes = 0
        self._more = asyncio.Event()
        self._asked: dict[int, asyncio.Future[link.Reply]] = {}
        self._last_id = 0
        self._closing: tuple[int, str] | None = None
        self._is_leaving = False

    @property
    def may_be_asked(self) -> bool:
        """Whether requests are still taken."""
        return self._closing is None and not self._is_leaving

    @property
    def is_open(self) -> bool:
        """Whether frames are still taken."""
        return self._closing is None

    def send(self, frame: link.FromCoordinator) -> bool:
        """Queue a frame; False where the socket is closing, or has to because it does not keep up."""
        return self._closing is None and self._send(link.write(frame))

    def _send(self, text: str) -> bool:
        if self._closing is not None:
            return False
        if len(self._outbox) >= FRAMES or self._queued_bytes + len(text) > QUEUED_BYTES:
            log.warning("worker reads too slowly", worker=self.worker, frames=len(self._outbox))
            self.close(1013, "frames are not accepted")
            return False
        self._queue(text)
        return True

    def open(self, welcome: link.Welcome) -> None:
        """Put the welcome before the frames that were queued while the worker registered."""
        waiting, self._outbox = self._outbox, deque()
        self._queue(link.write(welcome))
        self._outbox.extend(waiting)

    async def ask(self, request: link.Request, *, timeout: float) -> link.Reply:
        """Send a request and wait for its reply, as `WorkerSockets.ask` says."""
        if len(self._asked) >= ASKED:
            raise UnavailableError(f"{ASKED} of {ASKED} requests wait for this worker; retry in 1 s")
        self._last_id += 1
        number = self._last_id
        text = link.write(request.model_copy(update={"id": number}))
        if (size := len(text.encode())) > link.FRAME_BYTES:  # its worker would close the socket of all its sessions
            raise TooLargeError(
                f"the request is {size} bytes, over the limit of {link.FRAME_BYTES} for requests to workers; send less"
            )
        if not self._send(text):
            raise _went_away()
        reply: asyncio.Future[link.Reply] = asyncio.get_running_loop().create_future()
        self._asked[number] = reply
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise UnavailableError(f"the worker did not answer within {timeout:.0f} s; try again") from None
        finally:
            del self._asked[number]
            self._close_if_idle()

    def answered(self, reply: link.Reply) -> None:
        """Pass a reply to the request that waits for it; drop it if none does."""
        future = self._asked.get(reply.id)
        if future is not None and not future.done():
            future.set_result(reply)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Take no more frames; the writer closes the socket behind those that wait. May be called twice."""
        if self._closing is None:
            self._closing = (code, reason)
            self._more.set()
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(_went_away())

    def leave(self) -> None:
        """Take no more requests, and close once those that were asked have their replies."""
        self._is_leaving = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._is_leaving and not self._asked:
            self.close(*_ENDS)

    async def write(self) -> None:
        """Write queued frames until closed; ends when the socket does not take them."""
        try:
            while (text := await self._next()) is not None:
                async with asyncio.timeout(SEND_WAIT):
                    await self._socket.send_text(text)
        except TimeoutError:
            log.warning("worker reads nothing", worker=self.worker)
        finally:
            self.close()
        code, reason = self._closing or (1000, "")
        await _within(SEND_WAIT, lambda: self._socket.close(code, reason))

    def _queue(self, text: str) -> None:
        self._outbox.append(text)
        self._queued_bytes += len(text)
        self._more.set()

    async def _next(self) -> str | None:
        while not self._outbox:
            if self._closing is not None:
                return None
            self._more.clear()
            await self._more.wait()
        text = self._outbox.popleft()
        self._queued_bytes -= len(text)
        return text


class WorkerSockets:
    """Sockets by worker; the newest of a worker wins.

    Attributes:
        open_count: open sockets, whether their workers have registered or not.
        are_leaving: this coordinator ends and takes no more sockets.
    """

    def __init__(self) -> None:
        self._by_worker: dict[str, WorkerSocket] = {}
        self._joining: dict[str, WorkerSocket] = {}
        self._fewer = asyncio.Event()
        self.open_count = 0
        self.are_leaving = False

    def __len__(self) -> int:
        """Return the number of workers that are connected here."""
        return len(self._by_worker)

    def is_here(self, worker: str) -> bool:
        """Return whether the worker's socket is open, and stays here."""
        current = self._by_worker.get(worker)
        return current is not None and current.may_be_asked

    def send(self, worker: str, frame: link.FromCoordinator) -> bool:
        """Send without waiting; False where its socket is not here. What cannot be sent in time closes the socket."""
        # A worker may get a session by registering: the frame follows its welcome. It may also be an old process that
        # is refused, so the frame goes to the current socket too: doubled frames do no harm.
        joining, current = self._joining.get(worker), self._by_worker.get(worker)
        sent = joining is not None and joining.send(frame)
        return (current is not None and current.send(frame)) or sent

    async def ask(self, worker: str, request: link.Request, *, timeout: float) -> link.Reply:
        """Send a request and wait for its reply; `request.id` is given here.

        Raises:
            TooLargeError: no socket takes it.
            UnavailableError: the socket is away or went away, or there is no reply in time.
        """
        current = self._by_worker.get(worker)
        if current is None:
            raise _went_away()
        return await current.ask(request, timeout=timeout)

    def joining(self, new: WorkerSocket) -> None:
        """Keep a socket whose worker is registering: frames that the registration causes are queued in it."""
        self._joining[new.worker] = new

    def join(self, new: WorkerSocket, welcome: link.Welcome) -> None:
        """Make this the worker's socket and send the welcome; close its earlier socket, if any."""
        self._forget_joining(new)
        old, self._by_worker[new.worker] = self._by_worker.get(new.worker), new
        new.open(welcome)
        if old is not None:
            old.close(1000, "the worker opened another socket")
        if self.are_leaving:
            new.leave()

    def leave(self, old: WorkerSocket) -> None:
        """Forget a socket that is closed or was refused; a newer socket of the worker stays."""
        self._forget_joining(old)
        if self._by_worker.get(old.worker) is old:
            del self._by_worker[old.worker]
        old.close()
        self._fewer.set()

    def drop(self, worker: str) -> None:
        """Close the socket of a worker that has a newer one at another coordinator."""
        if (current := self._by_worker.get(worker)) is not None:
            current.close(1000, "the worker opened another socket")

    async def hand_over(self, seconds: float) -> None:
        """Send the workers to other coordinators, each once it has answered its requests, or after `seconds`."""
        self.are_leaving = True
        for each in [*self._by_worker.values()]:
            each.leave()
        try:
            async with asyncio.timeout(seconds):
                while self._by_worker:
                    self._fewer.clear()
                    await self._fewer.wait()
        except TimeoutError:
            await self.aclose()

    async def aclose(self) -> None:
        """Close every socket; the workers go on, and dial in again."""
        for each in [*self._by_worker.values(), *self._joining.values()]:
            each.close(*_ENDS)

    def _forget_joining(self, one: WorkerSocket) -> None:
        if self._joining.get(one.worker) is one:
            del self._joining[one.worker]


def _went_away() -> UnavailableError:
    return UnavailableError("the worker of this session is not connected now; retry in 1 s")


async def _within(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await act()
    except (TimeoutError, RuntimeError):  # it is closed already, which Starlette calls a RuntimeError
        return
