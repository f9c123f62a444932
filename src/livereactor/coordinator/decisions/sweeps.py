"""Decisions on what passes by itself. The sweeper takes each step about once a second, in a transaction of its own.

Each step is bounded and returns how many it dealt with; as many as its limit = call it again.
"""

from __future__ import annotations

from typing import Final

from livereactor.coordinator.effects import Effect
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Tx

STEP_LIMIT: Final = 50  # records in one transaction
ACCEPT_WITHIN: Final = 5.0  # seconds; two beats and a half, each of which is told again
OVERDUE_SLACK: Final = 30.0  # seconds past `expires_us` in which the Worker may still end the Session by itself


def sweep_leases(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Workers that fell silent are lost. Not to be called while `options.store_grace` runs."""
    raise NotImplementedError


def sweep_assignments(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Sessions that no Worker accepted in `ACCEPT_WITHIN` are queued again, their Slots closed."""
    raise NotImplementedError


def sweep_tickets(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Tickets whose client has not been heard of for `options.ticket_grace` are dropped (`timed_out`).

    Not to be called while `options.store_grace` runs: nobody could be heard.
    """
    raise NotImplementedError


def sweep_overdue(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Sessions whose Worker did not end them in time are ended here (`max_duration`)."""
    raise NotImplementedError


def sweep_queues(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """Whoever waits while a Slot is free is served."""
    raise NotImplementedError


def sweep_clock(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    """What lies further ahead than it can was written before the clock was set back: it counts from now.

    Needed at the start and now and then (every minute).
    """
    raise NotImplementedError
