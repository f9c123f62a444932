"""`SyncReactor`: the same client for programs without an event loop, and for notebooks, where one runs already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from livereactor.client.commands import Commands, ServerSchema
from livereactor.client.events import Event
from livereactor.client.files import clips
from livereactor.client.listening import Handlers
from livereactor.client.looking import Looking
from livereactor.client.reactor import Reactor
from livereactor.client.sync.events import SyncEmitter
from livereactor.client.sync.loop import CLEAN_UP, LOOP
from livereactor.client.sync.tracks import SyncEvents, SyncStream, SyncTrack, SyncTrackList, SyncTracks, made
from livereactor.client.talking import COMMAND_TIMEOUT, STEP_TIMEOUT
from livereactor.client.transport.events import MAX_ATTEMPTS

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from livereactor.client.files.download import Cancel
    from livereactor.client.files.download import Progress as Fetched
    from livereactor.client.files.uploads import Progress, Source
    from livereactor.client.http.credentials import Resolver
    from livereactor.client.stepping import StepCommand, StepMedia, StepResult
    from livereactor.client.types import Clip, ConnectionStats, FileRef


class SyncReactor(Handlers, Looking):
    """A live Session with a model, as `Reactor` has it, without `await`: each method waits for what it does.

    For any thread, several at once too, and for notebooks. The client itself lives on one background thread that all
    `SyncReactor`s of a process share. Handlers run on a thread of their own, one after the other in the order of their
    events, and may call the client; handlers of Frames have a thread each. Ctrl-C ends a wait as it ends any other, and
    a `connect()` that it ends leaves nothing behind. Arguments and errors are those of `Reactor`.
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
        self._reactor = reactor = Reactor(
            model_name,
            api_key,
            jwt=jwt,
            api_url=api_url,
            local=local,
            auto_resume_tracks=auto_resume_tracks,
            auto_reconnect=auto_reconnect,
            max_session_duration=max_session_duration,
            session_args=session_args,
            connect_timeout=connect_timeout,
            generation=generation,
            report_stats=report_stats,
            log_level=log_level,
        )
        self._connection = reactor._connection
        self._tracks = SyncTracks()
        self._emitter = self._handlers = SyncEmitter(reactor._emitter, self._tracks)
        self.commands: Commands[dict[str, Any] | None] = Commands(
            lambda name, data: LOOP.run(reactor.send_command(name, data)), ServerSchema(lambda: reactor.schema).get
        )

    def __repr__(self) -> str:
        return repr(self._reactor).replace("<Reactor", f"<{type(self).__name__}", 1)

    # --- connecting ----------------------------------------------------------------------------------------------

    def connect(
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

        See `Reactor.connect`.
        """
        LOOP.clients.add(self._reactor)
        LOOP.run(
            self._reactor.connect(
                jwt,
                session_id=session_id,
                connection_id=connection_id,
                max_attempts=max_attempts,
                auto_resume_tracks=auto_resume_tracks,
                timeout=timeout,
            )
        )
        self._handlers.thread.settle(CLEAN_UP)

    def disconnect(self, recoverable: bool = False) -> None:
        """Leave; in any state, any number of times. See `Reactor.disconnect`."""
        LOOP.run(self._reactor.disconnect(recoverable))
        self._handlers.thread.settle(CLEAN_UP)

    def reconnect(self, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        """Bring a new transport up for the same Session; where that is being done already, wait for it."""
        LOOP.run(self._reactor.reconnect(max_attempts=max_attempts))
        self._handlers.thread.settle(CLEAN_UP)

    def close(self) -> None:
        """Release everything, for good, without waiting."""
        self._reactor.close()

    def __enter__(self) -> Self:
        LOOP.clients.add(self._reactor)
        LOOP.run(self._reactor.__aenter__())
        self._handlers.thread.settle(CLEAN_UP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LOOP.run(self._reactor.__aexit__(kind, error, trace))
        self._handlers.thread.settle(CLEAN_UP)

    # --- listening -----------------------------------------------------------------------------------------------

    def messages(self, kind: str | None = None) -> SyncStream[dict[str, Any]]:
        """The model's Messages from now on, of type `kind` only where given: `for message in …`.

        Keeps 256; then the oldest is lost and counted in `dropped`. Ends with the Session.
        """
        return SyncStream(LOOP.run(made(lambda: self._reactor.messages(kind))))

    def events(self) -> SyncStream[Event]:
        """All events from now on, as `Event(name, args)`; kept and ended as `messages`."""
        return SyncEvents(LOOP.run(made(self._reactor.events)), self._handlers.translated)

    # --- Commands ------------------------------------------------------------------------------------------------

    def send_command(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        timeout: float = COMMAND_TIMEOUT,
        wait: bool = True,
        scope: Literal["application", "runtime"] = "application",
    ) -> dict[str, Any] | None:
        """Have the model do something, and return its reply; see `Reactor.send_command`."""
        return LOOP.run(self._reactor.send_command(name, data, timeout=timeout, wait=wait, scope=scope))

    def step(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        commands: Sequence[StepCommand] = (),
        media: StepMedia | None = None,
        timeout: float = STEP_TIMEOUT,
    ) -> StepResult:
        """One step of a stepped Session: parameters, Commands, media in; Frames out. See `Reactor.step`."""
        return LOOP.run(self._reactor.step(params, commands=commands, media=media, timeout=timeout))

    def request_schema(self) -> dict[str, Any]:
        """The model's OpenAPI document, as its server has it now."""
        return LOOP.run(self._reactor.request_schema())

    # --- Tracks --------------------------------------------------------------------------------------------------

    @property
    def tracks(self) -> SyncTrackList:
        """The declared Tracks in their order; empty while there is no Session."""
        return SyncTrackList(self._reactor.tracks, self._tracks)

    def track(self, name: str) -> SyncTrack:
        """The Track of this name, the same object for the client's life; before connecting, any name.

        Raises:
            ValueError: the Session has declared no such Track.
        """
        return self._tracks.of(self._reactor.track(name))

    @property
    def paused_tracks(self) -> list[str]:
        """Names of the outputs that this client does not receive."""
        return self._reactor.paused_tracks

    def publish_track(self, name: str, source: object = None) -> SyncTrack:
        """Claim an input and send on it; `Track.publish` says what a `source` may be."""
        return self._tracks.of(LOOP.run(self._reactor.publish_track(name, source)))

    def unpublish_track(self, name: str) -> None:
        """Stop sending and give the input back; nothing where it is not published."""
        LOOP.run(self._reactor.unpublish_track(name))

    def set_bitrate(
        self, *, min_bps: int | None = None, start_bps: int | None = None, max_bps: int | None = None
    ) -> None:
        """Bound what all that is sent may take, bits a second; before connecting too, and for good."""
        LOOP.run(self._reactor.set_bitrate(min_bps=min_bps, start_bps=start_bps, max_bps=max_bps))

    def fetch_stats(self) -> ConnectionStats:
        """The connection's figures as they are now."""
        return LOOP.run(self._reactor.fetch_stats())

    # --- files ---------------------------------------------------------------------------------------------------

    def upload_file(
        self,
        file: Source,
        *,
        name: str | None = None,
        mime_type: str | None = None,
        on_progress: Progress | None = None,
    ) -> FileRef:
        """Give a file to the Session; the result is what Commands take as an argument. See `Reactor.upload_file`."""
        return LOOP.run(self._reactor.upload_file(file, name=name, mime_type=mime_type, on_progress=on_progress))

    def request_clip(self, seconds: float) -> Clip:
        """The last `seconds` of what was streamed; at once, before the last of it can be fetched."""
        return LOOP.run(self._reactor.request_clip(seconds))

    def request_recording(self) -> Clip:
        """All that was streamed until now."""
        return LOOP.run(self._reactor.request_recording())

    @overload
    def download_clip(
        self,
        clip: Clip | float,
        path: None = None,
        *,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> bytes: ...
    @overload
    def download_clip(
        self,
        clip: Clip | float,
        path: str | os.PathLike[str],
        *,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path: ...
    def download_clip(
        self,
        clip: Clip | float,
        path: str | os.PathLike[str] | None = None,
        *,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path | bytes:
        """Fetch a Clip, or the last so many seconds, as an MP4. See `Reactor.download_clip`."""
        how: dict[str, Any] = {"on_progress": on_progress, "ready_timeout": ready_timeout, "cancel": cancel, "raw": raw}
        return LOOP.run(self._reactor.download_clip(clip, path, **how))

    @overload
    def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: None,
        *,
        jwt: str | Resolver | None = None,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> bytes: ...
    @overload
    def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: str | os.PathLike[str] = clips.FILE_NAME,
        *,
        jwt: str | Resolver | None = None,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path: ...
    def download_clip_as_file(
        self,
        clip: Clip | float,
        filename: str | os.PathLike[str] | None = clips.FILE_NAME,
        *,
        jwt: str | Resolver | None = None,
        on_progress: Fetched | None = None,
        ready_timeout: float | None = None,
        cancel: Cancel | None = None,
        raw: bool = False,
    ) -> Path | bytes:
        """`download_clip` with a file's name to begin with (in the current directory); None = return the bytes."""
        how: dict[str, Any] = {"on_progress": on_progress, "ready_timeout": ready_timeout, "cancel": cancel, "raw": raw}
        return LOOP.run(self._reactor.download_clip_as_file(clip, filename, jwt=jwt, **how))
