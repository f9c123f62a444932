"""The phases of a client's connection: the status each shows, the events each takes, and where they may lead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, get_args

from livereactor.base.machine import IGNORED, Table
from livereactor.client.lifecycle import messages as w
from livereactor.client.types import Status


class ConnectionState(Enum):
    """The state of a client's connection."""

    IDLE = "idle"  # no Session
    CREATING = "creating"  # a Session is being made, or fetched to join it
    RENEWING = "renewing"  # the session ended before it could be used; another is being made
    PREPARING = "preparing"  # the Session is in the queue, or its Worker is not ready
    LINKING = "linking"  # the transport is coming up
    READY = "ready"  # the transport is up
    KEPT = "kept"  # the transport is gone; the session is kept for a reconnect
    RESUMING = "resuming"  # a new transport to the same session is coming up
    CHECKING = "checking"  # the transport failed; the client checks whether the session still exists
    BETWEEN = "between"  # the client waits before its next attempt


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
_CALLS: Final = (w.Connect, w.Reconnect, w.Disconnect)
_LATE: Final[Mapping[type[w.MachineEvent], tuple[()]]] = {
    kind: IGNORED for kind in get_args(w.MachineEvent) if kind not in _CALLS
}
LEGAL: Final[Table[ConnectionState, w.MachineEvent]] = Table(
    "Connection",
    {
        _P.IDLE: {**_LATE, w.Connect: _P.CREATING, w.Disconnect: _P.IDLE},
        _P.CREATING: {
            **_LATE,
            w.SessionObtained: (_P.PREPARING, _P.LINKING),
            w.WorkFailed: _P.IDLE,
            w.SessionOver: _P.IDLE,
            w.DeadlineReached: (_P.CREATING, _P.IDLE),
            w.Disconnect: _P.IDLE,
        },
        _P.RENEWING: {
            **_LATE,
            w.SessionObtained: (_P.PREPARING, _P.LINKING),
            w.WorkFailed: _P.IDLE,
            w.DeadlineReached: (_P.RENEWING, _P.IDLE),
            w.Disconnect: _P.IDLE,
        },
        _P.PREPARING: {
            **_LATE,
            w.SessionSeen: (_P.PREPARING, _P.LINKING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            w.LookupFailed: (_P.PREPARING, _P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            w.SessionOver: (_P.RENEWING, _P.IDLE),
            w.DeadlineReached: (_P.PREPARING, _P.IDLE),
            w.Reconnect: _P.PREPARING,
            w.Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.LINKING: {
            **_LATE,
            w.TransportUp: _P.READY,
            w.WorkFailed: (_P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            w.SessionOver: (_P.RENEWING, _P.IDLE),
            w.DeadlineReached: (_P.LINKING, _P.IDLE),
            w.Reconnect: _P.LINKING,
            w.Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.READY: {
            **_LATE,
            w.TransportLost: (_P.READY, _P.KEPT, _P.BETWEEN),
            w.SessionOver: _P.IDLE,
            w.SessionSeen: (_P.READY, _P.KEPT, _P.BETWEEN),
            w.LookupFailed: (_P.READY, _P.IDLE),
            w.TransportUp: _P.READY,
            w.WorkFailed: (_P.READY, _P.KEPT, _P.BETWEEN),
            w.DeadlineReached: (_P.READY, _P.KEPT, _P.BETWEEN),
            w.Reconnect: _P.RESUMING,
            w.Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.KEPT: {**_LATE, w.Connect: _P.CREATING, w.Reconnect: _P.RESUMING, w.Disconnect: (_P.IDLE, _P.KEPT)},
        _P.RESUMING: {
            **_LATE,
            w.TransportUp: _P.READY,
            w.WorkFailed: (_P.CHECKING, _P.KEPT, _P.BETWEEN),
            w.SessionOver: _P.IDLE,
            w.DeadlineReached: _P.RESUMING,
            w.Reconnect: _P.RESUMING,
            w.Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.CHECKING: {
            **_LATE,
            w.SessionSeen: (_P.RESUMING, _P.PREPARING),
            w.LookupFailed: (_P.IDLE, _P.KEPT, _P.BETWEEN),
            w.SessionOver: _P.IDLE,
            w.DeadlineReached: _P.CHECKING,
            w.Reconnect: _P.CHECKING,
            w.Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.BETWEEN: {
            **_LATE,
            w.DeadlineReached: (_P.BETWEEN, _P.RESUMING),
            w.Reconnect: _P.RESUMING,
            w.Disconnect: (_P.IDLE, _P.KEPT),
        },
    },
)
