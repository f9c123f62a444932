"""The seam to wherever the coordinator's facts are kept: one transaction of records, and the store of them.

What every adapter promises: `transact` runs `work` in one transaction that is seen whole or not at all, and returns
only when what it wrote survives the death of this process (and, on disk, of the machine). Two transactions that look at
the same record with `lock` do not overlap. A store that is away is `StoreUnavailableError`, and nothing of the
transaction is kept. Times are integer microseconds of Unix time, from the coordinator's clock, never from a Worker's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

from livereactor.base.errors import UnavailableError
from livereactor.store.records import (
    Account,
    ApiKey,
    EventRecord,
    ModelRecord,
    Remembered,
    SessionRecord,
    SessionState,
    SlotRecord,
    UploadRecord,
    WorkerRecord,
    WorkerState,
)

T = TypeVar("T")


class StoreUnavailableError(UnavailableError):
    """The database does not answer, or refuses to write."""

    code = "store_unavailable"


class LostRaceError(Exception):
    """What a work needs is another's by now, or it would have to lock out of order: it has to begin anew.

    A work may raise it; `transact` runs it again, a few times. Where works run one after the other, none has a reason.
    """


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

    def queue_length(self, model: str, *, up_to: int | None = None) -> int:
        """How many Tickets wait for a model, counted no further than `up_to`."""
        ...

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
    def ended_with_uploads(self, *, limit: int = 100) -> Sequence[str]:
        """Sessions that are closed, or thrown away, and still have Uploads; in the order of their ids."""
        ...

    def unwritten_uploads(self, after_us: int, before_us: int, *, limit: int = 100) -> Sequence[UploadRecord]:
        """Uploads that have not landed and whose URL expired between the two, the longest ago first."""
        ...

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

    def prune(self, *, before_us: int, events_before_us: int, limit: int = 500) -> int:
        """Delete older closed Sessions, LOST and GONE Workers, remembered answers, and events; returns how many."""
        ...


class Store(Protocol):
    """Keeps the records."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction, in a thread of the store's; what it raises undoes everything and is raised.

        `work` may be run again from the start (a lost race with another coordinator, `LostRaceError`), so it must
        change nothing but the transaction.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """As `transact`, for `work` that only looks: it may run beside others and takes no locks."""
        ...

    async def aclose(self) -> None: ...


class Notices(Protocol):
    """What the coordinators on one database tell each other: hints of what has changed there, which may be lost.

    A notice is a short text. What was told while nobody could be reached is lost, and listeners hear that some may be.
    """

    def tell(self, notices: Collection[str]) -> None:
        """Tell all others who listen, without waiting; the same ones that wait to be told are told once."""
        ...

    async def listen(self, hear: Callable[[Sequence[str] | None], None]) -> None:
        """Until cancelled, what others tell; None = some may have been missed, as at the beginning. One at a time."""
        ...
