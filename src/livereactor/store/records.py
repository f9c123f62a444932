"""Records that the coordinator keeps, and the states that they are in. Pure.

Times are integer microseconds of Unix time, from the coordinator's clock, never from a Worker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final


class SessionState(Enum):
    """States of a session; `coordinator/machines/session.py` has the table of transitions."""

    QUEUED = "queued"  # a Ticket: no Slot yet
    ASSIGNED = "assigned"  # a Slot is promised; its Worker has not accepted
    WAITING = "waiting"  # accepted; no client has connected yet
    ACTIVE = "active"  # at least one Connection is live
    ORPHANED = "orphaned"  # no connection is left; a client may come back
    CLOSED = "closed"  # final


OPEN: Final = frozenset(SessionState) - {SessionState.CLOSED}
RUNNING: Final = OPEN - {SessionState.QUEUED}


class WorkerState(Enum):
    """States of a worker; `coordinator/machines/worker.py` has the table of transitions."""

    STARTING = "starting"  # registered; its model loads
    READY = "ready"  # its Slots can be given away
    DRAINING = "draining"  # it finishes its sessions and gets no new ones
    LOST = "lost"  # its lease ran out or its process died; nothing of it is used until it registers anew, empty
    GONE = "gone"  # final: it said goodbye


class SlotState(Enum):
    """States of a worker's slot."""

    FREE = "free"  # empty, as its worker reported
    HELD = "held"  # promised to the Session `session` under the fence `fence`
    CLOSING = "closing"  # its session is over; its worker has not reported it empty


@dataclass(frozen=True, slots=True)
class Account:
    """Whom Sessions, keys and quotas belong to. None = the coordinator's own setting.

    Attributes:
        weight: share of a model's Slots while others wait too; None = first come, first served.
        max_sessions: open Sessions at once.
        sessions_per_minute: new Sessions a minute.
    """

    id: str
    name: str
    created_us: int
    weight: float | None = None
    max_sessions: int | None = None
    sessions_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A long-lived secret, of which only the hash is kept.

    Attributes:
        prefix: the first characters, to tell keys apart in lists.
        sha256: hex digest of the whole key; full entropy needs no slow hash.
        scopes: the most that tokens minted with it may carry.
    """

    id: str
    account: str
    name: str
    prefix: str
    sha256: str
    scopes: tuple[str, ...]
    created_us: int
    used_us: int | None = None
    revoked_us: int | None = None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that can be asked for.

    Attributes:
        spec: what its Workers said of it: `capabilities`, `schema`, `description`, `max_sessions`, `requeue`.
        min_ready: Workers kept ready though nobody asks.
        buffer: Workers kept ready beyond those in use.
        max_workers: Workers at once; 0 = only those that register by themselves.
        served_turn: the turn of the last Ticket served, from which new Tickets count (fair shares).
    """

    name: str
    version: str
    spec: Mapping[str, Any]
    min_ready: int = 0
    buffer: int = 0
    max_workers: int = 0
    served_turn: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One Session.

    Attributes:
        seq: order of arrival, given by the store.
        prio: higher is served first; raised once when its Worker was lost.
        turn: virtual time at which it is its account's turn; those without a weight have it as they come.
        token: `jti` of the token that made it, which counts it; "" = made with a key itself.
        reach: which tokens of the account may act on it in addition to unscoped ones; "" = only those.
        worker, slot, fence: what it is promised; all None, or none.
        expires_us: when its longest duration ends it; None until a Worker has accepted, or unlimited.
        polled_us: when its client was last heard of, while it is queued.
        estimate_us: the wait, microseconds, that its client was told of first: estimates are measured by it.
        first_frame: a client has seen it run, so losing its Worker ends it unless the model says `requeue`.
        start: body of `start_session` without ids: extra_args, extra_configs, generation, starting_input, steps,
            max_duration.
        client: `sdk_type/sdk_version`, for operators.
    """

    id: str
    account: str
    model: str
    state: SessionState
    created_us: int
    polled_us: int
    seq: int = 0
    prio: int = 0
    turn: float = 0.0
    token: str = ""
    reach: str = ""
    worker: str | None = None
    slot: int | None = None
    fence: int | None = None
    waited: bool = False
    estimate_us: int | None = None
    requeues: int = 0
    first_frame: bool = False
    assigned_us: int | None = None
    accepted_us: int | None = None
    connected_us: int | None = None
    expires_us: int | None = None
    ended_us: int | None = None
    end_reason: str | None = None
    client: str = ""
    start: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """One Worker: a process with one loaded model.

    Attributes:
        incarnation: made anew each time the process registers empty; an older one is refused.
        node: host it runs on.
        pooled: started by this coordinator's pool, which tells of its death.
        home: URL of the coordinator that holds its socket, for the others; "" = there is one coordinator.
        lease_until_us: it is LOST when this passes; every beat moves it on.
        info: `pid`, `progress` (0..1 while loading), `text`, `failure`, `load`, `past` (the incarnations before).
    """

    id: str
    model: str
    incarnation: str
    node: str
    state: WorkerState
    slots: int
    started_us: int
    lease_until_us: int
    pooled: bool = False
    ready_us: int | None = None
    used_us: int = 0
    home: str = ""
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """One place for a Session on a Worker. `fence` grows with every claim and never shrinks.

    `session`, while CLOSING: what was accepted there and is not known to be gone; None = nothing was accepted.
    """

    worker: str
    n: int
    state: SlotState = SlotState.FREE
    session: str | None = None
    fence: int = 0


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """A file that a client announced; its bytes lie in the blob store under `key`."""

    id: str
    session: str
    account: str
    name: str
    mime_type: str
    size_bytes: int
    key: str
    expires_us: int
    landed: bool = False
    link: str = ""  # id of the share link that its client came by; "" = none


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event, for the audit, the usage export and webhooks. The store assigns `seq`."""

    kind: str  # session.created, session.assigned, session.connected, session.ended, worker.ready, worker.lost, ...
    at_us: int
    session: str | None = None
    account: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answer to a request with an `Idempotency-Key`, given again for 24 h."""

    account: str
    key: str
    request_sha256: str
    status: int
    body: Mapping[str, Any]
    created_us: int
