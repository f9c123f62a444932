"""`Reactor`: a program's end of a Session with a real-time model."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

import structlog

from livereactor.client.commands import Commands, ServerSchema
from livereactor.client.connection import Connection
from livereactor.client.events import Emitter
from livereactor.client.filing import Filing
from livereactor.client.listening import Listening
from livereactor.client.looking import Looking, Sampling, replays_of
from livereactor.client.options import check_attempts, check_connect, options_of, positive, set_up_log, token_of
from livereactor.client.talking import COMMAND_TIMEOUT, STEP_TIMEOUT, Talking
from livereactor.client.tracks.port import Bitrate
from livereactor.client.tracks.tracks import Track, TrackList
from livereactor.client.transport.events import MAX_ATTEMPTS
from livereactor.client.types import Status

if TYPE_CHECKING:
    from livereactor.client.http.credentials import Resolver
    from livereactor.client.stepping import StepCommand, StepMedia, StepResult

log = structlog.get_logger(__name__)


class Reactor(Listening, Looking, Sampling, Filing):
    """A live Session with a model: opened, steered, watched and fed from here.

    As a context manager it connects on entry and leaves nothing behind on exit. Methods belong on one asyncio loop;
    properties, `on` and `off` may be used from any thread. Handlers and Tracks may be had before connecting.

    Args:
        model_name: `name`, `owner/name` or `name@version`; None = `LIVEREACTOR_MODEL`.
        api_key: exchanged for a short-lived token, as narrow as the connection needs.
        jwt: a token, or a function without arguments (plain or async) that is asked for one before every request;
            wins over `api_key`.
        api_url: of the coordinator.
        local: a runtime without a coordinator, at this address or (True) at `http://localhost:8080`; needs no key.
        auto_resume_tracks: receive every output from the start.
        auto_reconnect: bring a lost connection up again by itself while the Session is kept.
        max_session_duration: seconds after which the server is to end the Session.
        session_args: for the model, as JSON values.
        connect_timeout: seconds for each `connect()` that is given no `timeout`; None = as long as there is a queue.
        generation: `stepped` for a Session that runs one step per `step()`.
        report_stats: tell the server every two seconds what this client measures, for its operator's figures.
        log_level: of this library's log (`"debug"`, `logging.INFO`); None = as the program has set it up.

    What is None is taken from `LIVEREACTOR_…` or `REACTOR_…`: `API_KEY`, `JWT`, `API_URL`, `LOCAL` (1), `MODEL`.

    Raises:
        TypeError, ValueError: an argument that cannot be.
    """

    def __init__(
        self,
        model_name: str | None = None,
        api_key: str | None = None,
        *,
        jwt: str | Resolver | None = None,
        api_url: str | None = None,
        local: bool | str | None = None,
        auto_resume_tracks: bool = True,
        auto_reconnect: bool = False,
        max_session_duration: float | None = None,
        session_args: Mapping[str, Any] | None = None,
        connect_timeout: float | None = None,
        generation: Literal["streamed", "stepped"] | None = None,
        report_stats: bool = True,
        log_level: int | str | None = None,
    ) -> None:
        self._options = options_of(
            model_name,
            api_key,
            jwt,
            api_url,
            local,
            auto_resume_tracks=auto_resume_tracks,
            auto_reconnect=auto_reconnect,
            max_session_duration=max_session_duration,
            session_args=session_args,
            connect_timeout=connect_timeout,
            generation=generation,
            report_stats=report_stats,
        )
        set_up_log(log_level)
        self._emitter = Emitter()
        self._connection = connection = Connection(self._options, self._emitter)
        self._emitter.replays = replays_of(connection)
        self._talking = talking = Talking(connection)
        self._has_entered = False
        self.commands: Commands[Coroutine[Any, Any, dict[str, Any] | None]] = Commands(
            talking.send_command, ServerSchema(lambda: connection.session.schema).get
        )

    def __repr__(self) -> str:
        place = urlsplit(self._options.url).netloc.rpartition("@")[2]  # without what an address may carry before it
        what = f"{type(self).__name__} {self._options.model!r} at {place}"
        return f"<{what} {self.status.value} session={self.session_id}>"

    def __del__(self) -> None:
        connection: Connection | None = getattr(self, "_connection", None)  # not where the arguments were refused
        if connection is not None and connection.is_open and not sys.is_finalizing():
            log.warning("a client was dropped without being closed", session=connection.session.session_id)
            connection.close_from_anywhere()

    # --- connecting ----------------------------------------------------------------------------------------------

    async def connect(
        self,
        jwt: str | Resolver | None = None,
        *,
        session_id: str | None = None,
        connection_id: int | None = None,
        max_attempts: int = MAX_ATTEMPTS,
        auto_resume_tracks: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Open a Session, or join one, and return when it is `ready`: every handler of that has been called.

        Args:
            jwt: used for this and later calls, in place of the constructor's.
            session_id: join this Session of somebody else's; `disconnect()` then leaves it alive.
            connection_id: 1001 to 9999, of a Connection that a back end registered in that Session.
            max_attempts: polls for the answer to the offer, at waits of 0.2 s doubling to 15 s.
            auto_resume_tracks: in place of the constructor's.
            timeout: seconds for all of it, in place of the constructor's.

        Raises:
            TypeError, ValueError: an argument that cannot be.
            ReactorError: `INVALID_STATE` where it is connected or connecting; `UNAUTHORIZED`, `NOT_FOUND`,
                `RATE_LIMITED`, `VERSION_MISMATCH`, …; `CONNECTION_FAILED` with the cause in `reason`; `ABORTED` where
                `disconnect()` was called meanwhile.
        """
        arguments = (jwt, session_id, connection_id, auto_resume_tracks, timeout)
        if self._has_entered and self.status is not Status.DISCONNECTED and arguments == (None,) * len(arguments):
            await self._connection.joined()
            return
        check_connect(session_id, connection_id, max_attempts)
        options = self._options
        await self._connection.connect(
            jwt=token_of(jwt),
            session_id=session_id,
            connection_id=connection_id,
            max_attempts=max_attempts,
            resumes=options.auto_resume_tracks if auto_resume_tracks is None else auto_resume_tracks,
            timeout=options.connect_timeout if timeout is None else positive("timeout", timeout),
        )

    async def disconnect(self, recoverable: bool = False) -> None:
        """Leave; in any state, any number of times.

        Args:
            recoverable: close the transport only: `reconnect()` finds the Session as it was, while the server keeps it
                (30 s by default). Otherwise the Session is ended, if this client opened it.
        """
        await self._connection.disconnect(keep=recoverable)

    async def reconnect(self, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        """Bring a new transport up for the same Session; where that is being done already, wait for it.

        Raises:
            ReactorError: `INVALID_STATE` (there is no Session), `SESSION_TERMINAL` (it is over),
                `RECONNECTION_FAILED` with the cause in `reason`, or a cause that says what to do.
        """
        check_attempts(max_attempts)
        await self._connection.reconnect(max_attempts=max_attempts)

    def close(self) -> None:
        """Release everything, for good, without waiting; from any thread."""
        self._connection.close_from_anywhere()

    async def __aenter__(self) -> Self:
        self._has_entered = True
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.disconnect()
        finally:
            self.close()

    # --- Commands ------------------------------------------------------------------------------------------------

    async def send_command(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = COMMAND_TIMEOUT,
        wait: bool = True,
        scope: Literal["application", "runtime"] = "application",
    ) -> dict[str, Any] | None:
        """Have the model do something; Commands of one client run in the order they are sent.

        Args:
            name: of the Command.
            data: its arguments: JSON values, numpy scalars, `FileRef`s.
            timeout: seconds for the reply.
            wait: wait for the reply; False returns once the bytes are handed over.
            scope: `runtime` sends a request to the platform instead (`requestSchema`, `ping`, …).

        Returns:
            the reply, `{"type", "data"}`; None where it was acknowledged without one.

        Raises:
            TypeError, ValueError: what is no JSON.
            CommandRejected: the schema or the model's author refused it, or its handler failed.
            ReactorError: `NOT_READY`, `REQUEST_TIMEOUT`, `DISCONNECTED`, `MESSAGE_TOO_LARGE`, `MESSAGE_SEND_FAILED`.
        """
        return await self._talking.send_command(name, data, timeout=timeout, wait=wait, scope=scope)

    async def step(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        commands: Sequence[StepCommand] = (),
        media: StepMedia | None = None,
        timeout: float = STEP_TIMEOUT,
    ) -> StepResult:
        """One step of a stepped Session: parameters, Commands, media in; Frames out.

        Raises:
            TypeError, ValueError: an argument that cannot be.
            ReactorError: `step_refused` and its like with the entry at fault in `details`, `REQUEST_TIMEOUT`, …
        """
        return await self._talking.step(params, commands, media, timeout)

    async def request_schema(self) -> dict[str, Any]:
        """The model's OpenAPI document, as its server has it now."""
        return await self._talking.request_schema()

    # --- Tracks --------------------------------------------------------------------------------------------------

    @property
    def tracks(self) -> TrackList:
        """The declared Tracks in their order; empty while there is no Session."""
        return self._connection.tracks.declared

    def track(self, name: str) -> Track:
        """The Track of this name, the same object for the client's life; before connecting, any name.

        Raises:
            ValueError: the Session has declared no such Track.
        """
        return self._connection.tracks.track(name)

    @property
    def paused_tracks(self) -> list[str]:
        """Names of the outputs that this client does not receive."""
        return self._connection.tracks.paused

    async def publish_track(self, name: str, source: object = None) -> Track:
        """Claim an input and send on it; `Track.publish` says what a `source` may be.

        Raises:
            ValueError: no such input.
            ReactorError: `NOT_READY`, `TRACK_PUBLISH_FAILED`, `DEVICE_ERROR`.
        """
        return await self._connection.tracks.sendable(name).publish(source)

    async def unpublish_track(self, name: str) -> None:
        """Stop sending and give the input back; nothing where it is not published."""
        await self._connection.tracks.sendable(name).unpublish()

    async def set_bitrate(
        self, *, min_bps: int | None = None, start_bps: int | None = None, max_bps: int | None = None
    ) -> None:
        """Bound what all that is sent may take, bits a second; before connecting too, and for good."""
        await self._connection.transports.set_bitrate(Bitrate(min_bps, start_bps, max_bps))
