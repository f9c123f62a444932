"""The order in which all decisions lock rows; with different orders, two would wait for each other in a circle.

1. Workers, by id; each with its Slots, by number. A Session that a Slot holds is locked after that Slot: a
   decision that has the Slot waits only for those that lock one Session and nothing behind it (polls, Uploads).
2. Sessions that no Slot holds.
3. Models, by name; then the account.
4. After a model only rows that no other transaction holds: `head` and `free_slot` pass over the rest.

Where a row turns out to have moved to an earlier place while it was waited for, the decision begins anew
(`LostRaceError`). Postgres would break a circle by force, and only after a second; those that there were are in
tests/contract/store/test_lock_order.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from livereactor.store.port import LostRaceError, Tx
from livereactor.store.records import SessionRecord, SlotRecord, SlotState


def held(tx: Tx, slot: SlotRecord) -> SessionRecord | None:
    """Return the session that a locked slot is promised to, locked; None if the slot is not HELD."""
    if slot.state is not SlotState.HELD or slot.session is None:
        return None
    return tx.session(slot.session, lock=True)


def with_its_slot(tx: Tx, session: str) -> tuple[SessionRecord | None, SlotRecord | None]:
    """Lock a session and the slot that holds it, and return both.

    Raises:
        LostRaceError: it got a Slot, or another one, while it was waited for.
    """
    seen = tx.session(session)
    slot = None
    if seen is not None and seen.worker is not None and seen.slot is not None:
        slot = tx.slot(seen.worker, seen.slot, lock=True)
    record = tx.session(session, lock=True)
    if record is not None and _seat(record) not in (None, _seat(seen)):
        raise LostRaceError
    holds = slot is not None and slot.state is SlotState.HELD and slot.session == session
    return record, slot if holds else None


def by_slot(sessions: Iterable[SessionRecord]) -> list[SessionRecord]:
    """Return the sessions in the order in which their slots are locked; those without a slot come last."""
    return sorted(sessions, key=lambda each: (each.worker is None, each.worker or "", each.slot or 0, each.id))


def _seat(session: SessionRecord | None) -> tuple[str, int | None, int | None] | None:
    if session is None or session.worker is None:
        return None
    return session.worker, session.slot, session.fence
