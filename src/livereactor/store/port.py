"""The port to the coordinator's records: a store runs transactions, and a transaction has four kinds of records.

Every adapter promises: `transact` runs `work` in one transaction that others see whole or not at all, and returns only
when its writes survive the death of this process (and, on disk, of the machine). Two transactions that read the same
record with `lock` do not overlap. A store that does not answer raises `StoreUnavailableError`, and nothing of the
transaction is kept. `put_…` inserts or replaces the whole record by its id. With `lock`, a record stays as it is until
the transaction ends. Times are integer microseconds of Unix time, from the coordinator's clock, never from a worker's.
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
    """The transaction must start again: another took what it needs, or it would have to lock out of order.

    A work may raise it; `transact` runs the work again, a few times. Works that run one after the other never need it.
    """


class AccountRecords(Protocol):
    """Accounts, API keys and models, read by every request and seldom changed.

    Accounts and models are listed by id or name, keys oldest first. A second key of one hash raises `ConflictError`.
    """

    def account(self, account: str, *, lock: bool = False) -> Account | None: ...
    def accounts(self) -> Sequence[Account]: ...
    def put_account(self, account: Account) -> None: ...
    def key_by_hash(self, sha256: str) -> ApiKey | None: ...
    def key(self, key: str, *, lock: bool = False) -> ApiKey | None: ...
    def keys(self) -> Sequence[ApiKey]: ...
    def put_key(self, key: ApiKey) -> None: ...

    def model(self, name: str, *, lock: bool = False, shared: bool = False) -> ModelRecord | None:
        """Return a model; `shared` locks it together with other transactions that hold it shared."""
        ...

    def models(self) -> Sequence[ModelRecord]: ...
    def put_model(self, model: ModelRecord) -> None: ...


class SessionRecords(Protocol):
    """Sessions, and the queue of each model. A second session of one id raises `ConflictError`."""

    def session(self, session: str, *, lock: bool = False) -> SessionRecord | None: ...
    def add_session(self, session: SessionRecord) -> SessionRecord:
        """Insert a session, and return it with its `seq`."""
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
        """List sessions, newest first; `before_seq` for the next page."""
        ...

    def count_open(self, account: str, *, up_to: int) -> int:
        """Count the open sessions of an account, no further than `up_to`."""
        ...

    def created_since(self, account: str, since_us: int, *, up_to: int) -> Sequence[int]:
        """List `created_us` of the account's sessions created after `since_us`, newest first."""
        ...

    def count_token(self, token: str) -> int:
        """Count the sessions ever created with a token, closed ones included."""
        ...

    def head(self, model: str) -> SessionRecord | None:
        """Return and lock the next ticket: highest prio, lowest turn, lowest seq. Skips tickets that others hold."""
        ...

    def tail(self, model: str) -> SessionRecord | None:
        """Return the ticket that is served last, not locked."""
        ...

    def last_turn(self, model: str, account: str) -> float | None:
        """Return the highest turn among an account's queued tickets."""
        ...

    def ahead(self, session: SessionRecord) -> int:
        """Count the tickets of the same model that are served before this one."""
        ...

    def queue(self, model: str, *, limit: int = 100) -> Sequence[SessionRecord]:
        """List the tickets of a model in the order in which they are served, not locked."""
        ...

    def queue_length(self, model: str, *, up_to: int | None = None) -> int:
        """Count the tickets of a model, no further than `up_to`."""
        ...

    def queued_models(self) -> Sequence[str]:
        """List the models that have tickets."""
        ...

    def unpolled(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """List queued sessions whose client last polled before `before_us`, the longest silent first."""
        ...

    def polled_after(self, after_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """List queued sessions whose client last polled after `after_us`: in the future, by a clock set back since."""
        ...

    def overdue(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """List running sessions with `expires_us` before `before_us`, the longest overdue first."""
        ...

    def recent_waits(self, model: str, *, limit: int = 20) -> Sequence[SessionRecord]:
        """List the last sessions of a model that ended after running, newest first: the basis of estimates."""
        ...


class WorkerRecords(Protocol):
    """Workers, oldest first, and their slots, by number.

    A second slot that is HELD by one session raises `ConflictError`.
    """

    def worker(self, worker: str, *, lock: bool = False) -> WorkerRecord | None: ...
    def workers(
        self, *, model: str | None = None, states: Collection[WorkerState] | None = None
    ) -> Sequence[WorkerRecord]: ...
    def put_worker(self, worker: WorkerRecord) -> None: ...
    def slot(self, worker: str, n: int, *, lock: bool = False) -> SlotRecord | None: ...
    def slots(self, worker: str, *, lock: bool = False) -> Sequence[SlotRecord]: ...
    def put_slot(self, slot: SlotRecord) -> None: ...
    def free_slot(self, model: str) -> SlotRecord | None:
        """Return and lock a free slot of the least recently used READY worker of the model."""
        ...

    def expired_workers(self, before_us: int) -> Sequence[WorkerRecord]:
        """List STARTING, READY and DRAINING workers whose lease ended before `before_us`, the longest ago first."""
        ...


class LedgerRecords(Protocol):
    """Uploads, events, kept texts, remembered answers and leadership; and the pruning of old records."""

    def upload(self, upload: str) -> UploadRecord | None: ...
    def uploads(self, session: str) -> Sequence[UploadRecord]: ...
    def put_upload(self, upload: UploadRecord) -> None: ...
    def delete_upload(self, upload: str) -> None: ...
    def delete_uploads(self, session: str) -> None: ...
    def ended_with_uploads(self, *, limit: int = 100) -> Sequence[str]:
        """List sessions that are closed, or pruned, and still have uploads, by id."""
        ...

    def unwritten_uploads(self, after_us: int, before_us: int, *, limit: int = 100) -> Sequence[UploadRecord]:
        """List uploads that have not landed and whose address expired between the two, the longest ago first."""
        ...

    def add_event(self, event: EventRecord) -> None: ...
    def events(
        self, *, after_seq: int = 0, kinds: Collection[str] | None = None, limit: int = 500
    ) -> Sequence[EventRecord]:
        """List events, oldest first."""
        ...

    def last_event(self) -> int:
        """Return the `seq` of the newest event, 0 = no event yet; cheap enough to be asked every second."""
        ...

    def cursor(self, name: str) -> int:
        """Return the `seq` up to which a reader has read the events; 0 at first."""
        ...

    def put_cursor(self, name: str, seq: int) -> None: ...
    def keep(self, name: str, text: str) -> str:
        """Return the text that is kept under a name for good; this one, kept from now on, where there is none."""
        ...

    def remembered(self, account: str, key: str) -> Remembered | None: ...
    def remember(self, answer: Remembered) -> None: ...
    def lead(self, name: str, holder: str, *, now_us: int, until_us: int) -> bool:
        """Become or stay the one holder of a role until `until_us`; False while another holds it.

        A term that ends more than its own length after `until_us` came from a clock that was wrong, and does not count.
        """
        ...

    def prune(self, *, before_us: int, events_before_us: int, limit: int = 500) -> int:
        """Delete old closed sessions, LOST and GONE workers, remembered answers, and events; return how many."""
        ...


class Tx(AccountRecords, SessionRecords, WorkerRecords, LedgerRecords, Protocol):
    """One transaction over all records: reads see what it wrote."""


class Store(Protocol):
    """A database of records."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction, in a thread of the store's; an error that it raises undoes everything.

        `work` may be run again from the start (a lost race with another coordinator, `LostRaceError`), so it must
        change nothing but the transaction.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` that only reads: it may run alongside others and takes no locks."""
        ...

    async def aclose(self) -> None: ...


class Notices(Protocol):
    """Hints between the coordinators on one database about what has changed there.

    A notice is a short text, and may be lost: then listeners learn that some may be missing.
    """

    def notify(self, notices: Collection[str]) -> None:
        """Send notices to all other listeners, without waiting; equal notices that wait together are sent once."""
        ...

    async def listen(self, receive: Callable[[Sequence[str] | None], None]) -> None:
        """Pass on the notices of others until cancelled; None = some may be missing, as at the beginning."""
        ...
