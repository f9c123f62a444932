"""The decision who gets a free Slot."""

from __future__ import annotations

from typing import Final

from livereactor.coordinator.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx

FILL_LIMIT: Final = 16  # claims in one transaction: others wait for its locks


def fill(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, model: str, limit: int = FILL_LIMIT
) -> tuple[int, list[Effect]]:
    """Give free Slots of READY Workers of a model to the Tickets whose turn it is.

    Every decision that frees a Slot or adds a Ticket does this by itself; the sweeper repeats it for what was missed.

    Returns:
        how many were served; `limit` = there may be more.
    """
    raise NotImplementedError
