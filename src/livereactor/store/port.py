"""The seam to wherever the coordinator's facts are kept: records, one transaction, and the store of them.

What every adapter promises: `transact` runs `work` in one transaction that is seen whole or not at all, and returns
only when what it wrote survives the death of this process (and, on disk, of the machine). Two transactions that look at
the same record with `lock` do not overlap. A store that is away is `StoreUnavailableError`, and nothing of the
transaction is kept. Times are integer microseconds of Unix time, from the coordinator's clock, never from a Worker's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol, TypeVar

from livereactor.base.errors import UnavailableError

T = TypeVar("T")


class StoreUnavailableError(UnavailableError):
    """The database does not answer, or refuses to write."""

    code = "store_unavailable"


class SessionState(Enum):
    """How far a Session has come; `coordinator/session.py` has the table of transitions."""

    QUEUED = "queued"  # a Ticket: no Slot yet
    ASSIGNED = "assigned"  # a Slot is promised; its Worker has not accepted
    WAITING = "waiting"  # accepted; no client has connected yet
    ACTIVE = "active"  # at least one Connection is live
    ORPHANED = "orphaned"  # had one, has none
    CLOSED = "closed"  # final


OPEN: Final = frozenset(SessionState) - {SessionState.CLOSED}
RUNNING: Final = OPEN - {SessionState.QUEUED}


class WorkerState(Enum):
    """How far a Worker has come; `coordinator/worker.py` has the table of transitions."""

    STARTING = "starting"  # registered, its model loads
    READY = "ready"  # its Slots can be given away
    DRAINING = "draining"  # finishes what it has, gets nothing new
    LOST = "lost"  # its lease ran out or its process died; nothing of it is used until it registers anew, empty
    GONE = "gone"  # final: it said goodbye


class SlotState(Enum):
    """What a Worker's Slot holds."""

    FREE = "free"  # empty, and its Worker said so
    HELD = "held"  # promised to the Session `session` under the fence `fence`
    CLOSING = "closing"  # its Session is over; its Worker has not said that it is empty


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
        reach: which tokens of the account may act on it beside unscoped ones; "" = only those.
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


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something happened: the audit, the usage export and what webhooks are made of. `seq` is given by the store."""

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


class Tx(Protocol):
    """One transaction: reads see what it wrote. `put_…` inserts or replaces the whole record by its id.

    Accounts, models and uploads are listed by name or id, keys and Workers oldest first, Slots by number. With `lock`,
    the record stays as it is until the transaction ends. A second Session of one id, a second key of one hash and a
    second Slot HELD by one Session are refused with `ConflictError`.
    """

    # --- accounts and keys
    def account(self, account: str, *, lock: bool = False) -> Account | None: ...
    def accounts(self) -> Sequence[Account]: ...
    def put_account(self, account: Account) -> None: ...
    def key_by_hash(self, sha256: str) -> ApiKey | None: ...
    def key(self, key: str, *, lock: bool = False) -> ApiKey | None: ...
    def keys(self) -> Sequence[ApiKey]: ...
    def put_key(self, key: ApiKey) -> None: ...

    # --- models
    def model(self, name: str, *, lock: bool = False, shared: bool = False) -> ModelRecord | None:
        """`shared`: as `lock`, together with others who hold it shared."""
        ...

    def models(self) -> Sequence[ModelRecord]: ...
    def put_model(self, model: ModelRecord) -> None: ...

    # --- sessions and the queue
    def session(self, session: str, *, lock: bool = False) -> SessionRecord | None: ...
    def add_session(self, session: SessionRecord) -> SessionRecord:
        """Insert, and return it with its `seq`."""
        ...

    def put_session(self, session: SessionRecord) -> None: ...
    def sessions(
        self,
        *,
        account: str | None = None,
        model: str | None = None,
        reach: str | None = None,
        states: Collection[SessionState] | None = None,
        before_seq: int | None = None,
        limit: int = 100,
    ) -> Sequence[SessionRecord]:
        """Newest first; `before_seq` for the next page."""
        ...

    def count_open(self, account: str, *, up_to: int) -> int:
        """Open Sessions of an account, counted no further than `up_to`."""
        ...

    def created_since(self, account: str, since_us: int, *, up_to: int) -> Sequence[int]:
        """`created_us` of its Sessions made after `since_us`, newest first."""
        ...

    def count_token(self, token: str) -> int:
        """Sessions ever made with a token, closed ones included."""
        ...

    def head(self, model: str) -> SessionRecord | None:
        """The Ticket whose turn it is, locked: highest prio, lowest turn, lowest seq. Passes over what others hold."""
        ...

    def tail(self, model: str) -> SessionRecord | None:
        """The Ticket that is served last, not locked."""
        ...

    def last_turn(self, model: str, account: str) -> float | None:
        """The highest turn among an account's queued Tickets."""
        ...

    def ahead(self, session: SessionRecord) -> int:
        """How many Tickets of the same model are served before this one."""
        ...

    def queue(self, model: str, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Tickets of a model in the order in which they are served, not locked."""
        ...

    def queue_length(self, model: str) -> int: ...
    def queued_models(self) -> Sequence[str]:
        """Models somebody waits for."""
        ...

    def unpolled(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Queued Sessions whose client was last heard of before that, the longest silent first."""
        ...

    def polled_after(self, after_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Queued Sessions whose client was last heard of after that: in the future, by a clock set back since."""
        ...

    def overdue(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Running Sessions with `expires_us` before that, the longest overdue first."""
        ...

    def recent_waits(self, model: str, *, limit: int = 20) -> Sequence[SessionRecord]:
        """The last Sessions of a model that ended after running, newest first: what estimates are made of."""
        ...

    # --- workers and slots
    def worker(self, worker: str, *, lock: bool = False) -> WorkerRecord | None: ...
    def workers(
        self, *, model: str | None = None, states: Collection[WorkerState] | None = None
    ) -> Sequence[WorkerRecord]: ...
    def put_worker(self, worker: WorkerRecord) -> None: ...
    def slot(self, worker: str, n: int, *, lock: bool = False) -> SlotRecord | None: ...
    def slots(self, worker: str, *, lock: bool = False) -> Sequence[SlotRecord]: ...
    def put_slot(self, slot: SlotRecord) -> None: ...
    def free_slot(self, model: str) -> SlotRecord | None:
        """A free Slot of a READY Worker of the model, the least recently used Worker's, locked."""
        ...

    def expired_workers(self, before_us: int) -> Sequence[WorkerRecord]:
        """STARTING, READY or DRAINING Workers whose lease ended before that, the longest ago first."""
        ...

    # --- uploads, events, idempotency, leadership
    def upload(self, upload: str) -> UploadRecord | None: ...
    def uploads(self, session: str) -> Sequence[UploadRecord]: ...
    def put_upload(self, upload: UploadRecord) -> None: ...
    def delete_uploads(self, session: str) -> None: ...
    def add_event(self, event: EventRecord) -> None: ...
    def events(
        self, *, after_seq: int = 0, kinds: Collection[str] | None = None, limit: int = 500
    ) -> Sequence[EventRecord]:
        """Oldest first."""
        ...

    def last_event(self) -> int:
        """`seq` of the newest event, 0 = there is none; cheap enough to be asked every second."""
        ...

    def cursor(self, name: str) -> int:
        """How far a reader of the events has come; 0 at first."""
        ...

    def put_cursor(self, name: str, seq: int) -> None: ...
    def remembered(self, account: str, key: str) -> Remembered | None: ...
    def remember(self, answer: Remembered) -> None: ...
    def lead(self, name: str, holder: str, *, now_us: int, until_us: int) -> bool:
        """Become or stay the one holder of a role until then; False while somebody else is.

        A term that ends more than one of its length later than this one would was given by a clock that was wrong:
        it does not count.
        """
        ...

    def prune(self, *, before_us: int, limit: int = 500) -> int:
        """Delete older closed Sessions, LOST and GONE Workers, events and remembered answers; returns how many."""
        ...


class Store(Protocol):
    """Keeps the records."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction, in a thread of the store's; what it raises undoes everything and is raised.

        `work` may be run again from the start (a lost race with another coordinator), so it must change nothing but
        the transaction.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """As `transact`, for `work` that only looks: it may run beside others and takes no locks."""
        ...

    async def aclose(self) -> None: ...
