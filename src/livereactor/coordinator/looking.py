"""Lists of Sessions: a caller's own, and the queue as operators see it. Pure but for the transaction; reads only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any, Final

from livereactor.coordinator import decisions
from livereactor.coordinator.caller import Caller
from livereactor.coordinator.queue import order
from livereactor.store.port import SessionRecord, SessionState, Tx

PAGES: Final = 10  # looked through for those within a caller's reach, at most
SHOWN: Final = 200  # Tickets of a model, those that are served next
LONGEST: Final = 10_000  # Tickets of a model that are put in order
_QUEUED: Final = frozenset({SessionState.QUEUED})


def within_reach(
    tx: Tx,
    caller: Caller,
    *,
    states: Collection[SessionState] | None,
    model: str | None,
    before_seq: int | None,
    limit: int,
) -> list[SessionRecord]:
    """Newest first, `limit` at most; the last one's `seq` is the next page's `before_seq`."""
    account = None if "admin" in caller.scopes else caller.account
    found: list[SessionRecord] = []
    for _ in range(PAGES):
        page = tx.sessions(account=account, model=model, states=states, before_seq=before_seq, limit=limit)
        found += [each for each in page if caller.reaches(each)]
        if len(page) < limit or len(found) >= limit:
            break
        before_seq = page[-1].seq
    return found[:limit]


def queued(tx: Tx, now_us: int, model: str | None) -> list[dict[str, Any]]:
    """The Tickets of a model, or of all, in the order in which they are served."""
    rows: list[dict[str, Any]] = []
    for name in [model] if model is not None else sorted(tx.queued_models()):
        tickets = sorted(tx.sessions(model=name, states=_QUEUED, limit=LONGEST), key=order)
        rows += [_row(tx, now_us, ticket) for ticket in tickets[:SHOWN]]
    return rows


def _row(tx: Tx, now_us: int, ticket: SessionRecord) -> dict[str, Any]:
    place = decisions.place(tx, now_us, ticket)
    return {
        "session_id": ticket.id,
        "account": ticket.account,
        "model": ticket.model,
        "client": ticket.client,
        "prio": ticket.prio,
        "created_at": ticket.created_us / 1e6,
        "waiting_s": round((now_us - ticket.created_us) / 1e6, 1),
        "silent_s": round((now_us - ticket.polled_us) / 1e6, 1),
        **({} if place is None else asdict(place)),
    }
