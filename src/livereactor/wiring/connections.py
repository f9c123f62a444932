"""HTTP connections of a server within bounds: their number, the size of a header, the time for it, and for an answer.

uvicorn's own protocols with a rule before them: `web/sockets.py` decides who stays.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from collections.abc import Iterable, Mapping, Sized
from typing import Any, Final, NoReturn

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from livereactor.base.errors import LivereactorError, PeerError, QuotaError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.web.problems import problem_response
from livereactor.web.proxies import ON_THIS_MACHINE, known_addresses
from livereactor.web.refusals import AuditLog, reason_of
from livereactor.web.sockets import RETRY_AFTER, Sockets
from livereactor.wiring.unread import Stall, unread

KEPT: Final = 64  # connections above a server's most; the upper half is for workers, who come by WebSocket
DESCRIPTORS: Final = 65_536  # enough; child processes of ours may walk through all they may have

log = SparseLog(structlog.get_logger("livereactor.http"))


def raise_descriptors() -> int:
    """Raise the number of files and sockets that this process may open to what it is allowed; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft if soft != resource.RLIM_INFINITY else most


def bounded(limits: Limits, *, most: int, proxies: Iterable[str]) -> Mapping[str, Any]:
    """Return the options of `uvicorn.Config` that bound its connections.

    Args:
        most: connections of all; fewer where this process may open fewer than twice as many files.
        proxies: addresses and networks whose connections are many people's.
    """
    most = min(most, raise_descriptors() // 2)
    known = known_addresses((*proxies, *ON_THIS_MACHINE))
    sockets: Sockets[asyncio.Protocol] = Sockets(
        most=most, kept=KEPT, of_address=limits.address_sockets, is_exempt=known
    )
    rules = {"sockets": sockets, "limits": limits, "audit": AuditLog()}
    return {
        "http": type("BoundedHttp", (BoundedHttp,), rules),
        "timeout_keep_alive": limits.idle_wait,
    }


class _InTurn(FlowControl):
    """Reading that goes on when no request waits for its turn: what is read behind one that waits costs memory."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class BoundedHttp(HttpToolsProtocol):
    """One connection: refused where there are too many; closed when its header is too large or late, or nobody reads.

    Attributes:
        sockets: all connections of the server.
        limits: bytes and seconds of a header, and seconds of an answer that is not read.
        audit: where a connection that is refused is told of.
    """

    sockets: Sockets[asyncio.Protocol]
    limits: Limits
    audit: AuditLog

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._since = self.loop.time()  # of the wait for a whole header
        self._timer: asyncio.TimerHandle | None = None
        self._is_in_header = False
        self._header_bytes = 0
        self._fed = 0
        self._running = 0  # requests without a whole answer
        self._unanswered: deque[RequestResponseCycle] = deque()  # those of them that the program serves or will
        self._has_answered = self._refused = False
        self._refusal: LivereactorError | None = None  # why the parser was ended
        self._stall = Stall(self.limits.write_wait)

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.flow = _InTurn(transport, self.pipeline)
        entry = self.sockets.open(self, self.client[0] if self.client else None)
        if entry.refusal is not None:
            log.warning("sockets ran out", apart=type(entry.refusal).__name__, reason=entry.refusal.message)
            self._refuse(entry.refusal)
            return
        if isinstance(entry.displaced, BoundedHttp):
            log.warning(
                "sockets ran out", apart="idle", reason="the longest idle one is closed", open=len(self.sockets)
            )
            entry.displaced.transport.abort()
        self._timer = self.loop.call_later(self.limits.header_wait, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._silence()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._stall.restart()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._awaits_header:
            self._fed += len(data)
        super().data_received(data)
        if self._awaits_header and self._fed > self.limits.header_bytes and not self.transport.is_closing():
            self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        self._is_in_header, self._header_bytes = True, 0
        if self._is_idle:
            self._since = self.loop.time()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_header, self._fed = False, 0
        is_websocket = self._should_upgrade()
        if is_websocket and self._running:
            self._end(PeerError("a WebSocket may begin only when the requests before it are answered"))
        if not is_websocket and self.sockets.has_room_for_websockets_only:
            refusal = self.sockets.full()
            log.warning("sockets ran out", apart=type(refusal).__name__, reason=refusal.message)
            self._end(refusal)
        if self._running >= self.limits.pipelined_requests:
            self._end(self._too_many())
        self._running += 1
        self.sockets.busy(self)
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self._unanswered.append(self.cycle)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unanswered.popleft()
        self.flow.resume_reading()  # the one that was begun now may have been the last that waited
        self._running, self._has_answered = self._running - 1, True
        if self._is_idle:
            self._since = self.loop.time()
            self.sockets.waiting(self)

    def send_400_response(self, msg: str) -> None:
        if self._refusal is not None:
            self._refuse(self._refusal)
        else:
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        self._stop_timer()
        super().handle_websocket_upgrade()
        upgraded = self.transport.get_protocol()
        if isinstance(upgraded, BoundedWebSocket):
            upgraded.take_over(self)
            self.sockets.hand_over(self, upgraded)

    @property
    def _is_idle(self) -> bool:
        """Return whether no request is served or waits to be served."""
        return self._running == 0

    @property
    def _awaits_header(self) -> bool:
        return self._is_in_header or self._is_idle

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.limits.header_bytes:
            self._end(self._too_large())

    def _end(self, refusal: LivereactorError) -> NoReturn:
        """End the parser, whose end is answered by `send_400_response`."""
        self._refusal = refusal
        raise refusal

    def _too_many(self) -> LivereactorError:
        most = self.limits.pipelined_requests
        return QuotaError(
            f"{self._running} of {most} requests of this connection are not answered (pipelined_requests); "
            f"wait for their answers, or retry in {RETRY_AFTER:g} s",
            quota_type="pipelined_requests",
            limit=most,
            current=self._running,
            retry_after=RETRY_AFTER,
        )

    def _too_large(self) -> LivereactorError:
        return TooLargeError(f"the header exceeds {self.limits.header_bytes} bytes (header_bytes); send less")

    def _look(self) -> None:
        """Close the connection where its header is late or its answer not read; look again when it may be."""
        now, left = self.loop.time(), min(self.limits.header_wait, self.limits.write_wait)
        waiting = unread(self.transport) if self._awaits_reader else 0
        if self._stall.is_over(waiting, now):
            self._cut("an answer was not read in time", "unread")
            return
        if waiting:
            self._since = now  # its silence begins when all is read
        elif self._is_idle:
            idle = self._has_answered and not self._is_in_header
            left = self._since + (self.limits.idle_wait if idle else self.limits.header_wait) - now
            if left <= 0:
                self._cut("no whole header in time", "late")
                return
        self._timer = self.loop.call_later(left, self._look)

    @property
    def _awaits_reader(self) -> bool:
        """Return whether nothing is added to what was written until the other end has read."""
        return self.flow.write_paused or self._is_idle or self.transport.is_closing()

    def _cut(self, reason: str, apart: str) -> None:
        log.info(f"connection closed: {reason}", apart=apart)
        self.transport.abort()

    def _refuse(self, error: LivereactorError) -> None:
        """Answer with an error, whatever the connection was about to say, and close it."""
        self._refused = True
        response = problem_response(error)
        status = 431 if isinstance(error, TooLargeError) else response.status_code
        self.audit.refused(self.client and self.client[0], status, reason_of(status, error, {}))
        again = response.headers.get("retry-after")
        head = b"HTTP/1.1 %d \r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n"
        late = b"" if again is None else b"retry-after: %b\r\n" % again.encode()
        self.transport.write(head % (status, len(response.body)) + late + b"\r\n" + bytes(response.body))
        self.transport.close()
        self._silence()

    def _silence(self) -> None:
        """Tell every request without an answer that its client has left; uvicorn tells the newest only."""
        for each in self._unanswered:
            each.disconnected = True
            each.message_event.set()

    def _forget(self) -> None:
        self._stop_timer()
        self.sockets.close(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A worker's connection, which counts among those of the server until it is lost.

    One that is open answers pings; one that is refused or ends has to be read.
    """

    _sockets: Sockets[asyncio.Protocol] | None = None
    _timer: asyncio.TimerHandle | None = None
    _stall: Stall

    def take_over(self, old: BoundedHttp) -> None:
        """Take the place of the connection it began as, and its bounds."""
        self._sockets, self._stall = old.sockets, Stall(old.limits.write_wait)
        self._look(min(old.limits.header_wait, old.limits.write_wait))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._sockets is not None:
            self._sockets.close(self)
        super().connection_lost(exc)

    def _look(self, every: float) -> None:
        """Close the connection where its end is not read; look again."""
        waiting = unread(self.transport) if self.transport.is_closing() else 0
        if self._stall.is_over(waiting, self.loop.time()):
            log.info("connection closed: an answer was not read in time", apart="unread")
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(every, self._look, every)
