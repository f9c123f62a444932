"""Lists of Sessions: a caller's own, and the queue as operators see it. Pure but for the transaction; reads only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any, Final

from livereactor.coordinator import decisions
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decisions.places import QueuePlace
from livereactor.store.port import Tx
from livereactor.store.records import SessionRecord, SessionState

SHOWN: Final = 200  # Tickets of a model, those that are served next


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
    operates = "admin" in caller.scopes
    found = tx.sessions(
        account=None if operates else caller.account,
        model=model,
        reach=None if operates else caller.reach or None,
        states=states,
        before_seq=before_seq,
        limit=limit,
    )
    if operates or not caller.reach:
        return list(found)
    bound = [each for each in map(tx.session, caller.bound) if each is not None and _fits(each, states, model)]
    own = {each.id: each for each in (*found, *bound) if before_seq is None or each.seq < before_seq}
    return sorted(filter(caller.reaches, own.values()), key=lambda each: -each.seq)[:limit]


def _fits(session: SessionRecord, states: Collection[SessionState] | None, model: str | None) -> bool:
    return (states is None or session.state in states) and (model is None or session.model == model)


def queued(tx: Tx, now_us: int, model: str | None) -> list[dict[str, Any]]:
    """The Tickets of a model, or of all, in the order in which they are served."""
    rows: list[dict[str, Any]] = []
    for name in [model] if model is not None else sorted(tx.queued_models()):
        tickets = tx.queue(name, limit=SHOWN)
        places = decisions.places(tx, now_us, name)
        rows += [_row(now_us, ticket, places(position)) for position, ticket in enumerate(tickets, 1)]
    return rows


def _row(now_us: int, ticket: SessionRecord, place: QueuePlace) -> dict[str, Any]:
    return {
        "session_id": ticket.id,
        "account": ticket.account,
        "model": ticket.model,
        "client": ticket.client,
        "prio": ticket.prio,
        "created_at": ticket.created_us / 1e6,
        "waiting_s": round((now_us - ticket.created_us) / 1e6, 1),
        "silent_s": round((now_us - ticket.polled_us) / 1e6, 1),
        **asdict(place),
    }
