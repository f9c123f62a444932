"""Decisions on a Worker as a whole: it registers, drains, says goodbye, is lost."""

from __future__ import annotations

from livereactor.coordinator.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Tx


def register(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, hello: link.Hello
) -> tuple[link.Welcome | link.Refused, list[Effect]]:
    """A process dials in: for the first time, anew after its Sessions were lost, or back after its socket broke.

    The same incarnation, not lost, keeps its Sessions (`Welcome.held`). A new one has to be empty; what was promised to
    the one before is treated as lost. An unknown Worker may hold Slots (the coordinator lost its data): none is held,
    and each can be given away once it is reported free.

    The model is made known if it is not, and its `spec` and `version` are kept up to date.
    """
    raise NotImplementedError


def bye(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, incarnation: str
) -> tuple[None, list[Effect]]:
    """It ends in order, its Slots are empty; a Session it still held goes the way of a lost one."""
    raise NotImplementedError


def worker_lost(
    tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str, reason: str, incarnation: str | None = None
) -> tuple[bool, list[Effect]]:
    """Its process is known to be gone, or it fell silent: its Sessions are queued again once, or end `worker_lost`.

    Args:
        reason: for operators: `exited with code -9`, `silent for 15 s`.
        incarnation: only if it still is that one; None = whichever.

    Returns:
        whether there was something to lose.
    """
    raise NotImplementedError


def drain(tx: Tx, now_us: int, options: CoordinatorOptions, *, worker: str) -> tuple[None, list[Effect]]:
    """Let it finish what it has and end; told again with each beat until it says that it drains.

    Raises:
        NotFoundError: no such Worker.
    """
    raise NotImplementedError
