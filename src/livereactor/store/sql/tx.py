"""One transaction in SQL: fits `Tx` (store/port.py) by shape.

Accounts, keys and models change seldom and are read by every request. Code that needs a worker and its slots
locks the worker first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, and_, exists, func, insert, or_, select, text

from livereactor.store.port import LostRaceError
from livereactor.store.records import (
    OPEN,
    Account,
    ApiKey,
    ModelRecord,
    SessionRecord,
    SessionState,
    SlotRecord,
    SlotState,
    WorkerRecord,
    WorkerState,
)
from livereactor.store.sql import schema
from livereactor.store.sql.ledger import LedgerStatements
from livereactor.store.sql.statements import Executor, KeyedTable, Rows, Statements, first, listing, one_of, param

_ACCOUNT: Final = Rows(Account, schema.ACCOUNTS)
_ACCOUNTS: Final = KeyedTable(_ACCOUNT, "id")
_ALL_ACCOUNTS: Final = select(*_ACCOUNT.columns).order_by(schema.ACCOUNTS.c.id)

_KEY: Final = Rows(ApiKey, schema.API_KEYS)
_KEYS: Final = KeyedTable(_KEY, "id")
_KEY_BY_HASH: Final = select(*_KEY.columns).where(schema.API_KEYS.c.sha256 == param("sha256"))
_ALL_KEYS: Final = select(*_KEY.columns).order_by(schema.API_KEYS.c.created_us, schema.API_KEYS.c.id)

_MODEL: Final = Rows(ModelRecord, schema.MODELS)
_MODELS: Final = KeyedTable(_MODEL, "name")
_ALL_MODELS: Final = select(*_MODEL.columns).order_by(schema.MODELS.c.name)


class AccountStatements(Statements):
    """Accounts, keys and models of one transaction."""

    def __init__(self, executor: Executor, *, locking: bool) -> None:
        super().__init__(executor, locking=locking)
        self._shared = set[str]()  # models that are held together with others

    def account(self, account: str, *, lock: bool = False) -> Account | None:
        """Return the account with this id, or None."""
        return _ACCOUNTS.get(self, account, lock=lock)

    def accounts(self) -> Sequence[Account]:
        """Return all accounts, by id."""
        return listing(self, _ACCOUNT, _ALL_ACCOUNTS)

    def put_account(self, account: Account) -> None:
        """Insert or replace the account."""
        _ACCOUNTS.put(self, account)

    def key_by_hash(self, sha256: str) -> ApiKey | None:
        """Return the key with this hex digest, or None."""
        return first(self, _KEY, _KEY_BY_HASH, sha256=sha256)

    def key(self, key: str, *, lock: bool = False) -> ApiKey | None:
        """Return the key with this id, or None."""
        return _KEYS.get(self, key, lock=lock)

    def keys(self) -> Sequence[ApiKey]:
        """Return all keys of all accounts, oldest first."""
        return listing(self, _KEY, _ALL_KEYS)

    def put_key(self, key: ApiKey) -> None:
        """Insert or replace the key."""
        _KEYS.put(self, key)

    def model(self, name: str, *, lock: bool = False, shared: bool = False) -> ModelRecord | None:
        """Return the model of this name, or None."""
        if lock and name in self._shared and self.may_begin_anew and not _MODELS.is_unheld(self, name):
            raise LostRaceError  # another transaction shares it and may want it alone too
        if shared:
            self._shared.add(name)
        return _MODELS.get(self, name, lock=lock, shared=shared)

    def models(self) -> Sequence[ModelRecord]:
        """Return all models, by name."""
        return listing(self, _MODEL, _ALL_MODELS)

    def put_model(self, model: ModelRecord) -> None:
        """Insert or replace the model."""
        _MODELS.put(self, model)


_C: Final = schema.SESSIONS.c
_QUEUED, _OPEN, _RUNNING = text(schema.QUEUED), text(schema.OPEN), text(schema.RUNNING)
_OF_MODEL, _OF_ACCOUNT, _BEFORE = param("model"), param("account"), param("before")
_UP_TO: Final = param("up_to")

_SESSION: Final = Rows(SessionRecord, schema.SESSIONS)
_SESSIONS: Final = KeyedTable(_SESSION, "id", given=["seq"])
_ADD_SESSION: Final = insert(schema.SESSIONS).returning(_C.seq)
_ALL_SESSIONS: Final = select(*_SESSION.columns)
_OPEN_OF_ACCOUNT: Final = select(_C.id).where(_C.account == _OF_ACCOUNT, _OPEN).limit(_UP_TO)
_COUNT_OPEN: Final = select(func.count()).select_from(_OPEN_OF_ACCOUNT.subquery())
_CREATED: Final = (
    select(_C.created_us)
    .where(_C.account == _OF_ACCOUNT, _C.created_us > param("since"))
    .order_by(_C.created_us.desc())
    .limit(_UP_TO)
)
# "token <> ''" again, so that the partial index is seen to fit.
_COUNT_TOKEN: Final = select(func.count()).where(_C.token == param("token"), text("token <> ''"))

_QUEUE: Final = (_C.prio.desc(), _C.turn, _C.seq)
_HEAD: Final = _ALL_SESSIONS.where(_C.model == _OF_MODEL, _QUEUED).order_by(*_QUEUE).limit(1)
_LOCKED_HEAD: Final = _HEAD.with_for_update(skip_locked=True)
_WHOLE_QUEUE: Final = _ALL_SESSIONS.where(_C.model == _OF_MODEL, _QUEUED).order_by(*_QUEUE).limit(_UP_TO)
_TAIL: Final = (
    _ALL_SESSIONS.where(_C.model == _OF_MODEL, _QUEUED).order_by(_C.prio, _C.turn.desc(), _C.seq.desc()).limit(1)
)
_LAST_TURN: Final = select(func.max(_C.turn)).where(_C.model == _OF_MODEL, _QUEUED, _C.account == _OF_ACCOUNT)
_PRIO, _TURN = param("prio"), param("turn")
_AHEAD: Final = select(func.count()).where(
    _C.model == _OF_MODEL,
    _QUEUED,
    or_(_C.prio > _PRIO, and_(_C.prio == _PRIO, or_(_C.turn < _TURN, and_(_C.turn == _TURN, _C.seq < param("seq"))))),
)
_QUEUE_LENGTH: Final = select(func.count()).where(_C.model == _OF_MODEL, _QUEUED)
_QUEUED_UP_TO: Final = select(func.count()).select_from(
    select(_C.seq).where(_C.model == _OF_MODEL, _QUEUED).limit(_UP_TO).subquery()
)
# One step in the index for each model; DISTINCT would look at every Ticket.
_QUEUED_MODELS: Final = text(f"""
WITH RECURSIVE waiting(model) AS (
    SELECT min(model) FROM sessions WHERE {schema.QUEUED}
    UNION ALL
    SELECT (SELECT min(model) FROM sessions WHERE {schema.QUEUED} AND sessions.model > waiting.model)
    FROM waiting WHERE waiting.model IS NOT NULL
)
SELECT model FROM waiting WHERE model IS NOT NULL
""")
_UNPOLLED: Final = _ALL_SESSIONS.where(_C.polled_us < _BEFORE, _QUEUED).order_by(_C.polled_us, _C.seq).limit(_UP_TO)
_POLLED_AFTER: Final = _ALL_SESSIONS.where(_C.polled_us > param("after"), _QUEUED).order_by(_C.seq).limit(_UP_TO)
_OVERDUE: Final = _ALL_SESSIONS.where(_C.expires_us < _BEFORE, _RUNNING).order_by(_C.expires_us, _C.seq).limit(_UP_TO)
_WAITS: Final = (
    _ALL_SESSIONS.where(_C.model == _OF_MODEL, text(schema.CLOSED), _C.accepted_us.is_not(None))
    .order_by(_C.ended_us.desc(), _C.seq.desc())
    .limit(_UP_TO)
)
_NARROWED: Final = {
    "account": _C.account == _OF_ACCOUNT,
    "model": _C.model == _OF_MODEL,
    "reach": _C.reach == param("reach"),
    "before": _C.seq < _BEFORE,
}


@lru_cache
def _listed_sessions(given: frozenset[str], states: frozenset[SessionState] | None) -> Select[Any]:
    """Return the statement for sessions, newest first, narrowed by the given values and by states."""
    statement = _ALL_SESSIONS.order_by(_C.seq.desc()).limit(_UP_TO)
    statement = statement.where(*(_NARROWED[name] for name in sorted(given)))
    if states is None:
        return statement
    if OPEN.issuperset(states):  # says what follows already, as the partial index says it
        statement = statement.where(_OPEN)
    return statement.where(one_of(_C.state, sorted(state.value for state in states)))


class SessionStatements(Statements):
    """Sessions and queues of one transaction."""

    def session(self, session: str, *, lock: bool = False) -> SessionRecord | None:
        """Return the session with this id, or None."""
        return _SESSIONS.get(self, session, lock=lock)

    def add_session(self, session: SessionRecord) -> SessionRecord:
        """Insert the session, and return it with its `seq`."""
        values = _SESSION.values(session)
        del values["seq"]
        return replace(session, seq=self.scalar(_ADD_SESSION, values))

    def put_session(self, session: SessionRecord) -> None:
        """Insert or replace the session; its `seq` stays as it is."""
        _SESSIONS.put(self, session)

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
        """Return the sessions that match, newest first; for the next page pass the last `seq` as `before_seq`."""
        given = {"account": account, "model": model, "reach": reach, "before": before_seq}
        values = {name: value for name, value in given.items() if value is not None}
        statement = _listed_sessions(frozenset(values), None if states is None else frozenset(states))
        return listing(self, _SESSION, statement, up_to=limit, **values)

    def count_open(self, account: str, *, up_to: int) -> int:
        """Count the open sessions of an account, no further than `up_to`."""
        return self.scalar(_COUNT_OPEN, {"account": account, "up_to": up_to})

    def created_since(self, account: str, since_us: int, *, up_to: int) -> Sequence[int]:
        """Return `created_us` of the account's sessions created after `since_us`, newest first."""
        rows = self.executor.rows(_CREATED, {"account": account, "since": since_us, "up_to": up_to})
        return [row[0] for row in rows]

    def count_token(self, token: str) -> int:
        """Count all sessions ever created with a token, closed ones included."""
        return self.scalar(_COUNT_TOKEN, {"token": token})

    def head(self, model: str) -> SessionRecord | None:
        """Return and lock the ticket that is served next, skipping those that others hold."""
        return first(self, _SESSION, _LOCKED_HEAD if self.locking else _HEAD, model=model)

    def tail(self, model: str) -> SessionRecord | None:
        """Return the ticket that is served last, not locked."""
        return first(self, _SESSION, _TAIL, model=model)

    def last_turn(self, model: str, account: str) -> float | None:
        """Return the highest turn among an account's queued tickets, or None."""
        return self.scalar(_LAST_TURN, {"model": model, "account": account})

    def ahead(self, session: SessionRecord) -> int:
        """Count the tickets of the same model that are served before this one."""
        place = {"prio": session.prio, "turn": session.turn, "seq": session.seq}
        return self.scalar(_AHEAD, {"model": session.model, **place})

    def queue(self, model: str, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Return the tickets of a model in the order in which they are served, not locked."""
        return listing(self, _SESSION, _WHOLE_QUEUE, model=model, up_to=limit)

    def queue_length(self, model: str, *, up_to: int | None = None) -> int:
        """Count the tickets that wait for a model, no further than `up_to`."""
        if up_to is not None:
            return self.scalar(_QUEUED_UP_TO, {"model": model, "up_to": up_to})
        return self.scalar(_QUEUE_LENGTH, {"model": model})

    def queued_models(self) -> Sequence[str]:
        """Return the names of models with queued tickets, in order."""
        return [row[0] for row in self.executor.rows(_QUEUED_MODELS, {})]

    def unpolled(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Return queued sessions whose client last polled before that time, longest silent first."""
        return listing(self, _SESSION, _UNPOLLED, before=before_us, up_to=limit)

    def polled_after(self, after_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Return queued sessions whose client last polled after that time, in order of arrival."""
        return listing(self, _SESSION, _POLLED_AFTER, after=after_us, up_to=limit)

    def overdue(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Return running sessions with `expires_us` before that time, longest overdue first."""
        return listing(self, _SESSION, _OVERDUE, before=before_us, up_to=limit)

    def recent_waits(self, model: str, *, limit: int = 20) -> Sequence[SessionRecord]:
        """Return the last sessions of a model that ended after they were accepted, newest first."""
        return listing(self, _SESSION, _WAITS, model=model, up_to=limit)


_W: Final = schema.WORKERS.c
_S: Final = schema.SLOTS.c

_WORKER: Final = Rows(WorkerRecord, schema.WORKERS)
_WORKERS: Final = KeyedTable(_WORKER, "id")
_ALL_WORKERS: Final = select(*_WORKER.columns).order_by(_W.started_us, _W.id)
_EXPIRED_WORKERS: Final = (
    select(*_WORKER.columns)
    .where(_W.lease_until_us < param("before"), text(schema.LIVE_WORKER))
    .order_by(_W.lease_until_us, _W.id)
)

_SLOT: Final = Rows(SlotRecord, schema.SLOTS)
_SLOTS: Final = KeyedTable(_SLOT, "worker", "n")
_SLOTS_OF_WORKER: Final = select(*_SLOT.columns).where(_S.worker == param("worker")).order_by(_S.n)
_LOCKED_SLOTS_OF_WORKER: Final = _SLOTS_OF_WORKER.with_for_update()
_FREE_SLOT: Final = _SLOTS_OF_WORKER.where(_S.state == SlotState.FREE.value).limit(1)
_LOCKED_FREE_SLOT: Final = _FREE_SLOT.with_for_update(skip_locked=True)
_WITH_FREE_SLOT: Final = (
    select(_W.id)
    .where(
        _W.model == param("model"),
        text("workers.state = 'ready'"),
        text("workers." + schema.LIVE_WORKER),  # follows from the line above; names the partial index
        exists().where(_S.worker == _W.id, _S.state == SlotState.FREE.value),
    )
    .order_by(_W.used_us, _W.id)
    .limit(1)
)
_UNHELD_WITH_FREE_SLOT: Final = _WITH_FREE_SLOT.with_for_update(skip_locked=True)


@lru_cache
def _listed_workers(of_model: bool, states: frozenset[WorkerState] | None) -> Select[Any]:
    """Return the statement for workers of one model or of all, in these states, oldest first."""
    statement = _ALL_WORKERS.where(_W.model == param("model")) if of_model else _ALL_WORKERS
    if states is None:
        return statement
    return statement.where(one_of(_W.state, sorted(state.value for state in states)))


class WorkerStatements(Statements):
    """Workers and Slots of one transaction."""

    def worker(self, worker: str, *, lock: bool = False) -> WorkerRecord | None:
        """Return the worker with this id, or None."""
        return _WORKERS.get(self, worker, lock=lock)

    def workers(
        self, *, model: str | None = None, states: Collection[WorkerState] | None = None
    ) -> Sequence[WorkerRecord]:
        """Return the workers that match, oldest first."""
        statement = _listed_workers(model is not None, None if states is None else frozenset(states))
        return listing(self, _WORKER, statement, **({} if model is None else {"model": model}))

    def put_worker(self, worker: WorkerRecord) -> None:
        """Insert or replace the worker."""
        _WORKERS.put(self, worker)

    def slot(self, worker: str, n: int, *, lock: bool = False) -> SlotRecord | None:
        """Return the n-th slot of a worker, or None."""
        return _SLOTS.get(self, worker, n, lock=lock)

    def slots(self, worker: str, *, lock: bool = False) -> Sequence[SlotRecord]:
        """Return all slots of a worker, by number."""
        locked = lock and self.locking
        return listing(self, _SLOT, _LOCKED_SLOTS_OF_WORKER if locked else _SLOTS_OF_WORKER, worker=worker)

    def put_slot(self, slot: SlotRecord) -> None:
        """Insert or replace the slot."""
        _SLOTS.put(self, slot)

    def free_slot(self, model: str) -> SlotRecord | None:
        """Lock and return a free slot, or None: of the least recently used READY worker with one, locked as well."""
        passing = self.locking and self.postgres
        worker = self.scalar(_UNHELD_WITH_FREE_SLOT if passing else _WITH_FREE_SLOT, {"model": model})
        if worker is not None and (slot := self._free_of(worker)) is not None:
            return slot
        # A worker that sends its heartbeat now must not look full; waiting here could deadlock: it may need our locks.
        if self.may_begin_anew and self.scalar(_WITH_FREE_SLOT, {"model": model}) is not None:
            raise LostRaceError
        return None

    def _free_of(self, worker: str) -> SlotRecord | None:
        return first(self, _SLOT, _LOCKED_FREE_SLOT if self.locking else _FREE_SLOT, worker=worker)

    def expired_workers(self, before_us: int) -> Sequence[WorkerRecord]:
        """Return STARTING, READY or DRAINING workers whose lease ended before that time, the longest first."""
        return listing(self, _WORKER, _EXPIRED_WORKERS, before=before_us)


class SqlTx(AccountStatements, SessionStatements, WorkerStatements, LedgerStatements):
    """A transaction over all records, made of its four parts."""
