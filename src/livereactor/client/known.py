"""What is known of a Session: read from its server's descriptions, kept for the getters, told when it is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from livereactor.client.events import Emitter
from livereactor.client.http.reading import ReceivedDescriptor
from livereactor.client.lifecycle.messages import Seen
from livereactor.client.tracks.tracks import Tracks
from livereactor.client.types import Capabilities, CommandCapability, SessionInfo, TrackCapability, WaitingInfo

# Of a coordinator, of a runtime. INACTIVE is not among them: such a Session can come back (protocol 3.1).
_OVER: Final = frozenset({"CLOSED", "closing", "terminated"})


class Known:
    """What one client knows of its Session; every attribute is None, or "", while there is nothing.

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
