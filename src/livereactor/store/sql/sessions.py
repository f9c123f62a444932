"""Sessions and the queue they wait in, in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, and_, func, insert, or_, select, text

from livereactor.store.records import OPEN, SessionRecord, SessionState
from livereactor.store.sql import schema
from livereactor.store.sql.rows import Rows
from livereactor.store.sql.statements import KeyedTable, Statements, first, listing, one_of, param

_C: Final = schema.SESSIONS.c
_QUEUED, _OPEN, _RUNNING = text(schema.QUEUED), text(schema.OPEN), text(schema.RUNNING)
_MODEL, _ACCOUNT, _BEFORE = param("model"), param("account"), param("before")
_UP_TO: Final = param("up_to")

_SESSION: Final = Rows(SessionRecord, schema.SESSIONS)
_SESSIONS: Final = KeyedTable(_SESSION, "id", given=["seq"])
_ADD: Final = insert(schema.SESSIONS).returning(_C.seq)
_ALL: Final = select(*_SESSION.columns)
_OPEN_OF_ACCOUNT: Final = select(_C.id).where(_C.account == _ACCOUNT, _OPEN).limit(_UP_TO)
_COUNT_OPEN: Final = select(func.count()).select_from(_OPEN_OF_ACCOUNT.subquery())
_CREATED: Final = (
    select(_C.created_us)
    .where(_C.account == _ACCOUNT, _C.created_us > param("since"))
    .order_by(_C.created_us.desc())
    .limit(_UP_TO)
)
# "token <> ''" again, so that the partial index is seen to fit.
_COUNT_TOKEN: Final = select(func.count()).where(_C.token == param("token"), text("token <> ''"))

_QUEUE: Final = (_C.prio.desc(), _C.turn, _C.seq)
_HEAD: Final = _ALL.where(_C.model == _MODEL, _QUEUED).order_by(*_QUEUE).limit(1)
_LOCKED_HEAD: Final = _HEAD.with_for_update(skip_locked=True)
_WHOLE_QUEUE: Final = _ALL.where(_C.model == _MODEL, _QUEUED).order_by(*_QUEUE).limit(_UP_TO)
_TAIL: Final = _ALL.where(_C.model == _MODEL, _QUEUED).order_by(_C.prio, _C.turn.desc(), _C.seq.desc()).limit(1)
_LAST_TURN: Final = select(func.max(_C.turn)).where(_C.model == _MODEL, _QUEUED, _C.account == _ACCOUNT)
_PRIO, _TURN = param("prio"), param("turn")
_AHEAD: Final = select(func.count()).where(
    _C.model == _MODEL,
    _QUEUED,
    or_(
        _C.prio > _PRIO,
        and_(_C.prio == _PRIO, or_(_C.turn < _TURN, and_(_C.turn == _TURN, _C.seq < param("seq")))),
    ),
)
_QUEUE_LENGTH: Final = select(func.count()).where(_C.model == _MODEL, _QUEUED)
_QUEUED_UP_TO: Final = select(func.count()).select_from(
    select(_C.seq).where(_C.model == _MODEL, _QUEUED).limit(_UP_TO).subquery()
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
_UNPOLLED: Final = _ALL.where(_C.polled_us < _BEFORE, _QUEUED).order_by(_C.polled_us, _C.seq).limit(_UP_TO)
_POLLED_AFTER: Final = _ALL.where(_C.polled_us > param("after"), _QUEUED).order_by(_C.seq).limit(_UP_TO)
_OVERDUE: Final = _ALL.where(_C.expires_us < _BEFORE, _RUNNING).order_by(_C.expires_us, _C.seq).limit(_UP_TO)
_WAITS: Final = (
    _ALL.where(_C.model == _MODEL, text(schema.CLOSED), _C.accepted_us.is_not(None))
    .order_by(_C.ended_us.desc(), _C.seq.desc())
    .limit(_UP_TO)
)
_NARROWED: Final = {
    "account": _C.account == _ACCOUNT,
    "model": _C.model == _MODEL,
    "reach": _C.reach == param("reach"),
    "before": _C.seq < _BEFORE,
}


@lru_cache
def _listed(given: frozenset[str], states: frozenset[SessionState] | None) -> Select[Any]:
    """Newest first, narrowed by the values that are given and by states."""
    statement = _ALL.order_by(_C.seq.desc()).limit(_UP_TO)
    statement = statement.where(*(_NARROWED[name] for name in sorted(given)))
    if states is None:
        return statement
    if OPEN.issuperset(states):  # says what follows already, as the partial index says it
        statement = statement.where(_OPEN)
    return statement.where(one_of(_C.state, sorted(state.value for state in states)))


class SessionStatements(Statements):
    """Sessions and queues of one transaction."""

    def session(self, session: str, *, lock: bool = False) -> SessionRecord | None:
        """The Session with this id."""
        return _SESSIONS.get(self, session, lock=lock)

    def add_session(self, session: SessionRecord) -> SessionRecord:
        """Insert, and return it with its `seq`."""
        values = _SESSION.values(session)
        del values["seq"]
        return replace(session, seq=self.scalar(_ADD, values))

    def put_session(self, session: SessionRecord) -> None:
        """Insert or replace it; its `seq` stays as it is."""
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
        """Newest first; `before_seq` for the next page."""
        given = {"account": account, "model": model, "reach": reach, "before": before_seq}
        values = {name: value for name, value in given.items() if value is not None}
        statement = _listed(frozenset(values), None if states is None else frozenset(states))
        return listing(self, _SESSION, statement, up_to=limit, **values)

    def count_open(self, account: str, *, up_to: int) -> int:
        """Open Sessions of an account, counted no further than `up_to`."""
        return self.scalar(_COUNT_OPEN, {"account": account, "up_to": up_to})

    def created_since(self, account: str, since_us: int, *, up_to: int) -> Sequence[int]:
        """`created_us` of its Sessions made after `since_us`, newest first."""
        rows = self.rows(_CREATED, {"account": account, "since": since_us, "up_to": up_to})
        return [row[0] for row in rows]

    def count_token(self, token: str) -> int:
        """Sessions ever made with a token, closed ones included."""
        return self.scalar(_COUNT_TOKEN, {"token": token})

    def head(self, model: str) -> SessionRecord | None:
        """The Ticket whose turn it is, locked; passes over what others hold."""
        return first(self, _SESSION, _LOCKED_HEAD if self.locking else _HEAD, model=model)

    def tail(self, model: str) -> SessionRecord | None:
        """The Ticket that is served last, not locked."""
        return first(self, _SESSION, _TAIL, model=model)

    def last_turn(self, model: str, account: str) -> float | None:
        """The highest turn among an account's queued Tickets."""
        return self.scalar(_LAST_TURN, {"model": model, "account": account})

    def ahead(self, session: SessionRecord) -> int:
        """Count the tickets of the same model that are served before this one."""
        place = {"prio": session.prio, "turn": session.turn, "seq": session.seq}
        return self.scalar(_AHEAD, {"model": session.model, **place})

    def queue(self, model: str, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Tickets of a model in the order in which they are served, not locked."""
        return listing(self, _SESSION, _WHOLE_QUEUE, model=model, up_to=limit)

    def queue_length(self, model: str, *, up_to: int | None = None) -> int:
        """Count the tickets that wait for a model, no further than `up_to`."""
        if up_to is not None:
            return self.scalar(_QUEUED_UP_TO, {"model": model, "up_to": up_to})
        return self.scalar(_QUEUE_LENGTH, {"model": model})

    def queued_models(self) -> Sequence[str]:
        """Models somebody waits for, by name."""
        return [row[0] for row in self.rows(_QUEUED_MODELS, {})]

    def unpolled(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Queued Sessions whose client was last heard of before that, longest silent first."""
        return listing(self, _SESSION, _UNPOLLED, before=before_us, up_to=limit)

    def polled_after(self, after_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Queued Sessions whose client was last heard of after that."""
        return listing(self, _SESSION, _POLLED_AFTER, after=after_us, up_to=limit)

    def overdue(self, before_us: int, *, limit: int = 100) -> Sequence[SessionRecord]:
        """Running Sessions with `expires_us` before that, longest overdue first."""
        return listing(self, _SESSION, _OVERDUE, before=before_us, up_to=limit)

    def recent_waits(self, model: str, *, limit: int = 20) -> Sequence[SessionRecord]:
        """The last Sessions of a model that ended after running, newest first."""
        return listing(self, _SESSION, _WAITS, model=model, up_to=limit)
