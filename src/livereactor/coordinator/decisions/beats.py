"""Decisions on what a registered Worker says: its beats, which renew its lease, and how its Sessions move."""

from __future__ import annotations

from livereactor.coordinator.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Tx


def beat(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str, beat: link.Beat
) -> tuple[link.Renewed | link.Refused, list[Effect]]:
    """Renew the lease, accept what is `accepting`, take Slots back that are free, and serve the queue from them.

    Also brings about again what was lost on the way: assignments, ends and drains that the Worker does not know of.

    Returns:
        `Renewed` with the Slots that are its own, or `Refused("stale")`: lost, unknown, or an older incarnation.
    """
    raise NotImplementedError


def report(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str, report: link.SessionReport
) -> tuple[None, list[Effect]]:
    """A Session moved, or closed; under another fence, of another incarnation or twice: nothing happens."""
    raise NotImplementedError
