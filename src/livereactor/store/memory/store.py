"""The store in memory: for tests, and for programs that embed a coordinator. Nothing survives the process.

One transaction runs at a time, where it is called; when it raises, its writes are undone from a journal. The four kinds
of records stand in one file because each uses the tables of the others.
"""

from __future__ import annotations

import bisect
import heapq
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, Generic, TypeAlias, TypeVar

from livereactor.base.errors import ConflictError
from livereactor.store.port import Tx
from livereactor.store.records import (
    OPEN,
    RUNNING,
    Account,
    ApiKey,
    EventRecord,
    ModelRecord,
    Remembered,
    SessionRecord,
    SessionState,
    SlotRecord,
    SlotState,
    UploadRecord,
    WorkerRecord,
    WorkerState,
)

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
Undo: TypeAlias = list[Callable[[], None]]
_LIVE: Final = frozenset({WorkerState.STARTING, WorkerState.READY, WorkerState.DRAINING})


class MemoryStore:
    """A store in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._undo: Undo = []
        self._tx = _MemoryTx(self._undo)

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run a work at once."""
        return self.run(work)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run a work that only reads; one that writes is a bug, is undone, and raises RuntimeError."""

        def reading(tx: Tx) -> T:
            result = work(tx)
            if self._undo:
                raise RuntimeError("a function passed to read() wrote to the store; pass it to transact()")
            return result

        return self.run(reading)

    def run(self, work: Callable[[Tx], T]) -> T:
        """Run a work as `transact` does, for callers without an event loop."""
        with self._lock:
            try:
                return work(self._tx)
            except BaseException:
                while self._undo:
                    self._undo.pop()()
                raise
            finally:
                self._undo.clear()

    async def aclose(self) -> None:
        """Do nothing: a store in memory holds no resources."""


def _order(session: SessionRecord) -> tuple[int, float, int]:
    return -session.prio, session.turn, session.seq


class _Table(Generic[K, R]):
    """Records by key, with indexes; a record for which an index gives None is not in that index."""

    def __init__(self, undo: Undo, **indexes: Callable[[R], Hashable | None]) -> None:
        self.rows: dict[K, R] = {}
        self._undo = undo
        self._indexes = indexes
        self._keys: dict[tuple[str, Hashable], dict[K, None]] = {}

    def put(self, key: K, row: R | None) -> None:
        """Insert, replace, or (None) delete a record."""
        before = self.rows.get(key)
        self._undo.append(lambda: self._set(key, before))
        self._set(key, row)

    def by(self, index: str, value: Hashable) -> list[R]:
        """List the records for which the index gives this value."""
        return [self.rows[key] for key in self._keys.get((index, value), ())]

    def count(self, index: str, value: Hashable) -> int:
        """Count the records for which the index gives this value."""
        return len(self._keys.get((index, value), ()))

    def _set(self, key: K, row: R | None) -> None:
        before = self.rows.pop(key, None) if row is None else self.rows.get(key)
        if row is not None:
            self.rows[key] = row
        for name, of in self._indexes.items():
            old = None if before is None else of(before)
            new = None if row is None else of(row)
            if old == new:
                continue
            if old is not None:
                self._leave((name, old), key)
            if new is not None:
                self._keys.setdefault((name, new), {})[key] = None

    def _leave(self, bucket: tuple[str, Hashable], key: K) -> None:
        del self._keys[bucket][key]
        if not self._keys[bucket]:
            del self._keys[bucket]


class _Tables:
    """All tables of a store, and the journal of the transaction that runs."""

    def __init__(self, undo: Undo) -> None:
        self._undo = undo
        self._accounts = _Table[str, Account](undo)
        self._keys = _Table[str, ApiKey](undo, hash=lambda key: key.sha256)
        self._models = _Table[str, ModelRecord](undo)
        self._sessions = _Table[str, SessionRecord](
            undo,
            state=lambda each: each.state,
            account=lambda each: each.account,
            open=lambda each: each.account if each.state in OPEN else None,
            token=lambda each: each.token or None,
            queue=lambda each: each.model if each.state is SessionState.QUEUED else None,
            ran=lambda each: each.model if each.ended_us and each.accepted_us else None,
        )
        self._workers = _Table[str, WorkerRecord](undo, state=lambda each: each.state, model=lambda each: each.model)
        self._slots = _Table[tuple[str, int], SlotRecord](
            undo,
            worker=lambda each: each.worker,
            free=lambda each: each.worker if each.state is SlotState.FREE else None,
            held=lambda each: each.session if each.state is SlotState.HELD else None,
        )
        self._uploads = _Table[str, UploadRecord](undo, session=lambda each: each.session)
        self._remembered = _Table[tuple[str, str], Remembered](undo)
        self._cursors = _Table[str, int](undo)
        self._kept = _Table[str, str](undo)
        self._leaders = _Table[str, tuple[str, int]](undo)
        self._events: list[EventRecord] = []
        self._session_seq = self._event_seq = 0


class _Accounts(_Tables):
    def account(self, account: str, *, lock: bool = False) -> Account | None:
        return self._accounts.rows.get(account)

    def accounts(self) -> Sequence[Account]:
        return sorted(self._accounts.rows.values(), key=lambda each: each.id)

    def put_account(self, account: Account) -> None:
        self._accounts.put(account.id, account)

    def key_by_hash(self, sha256: str) -> ApiKey | None:
        return next(iter(self._keys.by("hash", sha256)), None)

    def key(self, key: str, *, lock: bool = False) -> ApiKey | None:
        return self._keys.rows.get(key)

    def keys(self) -> Sequence[ApiKey]:
        return sorted(self._keys.rows.values(), key=lambda each: (each.created_us, each.id))

    def put_key(self, key: ApiKey) -> None:
        if any(each.id != key.id for each in self._keys.by("hash", key.sha256)):
            raise ConflictError("a key with this hash already exists")
        self._keys.put(key.id, key)

    def model(self, name: str, *, lock: bool = False, shared: bool = False) -> ModelRecord | None:
        return self._models.rows.get(name)

    def models(self) -> Sequence[ModelRecord]:
        return sorted(self._models.rows.values(), key=lambda each: each.name)

    def put_model(self, model: ModelRecord) -> None:
        self._models.put(model.name, model)


class _Sessions(_Tables):
    def session(self, session: str, *, lock: bool = False) -> SessionRecord | None:
        return self._sessions.rows.get(session)

    def add_session(self, session: SessionRecord) -> SessionRecord:
        if session.id in self._sessions.rows:
            raise ConflictError(f"there is a session {session.id!r} already")
        self._session_seq += 1
        added = replace(session, seq=self._session_seq)
        self._sessions.put(added.id, added)
        return added

    def put_session(self, session: SessionRecord) -> None:
        self._sessions.put(session.id, session)

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
        found = [
            each
            for each in self._candidates(account, states)
            if (account is None or each.account == account)
            and (model is None or each.model == model)
            and (reach is None or each.reach == reach)
            and (before_seq is None or each.seq < before_seq)
        ]
        return heapq.nlargest(limit, found, key=lambda each: each.seq)

    def _candidates(self, account: str | None, states: Collection[SessionState] | None) -> Iterable[SessionRecord]:
        if states is not None:
            return [each for state in set(states) for each in self._sessions.by("state", state)]
        if account is not None:
            return self._sessions.by("account", account)
        return self._sessions.rows.values()

    def count_open(self, account: str, *, up_to: int) -> int:
        return min(up_to, self._sessions.count("open", account))

    def created_since(self, account: str, since_us: int, *, up_to: int) -> Sequence[int]:
        times = (each.created_us for each in self._sessions.by("account", account) if each.created_us > since_us)
        return heapq.nlargest(up_to, times)

    def count_token(self, token: str) -> int:
        return self._sessions.count("token", token)

    def head(self, model: str) -> SessionRecord | None:
        return min(self._sessions.by("queue", model), key=_order, default=None)

    def tail(self, model: str) -> SessionRecord | None:
        return max(self._sessions.by("queue", model), key=_order, default=None)

    def last_turn(self, model: str, account: str) -> float | None:
        queued = self._sessions.by("queue", model)
        return max((each.turn for each in queued if each.account == account), default=None)

    def ahead(self, session: SessionRecord) -> int:
        here = _order(session)
        return sum(_order(each) < here for each in self._sessions.by("queue", session.model))

    def queue(self, model: str, *, limit: int = 100) -> Sequence[SessionRecord]:
        return sorted(self._sessions.by("queue", model), key=_order)[:limit]

    def queue_length(self, model: str, *, up_to: int | None = None) -> int:
        length = self._sessions.count("queue", model)
        return length if up_to is None else min(up_to, length)

    def queued_models(self) -> Sequence[str]:
        return sorted({each.model for each in self._sessions.by("state", SessionState.QUEUED)})

    def unpolled(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        late = (each for each in self._sessions.by("state", SessionState.QUEUED) if each.polled_us < before_us)
        return heapq.nsmallest(limit, late, key=lambda each: (each.polled_us, each.seq))

    def polled_after(self, after_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        early = (each for each in self._sessions.by("state", SessionState.QUEUED) if each.polled_us > after_us)
        return heapq.nsmallest(limit, early, key=lambda each: each.seq)

    def overdue(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        running = (each for state in RUNNING for each in self._sessions.by("state", state))
        late = ((each.expires_us, each.seq, each) for each in running if (each.expires_us or before_us) < before_us)
        return [each for _, _, each in heapq.nsmallest(limit, late)]

    def recent_waits(self, model: str, *, limit: int = 20) -> Sequence[SessionRecord]:
        return heapq.nlargest(limit, self._sessions.by("ran", model), key=lambda each: (each.ended_us or 0, each.seq))


class _Workers(_Tables):
    def worker(self, worker: str, *, lock: bool = False) -> WorkerRecord | None:
        return self._workers.rows.get(worker)

    def workers(
        self, *, model: str | None = None, states: Collection[WorkerState] | None = None
    ) -> Sequence[WorkerRecord]:
        found = self._workers.rows.values() if model is None else self._workers.by("model", model)
        asked = (each for each in found if states is None or each.state in states)
        return sorted(asked, key=lambda each: (each.started_us, each.id))

    def put_worker(self, worker: WorkerRecord) -> None:
        self._workers.put(worker.id, worker)

    def slot(self, worker: str, n: int, *, lock: bool = False) -> SlotRecord | None:
        return self._slots.rows.get((worker, n))

    def slots(self, worker: str, *, lock: bool = False) -> Sequence[SlotRecord]:
        return sorted(self._slots.by("worker", worker), key=lambda each: each.n)

    def put_slot(self, slot: SlotRecord) -> None:
        holders = self._slots.by("held", slot.session) if slot.state is SlotState.HELD else ()
        if any((each.worker, each.n) != (slot.worker, slot.n) for each in holders):
            raise ConflictError(f"session {slot.session!r} already holds another slot")
        self._slots.put((slot.worker, slot.n), slot)

    def free_slot(self, model: str) -> SlotRecord | None:
        free = (
            (worker.used_us, slot.worker, slot.n)
            for worker in self._workers.by("model", model)
            if worker.state is WorkerState.READY
            for slot in self._slots.by("free", worker.id)
        )
        best = min(free, default=None)
        return None if best is None else self._slots.rows[best[1], best[2]]

    def expired_workers(self, before_us: int) -> Sequence[WorkerRecord]:
        live = (each for state in _LIVE for each in self._workers.by("state", state))
        expired = (each for each in live if each.lease_until_us < before_us)
        return sorted(expired, key=lambda each: (each.lease_until_us, each.id))


class _Ledger(_Tables):
    def upload(self, upload: str) -> UploadRecord | None:
        return self._uploads.rows.get(upload)

    def uploads(self, session: str) -> Sequence[UploadRecord]:
        return sorted(self._uploads.by("session", session), key=lambda each: each.id)

    def put_upload(self, upload: UploadRecord) -> None:
        self._uploads.put(upload.id, upload)

    def ended_with_uploads(self, *, limit: int = 100) -> Sequence[str]:
        held = {each.session for each in self._uploads.rows.values()}
        open_ = {each.id for state in OPEN for each in self._sessions.by("state", state)}
        return sorted(held - open_)[:limit]

    def unwritten_uploads(self, after_us: int, before_us: int, *, limit: int = 100) -> Sequence[UploadRecord]:
        unwritten = (each for each in self._uploads.rows.values() if not each.landed)
        found = (each for each in unwritten if after_us < each.expires_us < before_us)
        return sorted(found, key=lambda each: (each.expires_us, each.id))[:limit]

    def delete_upload(self, upload: str) -> None:
        self._uploads.put(upload, None)

    def delete_uploads(self, session: str) -> None:
        for each in self._uploads.by("session", session):
            self._uploads.put(each.id, None)

    def add_event(self, event: EventRecord) -> None:
        self._event_seq += 1
        self._events.append(replace(event, seq=self._event_seq))
        self._undo.append(lambda: self._events.__delitem__(-1))

    def events(
        self, *, after_seq: int = 0, kinds: Collection[str] | None = None, limit: int = 500
    ) -> Sequence[EventRecord]:
        start = bisect.bisect_right(self._events, after_seq, key=lambda each: each.seq)
        newer = (self._events[index] for index in range(start, len(self._events)))
        return list(islice((each for each in newer if kinds is None or each.kind in kinds), limit))

    def last_event(self) -> int:
        return self._events[-1].seq if self._events else 0

    def cursor(self, name: str) -> int:
        return self._cursors.rows.get(name, 0)

    def put_cursor(self, name: str, seq: int) -> None:
        self._cursors.put(name, seq)

    def keep(self, name: str, text: str) -> str:
        if name not in self._kept.rows:
            self._kept.put(name, text)
        return self._kept.rows[name]

    def remembered(self, account: str, key: str) -> Remembered | None:
        return self._remembered.rows.get((account, key))

    def remember(self, answer: Remembered) -> None:
        self._remembered.put((answer.account, answer.key), answer)

    def lead(self, name: str, holder: str, *, now_us: int, until_us: int) -> bool:
        held_by, held_until = self._leaders.rows.get(name, (holder, 0))
        if held_by != holder and now_us < held_until <= until_us + (until_us - now_us):
            return False
        self._leaders.put(name, (holder, until_us))
        return True

    def prune(self, *, before_us: int, events_before_us: int, limit: int = 500) -> int:
        pruned = 0
        for table, old in (
            (self._sessions, _older(self._sessions.rows, lambda each: each.ended_us, before_us)),
            (self._remembered, _older(self._remembered.rows, lambda each: each.created_us, before_us)),
        ):
            for key in old[: limit - pruned]:
                table.put(key, None)
                pruned += 1
        pruned += self._prune_workers(before_us, limit - pruned)
        return pruned + self._prune_events(events_before_us, limit - pruned)

    def _prune_workers(self, before_us: int, limit: int) -> int:
        over = (WorkerState.LOST, WorkerState.GONE)
        old = [each for each in self._workers.rows.values() if each.state in over and each.lease_until_us < before_us]
        for worker in old[:limit]:
            for slot in self._slots.by("worker", worker.id):
                self._slots.put((slot.worker, slot.n), None)
            self._workers.put(worker.id, None)
        return len(old[:limit])

    def _prune_events(self, before_us: int, limit: int) -> int:
        old = {each.seq for each in self._events if each.at_us < before_us}
        gone = set(sorted(old)[:limit])
        before, self._events = self._events, [each for each in self._events if each.seq not in gone]
        self._undo.append(lambda: setattr(self, "_events", before))
        return len(gone)


class _MemoryTx(_Accounts, _Sessions, _Workers, _Ledger):
    """One transaction: fits `Tx` by shape."""


def _older(rows: Mapping[K, R], time_us: Callable[[R], int | None], before_us: int) -> list[Any]:
    return [key for key, row in rows.items() if (at_us := time_us(row)) is not None and at_us < before_us]
