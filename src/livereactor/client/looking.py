"""What a program can read of a client at any time and from any thread, as properties and as methods (behaviour 14)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from livereactor.client.connection import Connection
from livereactor.client.errors import ReactorError
from livereactor.client.types import (
    Capabilities,
    ConnectionStats,
    ConnectionTimings,
    ReactorState,
    SessionInfo,
    Status,
    WaitingInfo,
)


class Looking:
    """The readable side of both doors; a value that is unknown is None."""

    _connection: Connection

    @property
    def status(self) -> Status:
        """What the client is doing; equal to the plain string."""
        return self._connection.status

    @property
    def state(self) -> ReactorState:
        """Status and last error, read together."""
        return ReactorState(self._connection.status, self._connection.last_error)

    @property
    def last_error(self) -> ReactorError | None:
        """What failed last; until the next successful `connect()` or `reconnect()`."""
        return self._connection.last_error

    @property
    def session_id(self) -> str | None:
        """Of the Session that is open, or kept for `reconnect()`."""
        return self._connection.session.session_id

    @property
    def session_info(self) -> SessionInfo | None:
        """What the server said of the Session."""
        return self._connection.session.info

    @property
    def session_expiration(self) -> float | None:
        """Unix seconds at which the server ends the Session."""
        return self._connection.session.expires_at

    @property
    def capabilities(self) -> Capabilities | None:
        """What the model offers: Tracks, Commands, Frames a second."""
        return self._connection.session.capabilities

    @property
    def schema(self) -> dict[str, Any] | None:
        """The model's OpenAPI document; comes shortly after `ready`."""
        return self._connection.session.schema

    @property
    def waiting_info(self) -> WaitingInfo | None:
        """What is waited for, while the server says so."""
        return self._connection.session.waiting

    @property
    def queue_position(self) -> int | None:
        """1 is next."""
        waiting = self._connection.session.waiting
        return None if waiting is None else waiting.position

    @property
    def queue_length(self) -> int | None:
        """Tickets in the queue, this client's included."""
        waiting = self._connection.session.waiting
        return None if waiting is None else waiting.length

    @property
    def estimated_wait(self) -> float | None:
        """Seconds, where the server can tell."""
        waiting = self._connection.session.waiting
        return None if waiting is None else waiting.estimated_wait

    @property
    def stats(self) -> ConnectionStats | None:
        """The newest sample of the connection's figures."""
        current = self._connection.transports.current
        return None if current is None else current.sampler.latest

    @property
    def connection_timings(self) -> ConnectionTimings | None:
        """How long the parts of the last `connect()` or `reconnect()` took."""
        return self._connection.timings

    def get_status(self) -> Status:
        """As `status`."""
        return self.status

    def get_state(self) -> ReactorState:
        """As `state`."""
        return self.state

    def get_last_error(self) -> ReactorError | None:
        """As `last_error`."""
        return self.last_error

    def get_session_id(self) -> str | None:
        """As `session_id`."""
        return self.session_id

    def get_session_info(self) -> SessionInfo | None:
        """As `session_info`."""
        return self.session_info

    def get_capabilities(self) -> Capabilities | None:
        """As `capabilities`."""
        return self.capabilities

    def get_schema(self) -> dict[str, Any] | None:
        """As `schema`."""
        return self.schema

    def get_stats(self) -> ConnectionStats | None:
        """As `stats`."""
        return self.stats

    def get_connection_timings(self) -> ConnectionTimings | None:
        """As `connection_timings`."""
        return self.connection_timings


class Sampling:
    """What has to be waited for, beside that."""

    _connection: Connection

    async def fetch_stats(self) -> ConnectionStats:
        """The connection's figures as they are now.

        Raises:
            ReactorError: `NOT_READY`, `TRANSPORT_ERROR`.
        """
        connection = self._connection
        connection.ready_link("fetch_stats")
        current = connection.transports.current
        assert current is not None  # while ready
        return await current.sampler.fetch()


def replays_of(connection: Connection) -> Mapping[str, Callable[[], Iterable[tuple[Any, ...]]]]:
    """What `on(..., replay=True)` calls a handler with, by event."""
    session, transports = connection.session, connection.transports

    def received() -> list[str]:
        return [] if transports.current is None else transports.current.received

    return {
        "status_changed": lambda: [(connection.status,)],
        "capabilities_received": lambda: [] if session.capabilities is None else [(session.capabilities,)],
        "schema_received": lambda: [] if session.schema is None else [(session.schema,)],
        "track_received": lambda: [(name, connection.tracks.track(name)) for name in received()],
    }
