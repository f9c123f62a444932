"""A client's Session: the requests that make, look up and end it, and a record of what its server said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from livereactor.client.errors import ReactorError
from livereactor.client.events import Emitter
from livereactor.client.http.api import Api, Opened
from livereactor.client.http.reading import ReceivedDescriptor
from livereactor.client.lifecycle import messages as w
from livereactor.client.lifecycle.messages import Seen
from livereactor.client.options import Options
from livereactor.client.tracks.tracks import Tracks
from livereactor.client.types import Capabilities, CommandCapability, SessionInfo, TrackCapability, WaitingInfo

# Of a coordinator, of a runtime. INACTIVE is not among them: such a Session can come back (protocol 3.1).
_OVER: Final = frozenset({"CLOSED", "closing", "terminated"})


class SessionRecord:
    """A record of what the server said of the Session; an attribute is None while its value is unknown.

    Attributes:
        session_id: as it was told last.
        version: of the last description, for servers that answer when there is another; None where they do not.
        expires_at: Unix seconds.
        waiting: while there is something to wait for.
        schema: the model's OpenAPI document.
        generation: `streamed` or `stepped`, where the server says.
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
        """The Session has this id."""
        if session_id != self.session_id:
            self.session_id = session_id
            self._emitter.emit("session_id_changed", session_id)

    def take(self, descriptor: ReceivedDescriptor, *, resumes: bool) -> None:
        """Tell what is new in a description.

        Args:
            resumes: outputs are received unless the user says otherwise.
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
        """The model's schema came."""
        self.schema = dict(schema)
        self._emitter.emit("schema_received", self.schema)

    def forget(self) -> None:
        """There is no Session any more."""
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
    """Why the Session is over; None while it is not."""
    return (descriptor.end_reason or "closed") if descriptor.state in _OVER else None


def seen_of(descriptor: ReceivedDescriptor) -> Seen:
    """What the connection's machine has to know of it."""
    prepared = descriptor.capabilities is not None and descriptor.selected_transport is not None
    waiting = waiting_of(descriptor)
    account = waiting.phase if waiting.position is None else f"{waiting.phase}, position {waiting.position}"
    return Seen(
        prepared,
        account="" if descriptor.queue is None else account,
        held=descriptor.version is not None,
        window=descriptor.reconnection_window,
    )


def waiting_of(descriptor: ReceivedDescriptor) -> WaitingInfo:
    """How long there is to wait, and for what."""
    queue = descriptor.queue
    if queue is None:
        return WaitingInfo("starting")
    phase = "queued" if queue.loading is None else "loading"
    return WaitingInfo(phase, queue.position, queue.length, queue.estimated_wait, queue.loading)


def capabilities_of(descriptor: ReceivedDescriptor) -> Capabilities | None:
    """What the Session offers; None while its server does not say."""
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
    """All that the server said of the Session."""
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


CANCELLED: Final = 0.9  # seconds that a cancelled connect() may take to leave nothing behind (behaviour 2.13)
HOLD: Final = 20.0  # seconds that our coordinator is asked to hold an answer until something changes
NOW: Final = 0.0  # asked to hold it that long; unasked, it holds it until the Session is ready (protocol 1.4)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """An answer: what it means, and all of it where the server described the Session."""

    event: w.MachineEvent
    descriptor: ReceivedDescriptor | None = None


class SessionRequests:
    """Of one client."""

    def __init__(self, api: Api, options: Options) -> None:
        self._api, self._options = api, options

    async def create(self) -> SessionAnswer:
        """Have a Session made; cancelled, it is ended if it was made after all.

        Raises:
            ReactorError: it was not made.
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
        # A runtime has one model, and takes whoever comes: what is meant for another goes wrong much later.
        if options.local and (asked := _bare(options.model)) != _bare(found.model.name):
            log.warning(f"this server has the model {found.model.name[:64]!r}, not {asked!r}; check the address")
        return SessionAnswer(w.Obtained(found.session_id, seen_of(found), owned=opened.is_ours), found)

    async def adopt(self, session_id: str) -> SessionAnswer:
        """Find a Session that somebody else made.

        Raises:
            ReactorError: there is none for this account.
        """
        found = await self._api.session(session_id, wait=NOW)
        over = end_of(found)
        event = w.Obtained(session_id, seen_of(found), owned=False) if over is None else w.Over(over)
        return SessionAnswer(event, found)

    async def look(self, session_id: str, version: str | None) -> SessionAnswer:
        """How the Session is; with a `version`, which our coordinator gave, once there is another."""
        try:
            found = await self._api.session(session_id, wait=NOW if version is None else HOLD, version=version)
        except ReactorError as error:
            return SessionAnswer(w.Unseen(error))
        over = end_of(found)
        return SessionAnswer(seen_of(found) if over is None else w.Over(over), found)

    async def end(self, session_id: str, *, is_sure: bool = True) -> None:
        """End the Session; a server that cannot be told ends it by itself.

        Args:
            is_sure: this client was connected to it just now. Otherwise a runtime may have closed it, and run another,
                which it would stop in its place: it is not asked to stop one of a certain id.
        """
        try:
            if self._options.local and not is_sure:
                await self._api.session(session_id)
            await self._api.end_session(session_id)
        except ReactorError as error:
            log.warning("the session could not be ended, its server will", session=session_id, reason=error.message)

    async def _end_unborn(self, creating: asyncio.Future[Opened]) -> None:
        # Half of the time is for its name to come, half for the server to be told.
        await asyncio.wait((creating,), timeout=CANCELLED / 2)
        if creating.cancel() or creating.cancelled() or creating.exception() is not None:
            return
        opened = creating.result()
        if opened.is_ours:
            await self.end(opened.descriptor.session_id)


def _bare(model: str) -> str:
    """A model's name without its owner and version."""
    return model.partition("@")[0].rpartition("/")[2]
