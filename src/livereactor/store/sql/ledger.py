"""Uploads, events, remembered answers and leadership in one transaction; and what is thrown away once it is old.

Postgres gives out `seq` before a transaction commits, so a reader could see event 6, move its cursor there and never
see event 5. Each event therefore carries its transaction's number, given out before its `seq`, and readers see only
events of transactions older than every one that still runs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Column, Select, and_, delete, exists, insert, or_, select, text, update

from livereactor.store.records import EventRecord, Remembered, UploadRecord
from livereactor.store.sql import schema
from livereactor.store.sql.statements import Executor, KeyedTable, Rows, Statements, listing, one_of, param

_U: Final = schema.UPLOADS.c
_E: Final = schema.EVENTS.c
_R: Final = schema.REMEMBERED.c

_UPLOAD: Final = Rows(UploadRecord, schema.UPLOADS)
_UPLOADS: Final = KeyedTable(_UPLOAD, "id")
_OF_SESSION: Final = select(*_UPLOAD.columns).where(_U.session == param("of")).order_by(_U.id)
_DELETE_UPLOAD: Final = delete(schema.UPLOADS).where(_U.id == param("of"))
_DELETE_UPLOADS: Final = delete(schema.UPLOADS).where(_U.session == param("of"))

_UNWRITTEN: Final = (
    select(*_UPLOAD.columns)
    .where(_U.landed.is_(False), _U.expires_us > param("after"), _U.expires_us < param("before"))
    .order_by(_U.expires_us, _U.id)
    .limit(param("up_to"))
)

_STILL_OPEN: Final = exists().where(schema.SESSIONS.c.id == _U.session, text(schema.OPEN))
_ENDED: Final = select(_U.session).where(~_STILL_OPEN).distinct().order_by(_U.session).limit(param("up_to"))

_EVENT: Final = Rows(EventRecord, schema.EVENTS)
_ADD_EVENT: Final = insert(schema.EVENTS).values(tx=0).inline()  # its seq is not read back
_ADD_NUMBERED_EVENT: Final = _ADD_EVENT.values(tx=text("pg_current_xact_id()::text::bigint"))
_SETTLED: Final = or_(
    _E.tx < text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint"),
    _E.tx == text("pg_current_xact_id_if_assigned()::text::bigint"),  # what this transaction wrote itself
)
_EVENTS: Final = select(*_EVENT.columns).where(_E.seq > param("after")).order_by(_E.seq).limit(param("up_to"))
_LAST_EVENT: Final = select(_E.seq).order_by(_E.seq.desc()).limit(1)
_LAST_SETTLED_EVENT: Final = _LAST_EVENT.where(_SETTLED)

_CURSOR: Final = select(schema.CURSORS.c.seq).where(schema.CURSORS.c.name == param("of"))
_MOVE_CURSOR: Final = update(schema.CURSORS).where(schema.CURSORS.c.name == param("of"))
_ADD_CURSOR: Final = insert(schema.CURSORS)

_KEPT: Final = select(schema.KEPT.c.text).where(schema.KEPT.c.name == param("of"))
_KEEP: Final = insert(schema.KEPT)

_REMEMBERED_ROWS: Final = Rows(Remembered, schema.REMEMBERED)
_REMEMBERED: Final = KeyedTable(_REMEMBERED_ROWS, "account", "key")

_L: Final = schema.LEADERS.c
_LEAD: Final = update(schema.LEADERS).where(
    _L.name == param("role"),
    or_(_L.holder == param("candidate"), _L.until_us <= param("now"), _L.until_us > param("sane")),
)
_LED: Final = select(_L.name).where(_L.name == param("role"))
_ADD_LEADER: Final = insert(schema.LEADERS)


def _pruning(key: Column[Any], at: Column[Any], where: str | None = None) -> Any:
    """Return a statement that deletes the oldest rows before a time, at most `up_to` at once."""
    old = select(key).where(at < param("before")).order_by(at).limit(param("up_to"))
    return delete(key.table).where(key.in_(old if where is None else old.where(text(where))))


_OLD_SESSIONS: Final = _pruning(schema.SESSIONS.c.seq, schema.SESSIONS.c.ended_us, schema.CLOSED)
_OLD_EVENTS: Final = _pruning(_E.seq, _E.at_us)
_OLD: Final = and_(text("state IN ('lost', 'gone')"), schema.WORKERS.c.lease_until_us < param("before"))
_OLD_WORKERS: Final = select(schema.WORKERS.c.id).where(_OLD).order_by(schema.WORKERS.c.id).limit(param("up_to"))
_FORGET_SLOTS: Final = delete(schema.SLOTS).where(schema.SLOTS.c.worker == param("of"))
_FORGET_WORKER: Final = delete(schema.WORKERS).where(schema.WORKERS.c.id == param("of"), _OLD)
_OLD_ANSWERS: Final = select(_R.account, _R.key).where(_R.created_us < param("before")).limit(param("up_to"))
_FORGET: Final = delete(schema.REMEMBERED).where(_R.account == param("of"), _R.key == param("named"))


@lru_cache
def _listed(settled: bool, kinds: frozenset[str] | None) -> Select[Any]:
    """Return the statement for events of these kinds, oldest first; `settled`: only those no earlier one can follow."""
    statement = _EVENTS.where(_SETTLED) if settled else _EVENTS
    return statement if kinds is None else statement.where(one_of(_E.kind, sorted(kinds)))


class LedgerStatements(Statements):
    """Uploads, events, remembered answers and roles of one transaction."""

    def __init__(self, executor: Executor, *, locking: bool) -> None:
        super().__init__(executor, locking=locking)
        self._absent = set[tuple[str, str]]()  # keys that were read and had no answer

    def upload(self, upload: str) -> UploadRecord | None:
        """Return the upload with this id, or None."""
        return _UPLOADS.get(self, upload)

    def uploads(self, session: str) -> Sequence[UploadRecord]:
        """Return the uploads of a session, by id."""
        return listing(self, _UPLOAD, _OF_SESSION, of=session)

    def put_upload(self, upload: UploadRecord) -> None:
        """Insert or replace the upload."""
        _UPLOADS.put(self, upload)

    def delete_upload(self, upload: str) -> None:
        """Delete the upload."""
        self.executor.changed(_DELETE_UPLOAD, {"of": upload})

    def delete_uploads(self, session: str) -> None:
        """Delete the uploads of a session."""
        self.executor.changed(_DELETE_UPLOADS, {"of": session})

    def ended_with_uploads(self, *, limit: int = 100) -> Sequence[str]:
        """Return the ids of sessions that are closed or deleted and still have uploads, in order."""
        return [session for (session,) in self.executor.rows(_ENDED, {"up_to": limit})]

    def unwritten_uploads(self, after_us: int, before_us: int, *, limit: int = 100) -> Sequence[UploadRecord]:
        """List uploads that have not landed and whose URL expired between the two times, the oldest first."""
        return listing(self, _UPLOAD, _UNWRITTEN, after=after_us, before=before_us, up_to=limit)

    def add_event(self, event: EventRecord) -> None:
        """Insert the event; the store assigns its `seq`."""
        values = _EVENT.values(event)
        del values["seq"]
        self.executor.changed(_ADD_NUMBERED_EVENT if self.postgres else _ADD_EVENT, values)

    def events(
        self, *, after_seq: int = 0, kinds: Collection[str] | None = None, limit: int = 500
    ) -> Sequence[EventRecord]:
        """Return the events after `after_seq`, of `kinds` or of all, oldest first."""
        statement = _listed(self.postgres, None if kinds is None else frozenset(kinds))
        return listing(self, _EVENT, statement, after=after_seq, up_to=limit)

    def last_event(self) -> int:
        """Return the `seq` of the newest event that `events` returns, 0 without events."""
        return self.scalar(_LAST_SETTLED_EVENT if self.postgres else _LAST_EVENT, {}) or 0

    def cursor(self, name: str) -> int:
        """Return the position of a reader of the events; 0 at first."""
        return self.scalar(_CURSOR, {"of": name}) or 0

    def put_cursor(self, name: str, seq: int) -> None:
        """Write the position of a reader of the events."""
        if self.executor.changed(_MOVE_CURSOR, {"of": name, "seq": seq}) == 0:
            self.executor.changed(_ADD_CURSOR, {"name": name, "seq": seq})

    def keep(self, name: str, text: str) -> str:
        """Return the text kept under a name, else keep this one; if another kept one meanwhile, the work runs again."""
        if (found := self.scalar(_KEPT, {"of": name})) is not None:
            return found
        self.executor.changed(_KEEP, {"name": name, "text": text})
        return text

    def remembered(self, account: str, key: str) -> Remembered | None:
        """Return the answer given before to this key of this account, or None."""
        found = _REMEMBERED.get(self, account, key)
        if found is None:
            self._absent.add((account, key))
        return found

    def remember(self, answer: Remembered) -> None:
        """Insert or replace the answer; if another transaction inserted one meanwhile, the work runs again."""
        if (answer.account, answer.key) in self._absent:
            _REMEMBERED.add(self, answer)
            self._absent.discard((answer.account, answer.key))
        else:
            _REMEMBERED.put(self, answer)

    def lead(self, name: str, holder: str, *, now_us: int, until_us: int) -> bool:
        """Become or stay the one holder of a role until `until_us`; return False while another holds it."""
        role = {"role": name, "candidate": holder, "now": now_us, "sane": until_us + (until_us - now_us)}
        if self.executor.changed(_LEAD, {**role, "holder": holder, "until_us": until_us}) == 1:
            return True
        if self.scalar(_LED, {"role": name}) is not None:
            return False
        self.executor.changed(_ADD_LEADER, {"name": name, "holder": holder, "until_us": until_us})
        return True

    def prune(self, *, before_us: int, events_before_us: int, limit: int = 500) -> int:
        """Delete older closed Sessions, LOST and GONE Workers, remembered answers, and events; return how many."""
        left = limit
        left -= self.executor.changed(_OLD_SESSIONS, {"before": before_us, "up_to": left})
        left -= self.executor.changed(_OLD_EVENTS, {"before": events_before_us, "up_to": left})
        for account, key in self.executor.rows(_OLD_ANSWERS, {"before": before_us, "up_to": left}):
            left -= self.executor.changed(_FORGET, {"of": account, "named": key})
        for (worker,) in self.executor.rows(_OLD_WORKERS, {"before": before_us, "up_to": left}):
            # A worker that came back keeps its slots; the worker comes first, as in every transaction that locks both.
            if self.executor.changed(_FORGET_WORKER, {"of": worker, "before": before_us}):
                self.executor.changed(_FORGET_SLOTS, {"of": worker})
                left -= 1
        return limit - left
