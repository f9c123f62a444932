"""Sessions made without a caller."""

from __future__ import annotations

from livereactor.coordinator import decisions
from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx
from livereactor.store.records import SessionRecord


def created(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, session: SessionRecord, crowded: bool = False
) -> tuple[SessionRecord, list[Effect]]:
    """The decision `create_session`, with what it has to be told."""
    line = decisions.lock_queue(tx, session.model, crowded=crowded)
    assert line is not None, f"no model {session.model}"
    owner = tx.account(session.account)
    return decisions.create_session(tx, now_us, options, session=session, locked=line, owner=owner)
