"""The decision who gets a free Slot."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from livereactor.coordinator.decisions import moves
from livereactor.coordinator.decisions.effects import Effect, FleetChanged, QueueChanged
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx
from livereactor.store.records import ModelRecord, SlotRecord, WorkerState

FILL_LIMIT: Final = 16  # claims in one transaction: others wait for its locks


def fill(
    tx: Tx,
    now_us: int,
    options: CoordinatorOptions,
    *,
    model: str,
    limit: int = FILL_LIMIT,
    newcomer: str | None = None,
    held: ModelRecord | None = None,
) -> tuple[int, list[Effect]]:
    """Give free Slots of READY Workers of a model to the Tickets whose turn it is.

    Every decision that frees a Slot or adds a Ticket does this by itself; the sweeper repeats it for what was missed.

    Args:
        newcomer: the Session that this transaction made: it has not waited.
        held: the model's record, where this transaction holds it alone already.

    Returns:
        how many were served; `limit` = there may be more.
    """
    # Locked for the whole of it: a Ticket and a Slot that come at the same time must not miss each other.
    record = held or tx.model(model, lock=True)
    if record is None:
        return 0, []
    effects: list[Effect] = []
    served, served_turn = 0, record.served_turn
    while served < limit and (ticket := tx.head(model)) and (slot := _free_slot(tx, model)):
        _, told = moves.assign(tx, now_us, options, ticket, slot, has_waited=ticket.id != newcomer)
        effects += told
        served, served_turn = served + 1, max(served_turn, ticket.turn)
    if served_turn > record.served_turn:
        tx.put_model(replace(record, served_turn=served_turn))
    return served, [*effects, QueueChanged(model), FleetChanged(model)] if served else []


def _free_slot(tx: Tx, model: str) -> SlotRecord | None:
    slot = tx.free_slot(model)
    worker = None if slot is None else tx.worker(slot.worker)
    # Looked at again: it may have been lost between the choice of the Slot and its lock.
    return slot if worker is not None and worker.state is WorkerState.READY else None
