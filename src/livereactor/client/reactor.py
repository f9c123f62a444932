"""`Reactor`: a program's end of a Session with a real-time model.

Above 400 lines because it is one class: everything that a program calls on a client, with the words that document it.
The work is done by the connection, the Tracks, the files and the sender of Commands that it holds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar, Unpack, overload
from urllib.parse import urlsplit

import structlog

from livereactor.client.commands import Commands, ServerSchema
from livereactor.client.connection import COMMAND_TIMEOUT, CommandSender, Connection
from livereactor.client.errors import ReactorError, error_of
from livereactor.client.events import Emitter, Event, Handler, Stream
from livereactor.client.files import clips
from livereactor.client.files.download import DownloadOptions, download_clip, names_download_options
from livereactor.client.files.uploads import Progress, Source, upload_file
from livereactor.client.options import (
    ReactorOptions,
    bounded,
    check_attempts,
    check_connect,
    names_reactor_options,
    options_of,
    positive,
    set_up_log,
    token_of,
)
from livereactor.client.tracks.port import Bitrate
from livereactor.client.tracks.track import Track
from livereactor.client.tracks.tracks import TrackList
from livereactor.client.transport.events import MAX_ATTEMPTS
from livereactor.client.types import (
    Capabilities,
    Clip,
    ConnectionStats,
    ConnectionTimings,
    FileRef,
    ReactorState,
    SessionInfo,
    Status,
    WaitingInfo,
)
from livereactor.protocol import messages as m

if TYPE_CHECKING:
    from livereactor.client.http.credentials import Resolver
    from livereactor.client.stepping import StepCommand, StepMedia, StepResult

STEP_TIMEOUT: Final = 300.0  # seconds, as official clients wait for a step

log = structlog.get_logger(__name__)

_H = TypeVar("_H", bound=Handler)


class Reactor:
    """A live Session with a model: open it, steer it, watch it and feed it from here.

    Use it as a context manager: it connects on entry and leaves nothing behind on exit. Call its methods on one asyncio
    loop; properties, `on` and `off` may be used from any thread. You can register handlers and ask for Tracks before
    you connect.

    Args:
        model_name: `name`, `owner/name` or `name@version`; None = `LIVEREACTOR_MODEL`.
        api_key: exchanged for a short-lived token, as narrow as the connection needs.
        jwt: a token, or a function without arguments (plain or async) that is asked for one before every request;
            wins over `api_key`.
        api_url: the address of the coordinator; ignored if `local` is set.
        local: a runtime without a coordinator, at this address or (True) at `http://localhost:8080`; needs no key.
        auto_resume_tracks: receive every output from the start.
        auto_reconnect: bring a lost connection up again by itself while the Session is kept.
        max_session_duration: seconds after which the server is to end the Session.
        session_args: for the model, as JSON values.
        connect_timeout: seconds for each `connect()` that is given no `timeout`; None = as long as there is a queue.
        generation: `stepped` for a Session that runs one step per `step()`.
        report_stats: send what this client measures to the server every two seconds, for its operator's figures.
        log_level: of this library's log (`"debug"`, `logging.INFO`); None = as the program has set it up.

    An argument that is None is taken from `LIVEREACTOR_…` or `REACTOR_…`: `API_KEY`, `JWT`, `API_URL`, `LOCAL` (1),
    `MODEL`.

    Raises:
        TypeError, ValueError: an argument is not valid.
    """

    @names_reactor_options
    def __init__(
        self, model_name: str | None = None, api_key: str | None = None, **options: Unpack[ReactorOptions]
    ) -> None:
        self._options = options_of(model_name, api_key, **options)
        set_up_log(options.get("log_level"))
        self._emitter = emitter = Emitter()
        self._connection = connection = Connection(self._options, emitter)
        self._sender = sender = CommandSender(connection)
        self._has_entered = False
        self.commands: Commands[Coroutine[Any, Any, dict[str, Any] | None]] = Commands(
            sender.send_command, ServerSchema(lambda: connection.session.schema).get
        )

    def __repr__(self) -> str:
        place = urlsplit(self._options.url).netloc.rpartition("@")[2]  # without credentials that an address may carry
        client = f"{type(self).__name__} {self._options.model!r} at {place}"
        return f"<{client} {self.status.value} session={self.session_id}>"

    def __del__(self) -> None:
        connection: Connection | None = getattr(self, "_connection", None)  # absent where the arguments were refused
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
        """Open a Session, or join one, and return when it is `ready`: every handler of that event has been called.

        Args:
            jwt: used for this and later calls, in place of the constructor's.
            session_id: join this Session, which someone else opened; `disconnect()` then leaves it alive.
            connection_id: 1001 to 9999, the number of a Connection that a back end registered in that Session.
            max_attempts: polls for the answer to the offer, at waits of 0.2 s doubling to 15 s.
            auto_resume_tracks: in place of the constructor's.
            timeout: seconds for all of it, in place of the constructor's.

        Raises:
            TypeError, ValueError: an argument is not valid.
            ReactorError: `INVALID_STATE` if the client is connected or connecting; `UNAUTHORIZED`, `NOT_FOUND`,
                `RATE_LIMITED`, `VERSION_MISMATCH`, …; `CONNECTION_FAILED` with the cause in `reason`; `ABORTED` if
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
        """Leave the Session. You may call it in any state, any number of times.

        Args:
            recoverable: close the transport only: `reconnect()` finds the Session as it was, while the server keeps it
                (30 s by default). Otherwise the Session is ended, if this client opened it.
        """
        await self._connection.disconnect(keep=recoverable)

    async def reconnect(self, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        """Bring a new transport up for the same Session, or wait for the attempt that is under way.

        Raises:
            ReactorError: `INVALID_STATE` (no Session is open), `SESSION_TERMINAL` (it is over), `RECONNECTION_FAILED`
                with the cause in `reason`, or a cause that says what to do.
        """
        check_attempts(max_attempts)
        await self._connection.reconnect(max_attempts=max_attempts)

    def close(self) -> None:
        """Release everything, for good, without waiting. You may call it from any thread."""
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

    # --- state ---------------------------------------------------------------------------------------------------
    # Any thread may read it, at any time; a value that is unknown is None.

    @property
    def status(self) -> Status:
        """The status of the client; equal to the plain string."""
        return self._connection.status

    @property
    def state(self) -> ReactorState:
        """Status and last error, read together."""
        return ReactorState(self._connection.status, self._connection.last_error)

    @property
    def last_error(self) -> ReactorError | None:
        """The last failure, kept until the next successful `connect()` or `reconnect()`."""
        return self._connection.last_error

    @property
    def session_id(self) -> str | None:
        """The id of the Session that is open, or kept for `reconnect()`."""
        return self._connection.session.session_id

    @property
    def session_info(self) -> SessionInfo | None:
        """The server's description of the Session."""
        return self._connection.session.info

    @property
    def session_expiration(self) -> float | None:
        """Unix seconds at which the server ends the Session."""
        return self._connection.session.expires_at

    @property
    def capabilities(self) -> Capabilities | None:
        """The Tracks and Commands that the model offers, and its Frames a second."""
        return self._connection.session.capabilities

    @property
    def schema(self) -> dict[str, Any] | None:
        """The model's OpenAPI document; it arrives shortly after `ready`."""
        return self._connection.session.schema

    @property
    def waiting_info(self) -> WaitingInfo | None:
        """The reason why the Session is not ready, while the server gives one."""
        return self._connection.session.waiting

    @property
    def queue_position(self) -> int | None:
        """The position in the queue; 1 is next."""
        waiting = self._connection.session.waiting
        return None if waiting is None else waiting.position

    @property
    def queue_length(self) -> int | None:
        """The number of Tickets in the queue, this client's included."""
        waiting = self._connection.session.waiting
        return None if waiting is None else waiting.length

    @property
    def estimated_wait(self) -> float | None:
        """Seconds until the Session starts, if the server can tell."""
        waiting = self._connection.session.waiting
        return None if waiting is None else waiting.estimated_wait

    @property
    def stats(self) -> ConnectionStats | None:
        """The newest sample of the connection's figures."""
        current = self._connection.transports.current
        return None if current is None else current.sampler.latest

    @property
    def connection_timings(self) -> ConnectionTimings | None:
        """The durations of the parts of the last `connect()` or `reconnect()`."""
        return self._connection.timings

    def get_status(self) -> Status:
        """Return `status`."""
        return self.status

    def get_state(self) -> ReactorState:
        """Return `state`."""
        return self.state

    def get_last_error(self) -> ReactorError | None:
        """Return `last_error`."""
        return self.last_error

    def get_session_id(self) -> str | None:
        """Return `session_id`."""
        return self.session_id

    def get_session_info(self) -> SessionInfo | None:
        """Return `session_info`."""
        return self.session_info

    def get_capabilities(self) -> Capabilities | None:
        """Return `capabilities`."""
        return self.capabilities

    def get_schema(self) -> dict[str, Any] | None:
        """Return `schema`."""
        return self.schema

    def get_stats(self) -> ConnectionStats | None:
        """Return `stats`."""
        return self.stats

    def get_connection_timings(self) -> ConnectionTimings | None:
        """Return `connection_timings`."""
        return self.connection_timings

    async def fetch_stats(self) -> ConnectionStats:
        """Measure the connection now.

        Raises:
            ReactorError: `NOT_READY`, `TRANSPORT_ERROR`.
        """
        connection = self._connection
        connection.ready_transport("fetch_stats")
        current = connection.transports.current
        assert current is not None  # while ready
        return await current.sampler.fetch()

    # --- events --------------------------------------------------------------------------------------------------

    def on(self, event: str, handler: Handler, *, replay: bool = False) -> None:
        """Call `handler` for each `event`; the same handler registered twice is called once.

        Events, with the arguments of their handlers: `status_changed` (Status), `session_id_changed` (str or None),
        `waiting_info_changed` (WaitingInfo), `message` and `runtime_message` (`{"type", "data"}`), `track_received`
        (name, Track), `capabilities_received` (Capabilities), `schema_received` (dict), `session_expiration_changed`
        (Unix seconds or None), `session_ended` (`{"reason"}`), `moderation` (dict), `stats_update` (ConnectionStats),
        `error` (ReactorError). Both spellings of a name are one event: `status_changed`, `statusChanged`.

        Handlers run on the client's loop, in the order of their registration. An `async` handler gets its events one
        after the other, in a task of its own. A handler that raises is logged and does not affect the others.

        Args:
            replay: also call it at once with the present status, Capabilities, schema or Tracks, if there are any.

        Raises:
            ValueError: no event has this name.
        """
        self._emitter.on(event, handler, replay=replay)

    def off(self, event: str, handler: Handler) -> None:
        """Stop calling `handler`; do nothing if it was never registered."""
        self._emitter.off(event, handler)

    def once(self, event: str, handler: Handler) -> None:
        """Call `handler` for the next `event` only."""
        self._emitter.once(event, handler)

    @overload
    def on_status(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_status(self, wanted: _H) -> _H: ...
    def on_status(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_status`, `@reactor.on_status("ready")`, `@reactor.on_status(["connecting", "waiting"])`."""
        return self._decorated("status_changed", wanted)

    @overload
    def on_message(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_message(self, wanted: _H) -> _H: ...
    def on_message(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_message`, `@reactor.on_message("dropped")`: the model's Messages, of these types."""
        return self._decorated("message", wanted)

    @overload
    def on_runtime_message(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_runtime_message(self, wanted: _H) -> _H: ...
    def on_runtime_message(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_runtime_message`: the platform's messages, all or of these types."""
        return self._decorated("runtime_message", wanted)

    @overload
    def on_track(self, wanted: str | Iterable[str] = ...) -> Callable[[_H], _H]: ...
    @overload
    def on_track(self, wanted: _H) -> _H: ...
    def on_track(self, wanted: _H | str | Iterable[str] = ()) -> _H | Callable[[_H], _H]:
        """`@reactor.on_track`, `@reactor.on_track("main_video")`: a Track is received from now on."""
        return self._decorated("track_received", wanted)

    def on_error(self, handler: _H) -> _H:
        """`@reactor.on_error`: something failed."""
        self._emitter.on("error", handler)
        return handler

    def on_stats(self, handler: _H) -> _H:
        """`@reactor.on_stats`: every two seconds while ready."""
        self._emitter.on("stats_update", handler)
        return handler

    def _decorated(self, event: str, wanted: _H | str | Iterable[str]) -> _H | Callable[[_H], _H]:
        if callable(wanted):
            self._emitter.on(event, wanted)
            return wanted
        only = [wanted] if isinstance(wanted, str) else list(wanted)

        def register(handler: _H) -> _H:
            self._emitter.on(event, handler, only=only or None)
            return handler

        return register

    def messages(self, kind: str | None = None) -> Stream[dict[str, Any]]:
        """Iterate over the model's Messages from now on, those of type `kind` if it is given.

        The iterator keeps 256; then it loses the oldest and counts it in `dropped`. It ends with the Session.
        """
        return self._emitter.messages(kind)

    def events(self) -> Stream[Event]:
        """Iterate over all events from now on, as `Event(name, args)`; kept and ended like `messages`."""
        return self._emitter.events()

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
        """Send a Command to the model, and return its reply. Commands of one client run in the order they are sent.

        Args:
            name: the name of the Command.
            data: its arguments: JSON values, numpy scalars, `FileRef`s.
            timeout: seconds for the reply.
            wait: wait for the reply; False returns once the bytes are handed over.
            scope: `runtime` sends a request to the platform instead (`requestSchema`, `ping`, …).

        Returns:
            the reply, `{"type", "data"}`; None if the Command was acknowledged without one.

        Raises:
            TypeError, ValueError: the arguments are not JSON.
            CommandRejected: the schema or the model's author refused the Command, or its handler failed.
            ReactorError: `NOT_READY`, `REQUEST_TIMEOUT`, `DISCONNECTED`, `MESSAGE_TOO_LARGE`, `MESSAGE_SEND_FAILED`.
        """
        return await self._sender.send_command(name, data, timeout=timeout, wait=wait, scope=scope)

    async def step(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        commands: Sequence[StepCommand] = (),
        media: StepMedia | None = None,
        timeout: float = STEP_TIMEOUT,
    ) -> StepResult:
        """Run one step of a stepped Session: parameters, Commands and media go in, Frames and Messages come out.

        Raises:
            TypeError, ValueError: an argument is not valid.
            ReactorError: `step_refused` and the other `step_…` codes with the entry at fault in `details`,
                `REQUEST_TIMEOUT`, …
        """
        from livereactor.client.stepping import step_request, step_result  # numpy, which not every program loads

        bounded("timeout", timeout)
        request = step_request(params, commands, media)
        said: list[Mapping[str, Any]] = []
        self._connection.emitter.on("message", said.append)
        try:
            reply = await self._sender.request(request, timeout, "step")
        finally:
            self._connection.emitter.off("message", said.append)
        if not isinstance(reply, m.StepResult):
            raise error_of("DECODE_FAILED", "the server's answer is not a step", operation="step")
        return step_result(reply).with_messages(said)

    async def request_schema(self) -> dict[str, Any]:
        """Fetch the model's OpenAPI document, as its server has it now."""
        reply = await self._sender.request(m.RequestSchema(), COMMAND_TIMEOUT, "request_schema")
        if not isinstance(reply, m.SchemaDocument):
            raise error_of("DECODE_FAILED", "the server's answer is not a schema")
        return dict(reply.openapi)

    # --- Tracks --------------------------------------------------------------------------------------------------

    @property
    def tracks(self) -> TrackList:
        """The declared Tracks in their order; empty while no Session is open."""
        return self._connection.tracks.declared

    def track(self, name: str) -> Track:
        """Return the Track of this name, the same object for the client's life; before connecting, any name.

        Raises:
            ValueError: the Session has declared no such Track.
        """
        return self._connection.tracks.track(name)

    @property
    def paused_tracks(self) -> list[str]:
        """The names of the outputs that this client does not receive."""
        return self._connection.tracks.paused

    async def publish_track(self, name: str, source: object = None) -> Track:
        """Claim an input and send on it; `Track.publish` describes the possible sources.

        Raises:
            ValueError: no input has this name.
            ReactorError: `NOT_READY`, `TRACK_PUBLISH_FAILED`, `DEVICE_ERROR`.
        """
        return await self._connection.tracks.sendable(name).publish(source)

    async def unpublish_track(self, name: str) -> None:
        """Stop sending and give the input back; do nothing if it is not published."""
        await self._connection.tracks.sendable(name).unpublish()

    async def set_bitrate(
        self, *, min_bps: int | None = None, start_bps: int | None = None, max_bps: int | None = None
    ) -> None:
        """Bound what this client sends in all, bits a second. It lasts, and may be set before connecting."""
        await self._connection.transports.set_bitrate(Bitrate(min_bps, start_bps, max_bps))

    # --- files ---------------------------------------------------------------------------------------------------

    async def upload_file(
        self,
        file: Source,
        *,
        name: str | None = None,
        mime_type: str | None = None,
        on_progress: Progress | None = None,
    ) -> FileRef:
        """Upload a file to the Session, and return the argument that Commands take. Cancel the task to stop it.

        Args:
            file: a path, bytes, or a file object opened for bytes.
            name, mime_type: as the model sees them; None = the file's own, guessed.
            on_progress: called with bytes sent and bytes in all.

        Raises:
            TypeError, ValueError, OSError: not a file, or an empty or unreadable one.
            ReactorError: `NOT_READY`, `UPLOAD_TOO_LARGE`, `UPLOAD_TYPE_REFUSED`, `UPLOAD_EXPIRED`, `UPLOAD_FAILED`,
                `DISCONNECTED`.
        """
        connection = self._connection
        connection.ready_transport("upload_file")

        async def say(message: m.ClientMessage) -> None:
            (await connection.present_transport("upload_file")).say(message)

        session_id = connection.session.session_id or ""
        work = upload_file(
            connection.api, session_id, say, file, name=name, mime_type=mime_type, on_progress=on_progress
        )
        return await connection.calls.run(work, "upload_file")

    async def request_clip(self, seconds: float) -> Clip:
        """Ask for the last `seconds` of what was streamed. Returns at once, before the end can be fetched.

        Raises:
            RecordingError: `INVALID_DURATION`, `DISCONNECTED`, `REQUEST_TIMEOUT`, `RECORDER_DISABLED`, `NO_MEDIA_YET`.
        """
        return await clips.request_clip(self._sender.request_clip, self._connection.api, seconds)

    async def request_recording(self) -> Clip:
        """Ask for everything that was streamed until now; raises like `request_clip`."""
        return await clips.request_recording(self._sender.request_clip, self._connection.api)

    @overload
    async def download_clip(
        self, clip: Clip | float, path: None = None, **options: Unpack[DownloadOptions]
    ) -> bytes: ...
    @overload
    async def download_clip(
        self, clip: Clip | float, path: str | os.PathLike[str], **options: Unpack[DownloadOptions]
    ) -> Path: ...
    @names_download_options
    async def download_clip(
        self, clip: Clip | float, path: str | os.PathLike[str] | None = None, **options: Unpack[DownloadOptions]
    ) -> Path | bytes:
        """Fetch a Clip, or the last `clip` seconds, as an MP4.

        Args:
            clip: as `request_clip` gave it, or seconds.
            path: the file to write, complete or not at all; None = return the bytes.
            on_progress: called with parts fetched, parts in all, bytes fetched.
            ready_timeout: seconds to wait for its last part; None = as long as the Session goes on.
            cancel: an object with `is_set()`, such as an `asyncio.Event`.
            raw: keep the fragmented form.

        Raises:
            RecordingError: `CLIP_NOT_READY`, `CLIP_GONE`, `PLAYLIST_FETCH_FAILED`, `ABORTED`, …
        """
        session = self._connection.session
        session_id = session.session_id  # not the clip's, which is a recording's
        if not isinstance(clip, Clip):
            clip = await self.request_clip(clip)
        return await clips.download(
            self._connection.api,
            clip,
            path,
            is_alive=lambda: session_id is not None and session.session_id == session_id,
            **options,
        )

    @overload
    async def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: None,
        *,
        jwt: str | Resolver | None = None,
        **options: Unpack[DownloadOptions],
    ) -> bytes: ...
    @overload
    async def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: str | os.PathLike[str] = clips.FILE_NAME,
        *,
        jwt: str | Resolver | None = None,
        **options: Unpack[DownloadOptions],
    ) -> Path: ...
    @names_download_options
    async def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: str | os.PathLike[str] | None = clips.FILE_NAME,
        *,
        jwt: str | Resolver | None = None,
        **options: Unpack[DownloadOptions],
    ) -> Path | bytes:
        """Fetch a Clip like `download_clip`, by default into `reactor-clip.mp4` in the current directory.

        Args:
            filename: the file to write; None = return the bytes.
            jwt: sent in place of the client's own token.
        """
        if jwt is None:
            return await self.download_clip(clip, filename, **options)
        found = clip if isinstance(clip, Clip) else await self.request_clip(clip)
        return await download_clip(found, filename, jwt=jwt, **options)
