"""The phases of a client's connection: the status each shows, the events each takes, and where they may lead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from livereactor.base.machine import IGNORED, Table
from livereactor.client.lifecycle.messages import (
    Connect,
    Disconnect,
    Failed,
    Linked,
    Lost,
    MachineEvent,
    Obtained,
    Over,
    Reconnect,
    Seen,
    Unseen,
    Woke,
)
from livereactor.client.types import Status


class Phase(Enum):
    """Where the connection is."""

    IDLE = "idle"  # there is no Session
    CREATING = "creating"  # a Session is being made, or looked up to join it
    RENEWING = "renewing"  # it died before it could be used, another is being made
    PREPARING = "preparing"  # the Session is in the queue, or its Worker is not ready
    LINKING = "linking"  # the transport is coming up
    READY = "ready"  # it is up
    KEPT = "kept"  # the transport is gone, the Session is not
    RESUMING = "resuming"  # another transport is coming up for it
    CHECKING = "checking"  # that failed: is the Session still there?
    BETWEEN = "between"  # the next attempt has to wait


_P = Phase
STATUS: Final[Mapping[Phase, Status]] = {
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

# A transport or a request answers when it can: what it says may come after the phase that it was for.
_LATE: Final[Mapping[type[MachineEvent], tuple[()]]] = dict.fromkeys(
    (Obtained, Seen, Unseen, Failed, Linked, Lost, Over, Woke), IGNORED
)
LEGAL: Final[Table[Phase, MachineEvent]] = Table(
    "Connection",
    {
        _P.IDLE: {**_LATE, Connect: _P.CREATING, Disconnect: _P.IDLE},
        _P.CREATING: {
            **_LATE,
            Obtained: (_P.PREPARING, _P.LINKING),
            Failed: _P.IDLE,
            Over: _P.IDLE,
            Woke: (_P.CREATING, _P.IDLE),
            Disconnect: _P.IDLE,
        },
        _P.RENEWING: {
            **_LATE,
            Obtained: (_P.PREPARING, _P.LINKING),
            Failed: _P.IDLE,
            Woke: (_P.RENEWING, _P.IDLE),
            Disconnect: _P.IDLE,
        },
        _P.PREPARING: {
            **_LATE,
            Seen: (_P.PREPARING, _P.LINKING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            Unseen: (_P.PREPARING, _P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            Over: (_P.RENEWING, _P.IDLE),
            Woke: (_P.PREPARING, _P.IDLE),
            Reconnect: _P.PREPARING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.LINKING: {
            **_LATE,
            Linked: _P.READY,
            Failed: (_P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN),
            Over: (_P.RENEWING, _P.IDLE),
            Woke: (_P.LINKING, _P.IDLE),
            Reconnect: _P.LINKING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.READY: {
            **_LATE,
            Lost: (_P.READY, _P.KEPT, _P.BETWEEN),
            Over: _P.IDLE,
            Seen: (_P.READY, _P.KEPT, _P.BETWEEN),
            Unseen: (_P.READY, _P.IDLE),
            Linked: _P.READY,
            Failed: (_P.READY, _P.KEPT, _P.BETWEEN),
            Woke: (_P.READY, _P.KEPT, _P.BETWEEN),
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
            Linked: _P.READY,
            Failed: (_P.CHECKING, _P.KEPT, _P.BETWEEN),
            Over: _P.IDLE,
            Woke: _P.RESUMING,
            Reconnect: _P.RESUMING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.CHECKING: {
            **_LATE,
            Seen: (_P.RESUMING, _P.PREPARING),
            Unseen: (_P.IDLE, _P.KEPT, _P.BETWEEN),
            Over: _P.IDLE,
            Woke: _P.CHECKING,
            Reconnect: _P.CHECKING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
        _P.BETWEEN: {
            **_LATE,
            Woke: (_P.BETWEEN, _P.RESUMING),
            Reconnect: _P.RESUMING,
            Disconnect: (_P.IDLE, _P.KEPT),
        },
    },
)
