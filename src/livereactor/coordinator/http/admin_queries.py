"""Sessions, workers and the queue as rows for operators. Pure but for the transaction; reads only."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from livereactor.coordinator import quotas
from livereactor.coordinator.auth.authenticator import GUEST
from livereactor.coordinator.descriptors import state_word
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.queries import queued
from livereactor.store.port import Tx
from livereactor.store.records import OPEN, SessionRecord, SessionState, SlotState, WorkerRecord, WorkerState

LIVING: Final = frozenset(WorkerState) - {WorkerState.GONE, WorkerState.LOST}
SHOWN: Final = 500  # rows of a list
State: TypeAlias = Literal["open", "queued", "assigned", "waiting", "active", "orphaned", "closed"]
RECENT: Final = 50  # Sessions that are over


def states_of(state: State | None) -> list[SessionState] | None:
    """Return the states that a list is asked for; None = all."""
    if state is None:
        return None
    return sorted(OPEN, key=lambda each: each.value) if state == "open" else [SessionState(state)]


def session_row(session: SessionRecord) -> dict[str, Any]:
    """Return the row of a session; times are Unix seconds, and unknown values are left out."""
    times = {
        "created_at": session.created_us,
        "connected_at": session.connected_us,
        "expires_at": session.expires_us,
        "ended_at": session.ended_us,
    }
    row: dict[str, Any] = {
        "session_id": session.id,
        "state": state_word(session.state, listed=True),
        "account": session.account,
        "model": session.model,
        "worker": session.worker,
        "client": session.client or None,
        "end_reason": session.end_reason,
        **{name: None if at is None else at / 1e6 for name, at in times.items()},
    }
    return {name: value for name, value in row.items() if value is not None}


def worker_row(tx: Tx, worker: WorkerRecord, now_us: int) -> dict[str, Any]:
    """Return the row of a worker with the sessions in its slots; `lease_s`: seconds until its lease ends."""
    slots = tx.slots(worker.id)
    return {
        "worker": worker.id,
        "model": worker.model,
        "state": worker.state.value,
        "node": worker.node,
        "pooled": worker.pooled,
        "slots": worker.slots,
        "sessions": [slot.session for slot in slots if slot.state is SlotState.HELD],
        "started_at": worker.started_us / 1e6,
        "lease_s": round((worker.lease_until_us - now_us) / 1e6, 1),
        **worker.info,
    }


def sessions(tx: Tx, *, state: State | None = None) -> list[dict[str, Any]]:
    """List the sessions in a state, or `open` ones, or all that are kept, newest first."""
    return [session_row(each) for each in tx.sessions(states=states_of(state), limit=SHOWN)]


def workers(tx: Tx, now_us: int) -> list[dict[str, Any]]:
    """List the living workers, by model and age."""
    living = sorted(tx.workers(states=LIVING), key=lambda each: (each.model, each.started_us))
    return [worker_row(tx, each, now_us) for each in living[:SHOWN]]


def scrape_labels(tx: Tx) -> list[dict[str, str]]:
    """Return the labels of every runtime with metrics: worker, slot and model."""
    serving = tx.workers(states=[WorkerState.READY, WorkerState.DRAINING])
    return [
        {"worker": each.id, "slot": str(slot), "model": each.model}
        for each in sorted(serving, key=lambda each: each.id)
        for slot in range(each.slots)
    ]


def accounts(tx: Tx, now_us: int, options: CoordinatorOptions) -> list[dict[str, Any]]:
    """List the accounts, each with its weight in queues and its rows of `GET /quotas`."""
    names = {GUEST} if options.guests else set[str]()
    weights = {each.id: each.weight for each in tx.accounts()}
    connections = options.limits.max_connections
    return [
        {
            "account": name,
            "weight": weights.get(name),
            "quotas": quotas.usage(tx, name, options.quotas, now_us, connections=connections),
        }
        for name in sorted(names | set(weights))[:SHOWN]
    ]


def overview(tx: Tx, now_us: int, *, lease: float) -> dict[str, Any]:
    """Return sessions, queue and workers as of one moment; of closed sessions, the last few.

    Args:
        lease: seconds that a beat is good for, from which the time since the last beat is computed.
    """
    closed = tx.sessions(states=[SessionState.CLOSED], limit=RECENT)
    return {
        "now_at": now_us / 1e6,
        "last_event": tx.last_event(),
        "sessions": [*sessions(tx, state="open"), *(session_row(each) for each in closed)],
        "queue": queued(tx, now_us, None),
        "workers": [{**row, "silent_s": round(lease - row["lease_s"], 1)} for row in workers(tx, now_us)],
    }
