"""The shell of a client's connection: it passes events to the machine and applies its effects.

All of it runs on the loop of the program's calls, and every event is handled to its end before the next. Effects that
take time are tasks; the result of an abandoned task is dropped. The connection does not know the `Reactor` in front of
it, so that a `Reactor` may be dropped without being closed.

It does not use `MachineLoop`, which keeps its timer on the first loop, while a second `asyncio.run` may use this
client; decides an event before it applies the effects of the last one; and logs an effect's error where this raises it.

Above 400 lines because it is one thing: the event loop around one machine, with the calls that post events to it.
"""

from __future__ import annotations

import asyncio
import atexit
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

import structlog

from livereactor.client.background import BackgroundTasks, ConnectionCalls
from livereactor.client.commands import command_of
from livereactor.client.dispatcher import Dispatcher, platform_message
from livereactor.client.errors import (
    AuthError,
    DisconnectedError,
    InvalidStateError,
    NotReadyError,
    ReactorError,
    error_of,
)
from livereactor.client.events import Emitter, running_loop
from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials, Resolver
from livereactor.client.http.urls import DEFAULT_API_URL
from livereactor.client.lifecycle import messages as w
from livereactor.client.lifecycle.machine import ConnectionMachine
from livereactor.client.lifecycle.states import ConnectionState
from livereactor.client.options import ClientOptions, bounded
from livereactor.client.session import CANCELLED, SessionAnswer, SessionRequests, SessionView
from livereactor.client.tracks.tracks import Tracks
from livereactor.client.transport.peer_transport import PeerTransport
from livereactor.client.transport.process_engine import begin_loading
from livereactor.client.transport.requests import Question
from livereactor.client.transport.track_requests import TrackRequests
from livereactor.client.transport.transports import Transports, refuse_mode
from livereactor.client.types import ConnectionTimings, Status
from livereactor.protocol import messages as m

TEARDOWN: Final = 5.0  # seconds that leaving may take, even on a dead network
AT_EXIT: Final = 5.0  # seconds in which the Sessions that are still open are ended when the interpreter ends

log = structlog.get_logger(__name__)

_OPEN: Final[set[Connection]] = set()  # connections with a Session


class Connection:
    """One client's connection.

    Args:
        options: the options of the client.
        emitter: emits every event.

    Attributes:
        status: the status last emitted.
        last_error: kept until the next success.
        transports: the one in use and the one coming up.
        calls: calls of the program that end with the transport.
        is_closed: True once the client is closed for good.
    """

    def __init__(self, options: ClientOptions, emitter: Emitter) -> None:
        self.options, self.emitter = options, emitter
        self.credentials = Credentials(options.api_key, options.jwt)
        self.api = Api(options.url, local=options.local, credentials=self.credentials)
        self.tracks = Tracks(TrackRequests(self))
        self.session = SessionView(emitter, self.tracks)
        self.status = Status.DISCONNECTED
        self.last_error: ReactorError | None = None
        self.is_closed = False
        self.calls = ConnectionCalls()
        self._background = BackgroundTasks()
        self._sessions = SessionRequests(self.api, options)
        self._machine = ConnectionMachine(auto_reconnect=options.auto_reconnect)
        self._posted: deque[w.MachineEvent] = deque()
        self._is_handling = False
        self._was_in_use = True  # before the present event, the Session was certainly this client's
        self._outcome: asyncio.Future[None] | None = None  # of the connect() or reconnect() under way
        self._resumes, self._max_attempts = True, 6
        self._number: int | None = None  # of the Connection that was given to connect()
        self._work: set[asyncio.Task[None]] = set()  # ordered by the machine, and cancelled when it says so
        self._alarm: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop of the last call
        self.transports = Transports(
            self.api,
            emitter,
            self.session,
            self.tracks,
            Dispatcher(emitter, self.session, lambda reason: self._post(w.SessionOver(reason)), self.report),
            self._background,
            timings=lambda: self._machine.timings,
            report_stats=options.report_stats,
            post=self._post,
        )
        emitter.replays = {
            "status_changed": lambda: [(self.status,)],
            "capabilities_received": lambda: _present(self.session.capabilities),
            "schema_received": lambda: _present(self.session.schema),
            "track_received": lambda: [(name, self.tracks.track(name)) for name in self.transports.received],
        }

    @property
    def timings(self) -> ConnectionTimings | None:
        """The timings of the last successful connect() or reconnect()."""
        return self._machine.timings

    @property
    def transport(self) -> PeerTransport | None:
        """The transport in use, or None."""
        current = self.transports.current
        return None if current is None else current.peer_transport

    @property
    def is_open(self) -> bool:
        """True while a Session exists or is being created."""
        return self._machine.state is not ConnectionState.IDLE

    # --- calls ---------------------------------------------------------------------------------------------------

    async def connect(
        self,
        *,
        jwt: str | Resolver | None,
        session_id: str | None,
        connection_id: int | None,
        max_attempts: int,
        resumes: bool,
        timeout: float | None,
    ) -> None:
        """Open or join a Session, and return when it is ready; a failed or cancelled call leaves nothing behind."""
        self._check_legal(w.Connect, "connect", "already connected or connecting; call disconnect() first")
        # Any other server may have guests, and says itself what it wants of those whom it does not serve.
        if self.options.url == DEFAULT_API_URL and not (jwt or self.credentials.are_given):
            words = "no credentials given; pass api_key or jwt, api_url of a server of yours, or local=True"
            raise self._reported(AuthError(words, operation="connect"))
        await self._background.finish(TEARDOWN)
        self._check_legal(w.Connect, "connect", "already connected or connecting; call disconnect() first")
        self._number, self._max_attempts, self._resumes = connection_id, max_attempts, resumes
        if jwt is not None:
            self.credentials.use(jwt)
        if session_id is None:
            model = self.options.model.partition("@")[0]
            self.credentials.ask_for(model=model, max_session_duration=self.options.max_session_duration)
        else:
            self.credentials.ask_for(session_id=session_id)
        await self._awaited(w.Connect(session_id, timeout), keep=False)

    async def reconnect(self, *, max_attempts: int) -> None:
        """Bring the transport up again, or wait for the attempt under way."""
        self._check_legal(w.Reconnect, "reconnect", "nothing to reconnect to; connect first")
        self._max_attempts = max_attempts
        await self._awaited(w.Reconnect(), keep=True)

    async def joined(self) -> None:
        """Wait until the client is ready: for the attempt under way, or for a new one."""
        if self._outcome is not None:
            await asyncio.shield(self._outcome)
        elif self.status is not Status.READY:
            await self.reconnect(max_attempts=self._max_attempts)

    async def disconnect(self, *, keep: bool) -> None:
        """Leave the Session; return when nothing is left to do, or after five seconds."""
        self._post(w.Disconnect(keep))
        await self._background.finish(TEARDOWN)

    def close(self) -> None:
        """Leave for good, without waiting; call it on the loop."""
        if not self.is_closed:
            self.is_closed = True
            self._post(w.Disconnect())
            self.tracks.close()
            self.emitter.end_streams(for_good=True)

    def close_from_anywhere(self) -> None:
        """Call `close` from any thread, whether or not the loop runs."""
        loop = self._loop
        if loop is None or loop.is_closed():
            self.is_closed = True
            self.emitter.end_streams(for_good=True)
        elif loop is running_loop():
            self.close()
        else:
            with suppress(RuntimeError):  # closed this very moment
                loop.call_soon_threadsafe(self.close)

    async def end_at_exit(self) -> None:
        """End the Session after the client's loop, and with it the transport, has gone."""
        session_id = self._machine.session_id
        if session_id is not None and self._machine.is_owner:
            await self.api.aclose()
            await self._sessions.end(session_id)
            await self.api.aclose()

    def ready_transport(self, operation: str) -> PeerTransport:
        """Return the transport.

        Raises:
            NotReadyError: the status is not `ready`; emitted as an `error` event, too.
            InvalidStateError: the client is closed for good.
        """
        self._must_be_open(operation)
        if (transport := self.transport) is not None and self.status is Status.READY:
            return transport
        words = f"cannot {operation} while {self.status.value}; wait for ready"
        session_id = self.session.session_id
        raise self._reported(NotReadyError(words, operation=operation, reason="INVALID_STATE", session_id=session_id))

    async def present_transport(self, operation: str) -> PeerTransport:
        """Return the transport, once a silent one is replaced; raises like `ready_transport`."""
        self.ready_transport(operation)
        await self.transports.replaced()
        return self.ready_transport(operation)

    def report(self, error: ReactorError) -> None:
        """Remember an error, and emit `error`."""
        self.last_error = error
        self.emitter.emit("error", error)

    # --- the machine ---------------------------------------------------------------------------------------------

    def _must_be_open(self, operation: str) -> None:
        if self.is_closed:
            raise InvalidStateError("this client is closed; create another one", operation=operation)

    def _check_legal(self, event: type[w.MachineEvent], operation: str, words: str) -> None:
        self._must_be_open(operation)
        if not self._machine.takes(event):
            raise InvalidStateError(words, operation=operation)

    def _reported(self, error: ReactorError) -> ReactorError:
        self.report(error)
        return error

    async def _awaited(self, event: w.Connect | w.Reconnect, *, keep: bool) -> None:
        joins = self._outcome is not None or self._machine.state not in (
            ConnectionState.IDLE,
            ConnectionState.READY,
            ConnectionState.KEPT,
        )
        outcome = self._outcome = self._outcome or asyncio.get_running_loop().create_future()
        outcome.add_done_callback(lambda done: done.exception())  # the caller that waited may have been cancelled
        self._post(event)
        try:
            await asyncio.shield(outcome)
        except asyncio.CancelledError:
            if not joins and not outcome.done():
                self._post(w.Disconnect(keep))
                await self._background.finish(CANCELLED)
            raise
        except ReactorError:
            await self._background.finish(TEARDOWN)
            raise

    def _post(self, event: w.MachineEvent) -> None:
        """Handle an event to its end, then those that were posted meanwhile."""
        self._loop = asyncio.get_running_loop()
        self._posted.append(event)
        if self._is_handling:
            return
        self._is_handling = True
        try:
            while self._posted:
                self._handle(self._posted.popleft())
        finally:
            self._is_handling = False
        self._set_alarm()

    def _handle(self, event: w.MachineEvent) -> None:
        before = self._machine.state
        self._was_in_use = before not in (
            ConnectionState.KEPT,
            ConnectionState.RESUMING,
            ConnectionState.CHECKING,
            ConnectionState.BETWEEN,
        )
        effects = self._machine.handle(event, time.monotonic())
        if self._machine.session_id is not None:
            self.session.name(self._machine.session_id)
        for effect in effects:
            self._apply(effect)
        phase = self._machine.state
        if phase is not before and phase in (ConnectionState.IDLE, ConnectionState.KEPT):
            self.tracks.disconnected()
        if phase is ConnectionState.IDLE:
            _OPEN.discard(self)
        else:
            _OPEN.add(self)
        if phase is not before and phase is ConnectionState.IDLE:
            self.emitter.end_streams()
            self._background.add(self._close_connections())

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        deadline, self._alarm = self._machine.deadline(), None
        if deadline is not None:
            wait = max(0.0, deadline - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        self._post(w.DeadlineReached(self.transports.heard_at))

    def _apply(self, effect: w.MachineEffect) -> None:
        match effect:
            case w.SetStatus(status):
                self.status = status
                self.emitter.emit("status_changed", status)
            case w.RequestSession():
                self._do(self._made)
            case w.JoinSession(session_id):
                self.transports.number = self._number
                self._do(partial(self._adopted, session_id))
            case w.LookUpSession():
                self._do(self._seen)
            case w.OpenTransport(again):
                self._do(partial(self._open_transport, again=again))
            case w.UseTransport():
                self.transports.use()
            case w.CloseTransport():
                self.transports.close()
                self.calls.cut()
            case w.AbandonWork():
                self._abandon()
            case w.DeleteSession(session_id):
                self._background.add(self._sessions.end(session_id, is_sure=self._was_in_use))
            case w.ForgetSession():
                self.transports.forget()
                self.session.forget()
            case w.SendProbe():
                self.transports.probe()
            case w.EmitSessionEnded(reason):
                self.emitter.emit("session_ended", {"reason": reason})
            case w.ReportError(error):
                self.report(error)
            case w.FinishCall(error):
                self._finish_call(error)

    # --- work ----------------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._worked(work), name="livereactor connection")
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _worked(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except ReactorError as error:
            self._post(w.WorkFailed(error))
        except Exception as error:
            log.exception("the client failed")
            failure = error_of("INTERNAL_ERROR", f"unexpected {type(error).__name__}; quote the session id")
            failure.__cause__ = error
            self._post(w.WorkFailed(failure))

    def _abandon(self) -> None:
        working, self._work = self._work - {asyncio.current_task()}, set()
        for task in working:
            task.cancel()
            self._background.add(_ended(task))

    def _receive(self, answer: SessionAnswer) -> None:
        self._post(answer.event)
        found = answer.descriptor
        if found is not None and self._machine.session_id == found.session_id:
            self.session.update(found, resumes=self._resumes)

    async def _made(self) -> None:
        begin_loading()
        self._receive(await self._sessions.create())

    async def _adopted(self, session_id: str) -> None:
        begin_loading()
        self._receive(await self._sessions.adopt(session_id))

    async def _seen(self) -> None:
        session = self.session
        # The answer is held until the next change only while the Session is being prepared.
        version = session.version if self._machine.state is ConnectionState.PREPARING else None
        self._receive(await self._sessions.look_up(session.session_id or "", version))

    async def _open_transport(self, *, again: bool) -> None:
        refuse_mode(self.session, self.options.generation)
        await self.transports.open(again=again, max_attempts=self._max_attempts)
        self._post(w.TransportUp())

    # --- outcomes ------------------------------------------------------------------------------------------------

    def _finish_call(self, error: ReactorError | None) -> None:
        outcome, self._outcome = self._outcome, None
        if error is None:
            self.last_error = None
        if outcome is None or outcome.done():
            return
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    # --- leaving -------------------------------------------------------------------------------------------------

    async def _close_connections(self) -> None:
        await self.tracks.release()
        await self._background.wait()
        if self._machine.state is ConnectionState.IDLE:
            await self.api.aclose()


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait((task,))


def _present(value: object) -> list[tuple[object]]:
    return [] if value is None else [(value,)]


async def _resolved(host: Any, port: Any, **options: Any) -> Any:
    return socket.getaddrinfo(host, port, **options)


async def _end_all() -> None:
    # asyncio resolves names on an executor, and executors take no work while the interpreter ends.
    asyncio.get_running_loop().getaddrinfo = _resolved
    ending = [asyncio.ensure_future(connection.end_at_exit()) for connection in _OPEN]
    await asyncio.wait(ending, timeout=AT_EXIT)


@atexit.register
def _at_exit() -> None:
    if _OPEN:
        asyncio.run(_end_all())


COMMAND_TIMEOUT: Final = 10.0  # seconds for a reply

_ANSWERED: Final = (m.RequestSchema, m.RequestClip, m.RequestRecording, m.PublishTrack)
_PLATFORM: Final = {
    kind.__name__.lower(): kind
    for kind in (*_ANSWERED, m.Ping, m.RequestCapabilities, m.PauseTrack, m.ResumeTrack, m.UnpublishTrack)
}


class CommandSender:
    """Sends what a client asks over its transport, and waits for the reply.

    It does not know the `Reactor`, so that `reactor.commands`, which holds it, keeps no dropped client alive.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def send_command(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = COMMAND_TIMEOUT,
        wait: bool = True,
        scope: Literal["application", "runtime"] = "application",
    ) -> dict[str, Any] | None:
        """Send a Command, or with the scope `runtime` a platform request; `Reactor.send_command` describes it."""
        if scope not in ("application", "runtime"):
            raise ValueError(f"scope is application or runtime, got {scope!r}")
        bounded("timeout", timeout)
        if scope == "runtime":
            return await self._send_platform(name, data or {}, timeout, wait=wait)
        command = command_of(name, data)
        self._connection.ready_transport(f"send `{name}`")
        if not wait:
            transport, _ = await self._present(name, timeout)
            transport.say(command)
            return None
        match await self.request(command, timeout, name):
            case m.ModelMessage(kind, said):
                return {"type": kind, "data": dict(said)}
            case _:
                return None

    async def request(self, question: Question, timeout: float, operation: str) -> m.ServerMessage | None:
        """Send a question and return its reply.

        Raises:
            ReactorError: `NOT_READY`, `REQUEST_TIMEOUT`, `DISCONNECTED`, or what the server answered.
        """
        try:
            self._connection.ready_transport(operation)
            transport, left = await self._present(operation, timeout)
            return await transport.request(question, left)
        except ReactorError as error:
            error.operation = error.operation or operation
            error.session_id = error.session_id or self._connection.session.session_id
            raise

    async def request_clip(self, question: Question, timeout: float) -> m.ServerMessage | None:
        """Ask for a Clip. Fits `clips.Ask`, which has an error of its own for a client that is not ready."""
        if self._connection.status is not Status.READY:
            raise DisconnectedError(f"not connected, but {self._connection.status.value}; connect first")
        return await self.request(question, timeout, "request_clip")

    async def _send_platform(
        self, name: str, data: Mapping[str, Any], timeout: float, *, wait: bool
    ) -> dict[str, Any] | None:
        request = _platform_request(name, data)
        if not (wait and isinstance(request, _ANSWERED)):
            self._connection.ready_transport(f"send `{name}`").say(request)
            return None
        reply = await self.request(request, timeout, name)
        if reply is None:
            return None
        kind, said = platform_message(reply)
        return {"type": kind, "data": said}

    async def _present(self, operation: str, timeout: float) -> tuple[PeerTransport, float]:
        """Return the transport, once a silent one is replaced, and the time that is left then."""
        connection, began = self._connection, time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                await connection.transports.replaced()
        except TimeoutError as error:
            text = f"`{operation}` could not be sent within {timeout:g} s: the connection is silent"
            raise error_of("REQUEST_TIMEOUT", text, operation=operation) from error
        if connection.transport is None or connection.status is not Status.READY:
            raise DisconnectedError(f"connection lost before `{operation}` was sent", operation=operation)
        return connection.transport, max(round(timeout - (time.monotonic() - began), 3), 0.001)


def _platform_request(name: str, data: Mapping[str, Any]) -> m.ClientMessage:
    """Return the platform request of this name (`requestSchema`, `request_schema`)."""
    kind = _PLATFORM.get(re.sub(r"[^a-z]", "", name.lower()))
    if kind is None:
        raise ValueError(f"no platform request {name!r}; the known ones are {', '.join(sorted(_PLATFORM))}")
    try:
        return kind(**data)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
