"""The phases of a client's connection: the status each shows, the events each takes, and where they may lead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from livereactor.base.machine import IGNORED, Table
from livereactor.client.lifecycle.messages import (
    Connect,
    DeadlineReached,
    Disconnect,
    LookupFailed,
    MachineEvent,
    Reconnect,
    SessionObtained,
    SessionOver,
    SessionSeen,
    TransportLost,
    TransportUp,
    WorkFailed,
)
from livereactor.client.types import Status


class ConnectionState(Enum):
    """The state of a client's connection."""

    IDLE = "idle"  # no Session
    CREATING = "creating"  # a Session is being made, or looked up to join it
    RENEWING = "renewing"  # the Session died before it could be used, another is being made
    PREPARING = "preparing"  # the Session is in the queue, or its Worker is not ready
    LINKING = "linking"  # the transport is coming up
    READY = "ready"  # the transport is up
    KEPT = "kept"  # the transport is gone, the Session is not
    RESUMING = "resuming"  # another transport is coming up for it
    CHECKING = "checking"  # the transport failed: does the Session still exist?
    BETWEEN = "between"  # the next attempt has to wait


_P = ConnectionState
STATUS: Final[Mapping[ConnectionState, Status]] = {
    _P.IDLE: Status.DISCONNECTED,
    _P.CREATING: Status.CONNECTING,
    _P.RENEWING: Status.WAITING,
    _P.PREPARING: Status.WAITING,
    _P.LINKING: Status.WAITING,
    _P.READY: Status.READY,
    _P.KEPT: Status.DISCONNECTED,
    _P.RESUMING: Status.CONNECTING,
    _P.CHECKING: Status.CONNECTING,
    _P.BETWEEN: Status.CONNECTING,
}

# Transports and requests answer late: an answer may arrive after the state that asked for it.
_LATE: Final[Mapping[type[MachineEvent], tuple[()]]] = dict.fromkeys(
    (SessionObtained, SessionSeen, LookupFailed, WorkFailed, TransportUp, TransportLost, SessionOver, DeadlineReached),
    IGNORED,
)
LEGAL: Final[Table[ConnectionState, MachineEvent]] = Table(
    "Connection",
    {
        _P.IDLE: {**_LATE, Connect: _P.CREATING, Disconnect: _P.IDLE},
        _P.CREATING: {
            **_LATE,
            SessionObtained: (_P.PREPARING, _P.LINKING),
            WorkFailed: _P.IDLE,
            SessionOver: _P.IDLE,
            DeadlineReached: (_P.CREATING, _P.IDLE),
            Disconnect: _P.IDLE,
        },
        _P.RENEWING: {
            **_LATE,
            SessionObtained: (_P.PREPARING, _P.LINKING),
            WorkFailed: _P.IDLE,
            DeadlineReached: (_P.RENEWING, _P.IDLE),
            Disconnect: _P.IDLE,
        },
        _P.PREPARING: {
            **_LATE,
            SessionSeen: (_P.PREPARING, _P.LINKING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            LookupFailed: (_P.PREPARING, _P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            SessionOver: (_P.RENEWING, _P.IDLE),
            DeadlineReached: (_P.PREPARING, _P.IDLE),
            Reconnect: _P.PREPARING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.LINKING: {
            **_LATE,
            TransportUp: _P.READY,
            WorkFailed: (_P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            SessionOver: (_P.RENEWING, _P.IDLE),
            DeadlineReached: (_P.LINKING, _P.IDLE),
            Reconnect: _P.LINKING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.READY: {
            **_LATE,
            TransportLost: (_P.READY, _P.KEPT, _P.BETWEEN),
            SessionOver: _P.IDLE,
            SessionSeen: (_P.READY, _P.KEPT, _P.BETWEEN),
            LookupFailed: (_P.READY, _P.IDLE),
            TransportUp: _P.READY,
            WorkFailed: (_P.READY, _P.KEPT, _P.BETWEEN),
            DeadlineReached: (_P.READY, _P.KEPT, _P.BETWEEN),
            Reconnect: _P.RESUMING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.KEPT: {
            **_LATE,
            Connect: _P.CREATING,
            Reconnect: _P.RESUMING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.RESUMING: {
            **_LATE,
            TransportUp: _P.READY,
            WorkFailed: (_P.CHECKING, _P.KEPT, _P.BETWEEN),
            SessionOver: _P.IDLE,
            DeadlineReached: _P.RESUMING,
            Reconnect: _P.RESUMING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.CHECKING: {
            **_LATE,
            SessionSeen: (_P.RESUMING, _P.PREPARING),
            LookupFailed: (_P.IDLE, _P.KEPT, _P.BETWEEN),
            SessionOver: _P.IDLE,
            DeadlineReached: _P.CHECKING,
            Reconnect: _P.CHECKING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.BETWEEN: {
            **_LATE,
            DeadlineReached: (_P.BETWEEN, _P.RESUMING),
            Reconnect: _P.RESUMING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
    },
)
