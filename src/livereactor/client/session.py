"""A client's Session: the requests that make, look up and end it, and a record of what its server said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from livereactor.client.errors import ReactorError
from livereactor.client.events import Emitter
from livereactor.client.http.api import Api, OpenedSession
from livereactor.client.http.reading import ReceivedDescriptor
from livereactor.client.lifecycle import messages as w
from livereactor.client.options import ClientOptions
from livereactor.client.tracks.tracks import Tracks
from livereactor.client.types import Capabilities, CommandCapability, SessionInfo, TrackCapability, WaitingInfo

# A coordinator's word, and two of a runtime. INACTIVE is not among them: such a Session can come back.
_OVER: Final = frozenset({"CLOSED", "closing", "terminated"})


class SessionView:
    """A record of what the server said of the Session; an attribute is None while its value is unknown.

    Attributes:
        session_id: as last emitted.
        version: of the last description, for servers that can hold an answer until there is a newer one; else None.
        expires_at: Unix seconds.
        waiting: what the Session waits for, until it can be connected to.
        schema: the model's OpenAPI document.
        generation: `streamed` or `stepped`, if the server says.
    """

    def __init__(self, emitter: Emitter, tracks: Tracks) -> None:
        self._emitter, self._tracks = emitter, tracks
        self.session_id: str | None = None
        self.version: str | None = None
        self.info: SessionInfo | None = None
        self.capabilities: Capabilities | None = None
        self.expires_at: float | None = None
        self.waiting: WaitingInfo | None = None
        self.schema: dict[str, Any] | None = None
        self.generation: str | None = None

    def name(self, session_id: str) -> None:
        """Take the Session's id, and emit it if it is new."""
        if session_id != self.session_id:
            self.session_id = session_id
            self._emitter.emit("session_id_changed", session_id)

    def update(self, descriptor: ReceivedDescriptor, *, resumes: bool) -> None:
        """Record a description, and emit what is new in it.

        Args:
            resumes: receive outputs unless the program says otherwise.
        """
        self.version, self.info = descriptor.version, info_of(descriptor)
        self.generation = descriptor.generation
        if descriptor.expires_at != self.expires_at:
            self._expire(descriptor.expires_at)
        waiting = None if seen_of(descriptor).prepared else waiting_of(descriptor)
        if waiting != self.waiting:
            self.waiting = waiting
            if waiting is not None:
                self._emitter.emit("waiting_info_changed", waiting)
        capabilities = capabilities_of(descriptor)
        if capabilities is not None and self.capabilities is None:
            self.capabilities = capabilities
            self._tracks.declare(capabilities.tracks, resumes=resumes)
            self._emitter.emit("capabilities_received", capabilities)

    def describe(self, schema: Mapping[str, Any]) -> None:
        """Record the model's schema, and emit it."""
        self.schema = dict(schema)
        self._emitter.emit("schema_received", self.schema)

    def forget(self) -> None:
        """Forget the Session."""
        self.version = self.info = self.capabilities = self.waiting = self.schema = self.generation = None
        if self.expires_at is not None:
            self._expire(None)
        if self.session_id is not None:
            self.session_id = None
            self._emitter.emit("session_id_changed", None)

    def _expire(self, at: float | None) -> None:
        self.expires_at = at
        self._emitter.emit("session_expiration_changed", at)


def end_of(descriptor: ReceivedDescriptor) -> str | None:
    """Return why the Session is over; None while it is not."""
    return (descriptor.end_reason or "closed") if descriptor.state in _OVER else None


def seen_of(descriptor: ReceivedDescriptor) -> w.SessionSeen:
    """Return the event that tells the connection's machine of a description."""
    prepared = descriptor.capabilities is not None and descriptor.selected_transport is not None
    waiting = waiting_of(descriptor)
    account = waiting.phase if waiting.position is None else f"{waiting.phase}, position {waiting.position}"
    return w.SessionSeen(
        prepared,
        account="" if descriptor.queue is None else account,
        held=descriptor.version is not None,
        window=descriptor.reconnection_window,
    )


def waiting_of(descriptor: ReceivedDescriptor) -> WaitingInfo:
    """Return what the Session waits for, and how long."""
    queue = descriptor.queue
    if queue is None:
        return WaitingInfo("starting")
    phase = "queued" if queue.loading is None else "loading"
    return WaitingInfo(phase, queue.position, queue.length, queue.estimated_wait, queue.loading)


def capabilities_of(descriptor: ReceivedDescriptor) -> Capabilities | None:
    """Return what the Session offers; None while its server does not say."""
    said = descriptor.capabilities
    if said is None:
        return None
    return Capabilities(
        said.protocol_version,
        tuple(TrackCapability(each.name, each.kind, each.direction) for each in said.tracks),
        tuple(CommandCapability(each.name, each.description, each.arguments_schema) for each in said.commands),
        said.emission_fps,
    )


def info_of(descriptor: ReceivedDescriptor) -> SessionInfo:
    """Return a description as users get it."""
    return SessionInfo(
        session_id=descriptor.session_id,
        state=descriptor.state,
        model=descriptor.model.name,
        model_version=descriptor.model.version,
        cluster=descriptor.cluster,
        server_version=descriptor.server_info.server_version,
        created_at=descriptor.created_at,
        expires_at=descriptor.expires_at,
        reconnection_window=descriptor.reconnection_window,
        end_reason=descriptor.end_reason,
        extra=dict(descriptor.model_extra or {}),
    )


CANCELLED: Final = 0.9  # seconds that a cancelled connect() may take to leave nothing behind
HOLD: Final = 20.0  # seconds that our coordinator may hold an answer until something changes
NOW: Final = 0.0  # seconds to hold it; where no time is given a coordinator holds it until the Session is ready

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """An answer of the server: the event it means, and the description if it holds one."""

    event: w.MachineEvent
    descriptor: ReceivedDescriptor | None = None


class SessionRequests:
    """The HTTP requests of one client about its Session."""

    def __init__(self, api: Api, options: ClientOptions) -> None:
        self._api, self._options = api, options

    async def create(self) -> SessionAnswer:
        """Create a Session. If this is cancelled, a Session that was created after all is ended.

        Raises:
            ReactorError: the Session was not created.
        """
        options = self._options
        creating = asyncio.ensure_future(
            self._api.create_session(
                options.model,
                session_args=options.session_args,
                max_session_duration=options.max_session_duration,
                generation=options.generation,
            )
        )
        try:
            opened = await asyncio.shield(creating)
        except asyncio.CancelledError:
            await self._end_unborn(creating)
            raise
        found = opened.descriptor
        # A runtime serves its one model to every client: a wrong address would show only much later.
        if options.local and (asked := _bare(options.model)) != _bare(found.model.name):
            log.warning(f"this server has the model {found.model.name[:64]!r}, not {asked!r}; check the address")
        return SessionAnswer(w.SessionObtained(found.session_id, seen_of(found), owned=opened.is_ours), found)

    async def adopt(self, session_id: str) -> SessionAnswer:
        """Find a Session that another client made.

        Raises:
            ReactorError: this account has no such Session.
        """
        found = await self._api.session(session_id, wait=NOW)
        over = end_of(found)
        event = w.SessionObtained(session_id, seen_of(found), owned=False) if over is None else w.SessionOver(over)
        return SessionAnswer(event, found)

    async def look_up(self, session_id: str, version: str | None) -> SessionAnswer:
        """Look the Session up. With a `version`, which our coordinator gave, wait until there is a newer one."""
        try:
            found = await self._api.session(session_id, wait=NOW if version is None else HOLD, version=version)
        except ReactorError as error:
            return SessionAnswer(w.LookupFailed(error))
        over = end_of(found)
        return SessionAnswer(seen_of(found) if over is None else w.SessionOver(over), found)

    async def end(self, session_id: str, *, is_sure: bool = True) -> None:
        """End the Session; if the server cannot be reached, it ends the Session by itself.

        Args:
            is_sure: this client was connected to it just now. Otherwise a runtime may have closed it and run another,
                which this request would stop, as it names no id: then the id is checked first.
        """
        try:
            if self._options.local and not is_sure:
                await self._api.session(session_id)
            await self._api.end_session(session_id)
        except ReactorError as error:
            words = "the session could not be ended; the server will end it later"
            log.warning(words, session=session_id, reason=error.message)

    async def _end_unborn(self, creating: asyncio.Future[OpenedSession]) -> None:
        # Half of the time is for the answer with its id, half to end it.
        await asyncio.wait((creating,), timeout=CANCELLED / 2)
        if creating.cancel() or creating.cancelled() or creating.exception() is not None:
            return
        opened = creating.result()
        if opened.is_ours:
            await self.end(opened.descriptor.session_id)


def _bare(model: str) -> str:
    """Return a model's name without its owner and version."""
    return model.partition("@")[0].rpartition("/")[2]
