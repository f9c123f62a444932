"""The phases of a client's connection: the status each shows, the events each takes, and where they may lead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

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

# What each phase takes, and where it may lead; what a row lacks is illegal.
LEGAL: Final[Mapping[Phase, Mapping[type[MachineEvent], frozenset[Phase]]]] = {
    _P.IDLE: {Connect: frozenset({_P.CREATING}), Disconnect: frozenset({_P.IDLE})},
    _P.CREATING: {
        Obtained: frozenset({_P.PREPARING, _P.LINKING}),
        Failed: frozenset({_P.IDLE}),
        Over: frozenset({_P.IDLE}),
        Woke: frozenset({_P.CREATING, _P.IDLE}),
        Disconnect: frozenset({_P.IDLE}),
    },
    _P.RENEWING: {
        Obtained: frozenset({_P.PREPARING, _P.LINKING}),
        Failed: frozenset({_P.IDLE}),
        Woke: frozenset({_P.RENEWING, _P.IDLE}),
        Disconnect: frozenset({_P.IDLE}),
    },
    _P.PREPARING: {
        Seen: frozenset({_P.PREPARING, _P.LINKING, _P.IDLE, _P.KEPT, _P.BETWEEN}),
        Unseen: frozenset({_P.PREPARING, _P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN}),
        Over: frozenset({_P.RENEWING, _P.IDLE}),
        Woke: frozenset({_P.PREPARING, _P.IDLE}),
        Reconnect: frozenset({_P.PREPARING}),
        Disconnect: frozenset({_P.IDLE, _P.KEPT}),
    },
    _P.LINKING: {
        Linked: frozenset({_P.READY}),
        Failed: frozenset({_P.RENEWING, _P.IDLE, _P.KEPT, _P.BETWEEN}),
        Over: frozenset({_P.RENEWING, _P.IDLE}),
        Woke: frozenset({_P.LINKING, _P.IDLE}),
        Reconnect: frozenset({_P.LINKING}),
        Disconnect: frozenset({_P.IDLE, _P.KEPT}),
    },
    _P.READY: {
        Lost: frozenset({_P.READY, _P.KEPT, _P.BETWEEN}),
        Over: frozenset({_P.IDLE}),
        Seen: frozenset({_P.READY, _P.KEPT, _P.BETWEEN}),
        Unseen: frozenset({_P.READY, _P.IDLE}),
        Linked: frozenset({_P.READY}),
        Failed: frozenset({_P.READY, _P.KEPT, _P.BETWEEN}),
        Woke: frozenset({_P.READY, _P.KEPT, _P.BETWEEN}),
        Reconnect: frozenset({_P.RESUMING}),
        Disconnect: frozenset({_P.IDLE, _P.KEPT}),
    },
    _P.KEPT: {
        Connect: frozenset({_P.CREATING}),
        Reconnect: frozenset({_P.RESUMING}),
        Disconnect: frozenset({_P.IDLE, _P.KEPT}),
    },
    _P.RESUMING: {
        Linked: frozenset({_P.READY}),
        Failed: frozenset({_P.CHECKING, _P.KEPT, _P.BETWEEN}),
        Over: frozenset({_P.IDLE}),
        Woke: frozenset({_P.RESUMING}),
        Reconnect: frozenset({_P.RESUMING}),
        Disconnect: frozenset({_P.IDLE, _P.KEPT}),
    },
    _P.CHECKING: {
        Seen: frozenset({_P.RESUMING, _P.PREPARING}),
        Unseen: frozenset({_P.IDLE, _P.KEPT, _P.BETWEEN}),
        Over: frozenset({_P.IDLE}),
        Woke: frozenset({_P.CHECKING}),
        Reconnect: frozenset({_P.CHECKING}),
        Disconnect: frozenset({_P.IDLE, _P.KEPT}),
    },
    _P.BETWEEN: {
        Woke: frozenset({_P.BETWEEN, _P.RESUMING}),
        Reconnect: frozenset({_P.RESUMING}),
        Disconnect: frozenset({_P.IDLE, _P.KEPT}),
    },
}
