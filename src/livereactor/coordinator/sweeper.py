"""Sweeps of what time changes: lost leases, dropped tickets, assignments not accepted, overdue ends, old records.

One replica at a time sweeps, and one removes old recordings. Silence counts only once the store has been there for
long enough (`decider.Outages`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import structlog

from livereactor.base.sparse_log import SparseLog
from livereactor.blobs import retention
from livereactor.blobs.port import Blobs
from livereactor.blobs.retention import RetentionLoop, Rules
from livereactor.coordinator import decisions
from livereactor.coordinator.cluster.role import Role
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.decisions.sweeps import STEP_LIMIT
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import SessionState

EVERY: Final = 1.0  # seconds
LEADS_FOR: Final = 5.0  # seconds after the leader's last sweep until another replica takes over
RETENTION_TERM: Final = 2 * retention.EVERY  # seconds; likewise, of the rounds that remove recordings
ROUNDS: Final = 20  # of one step in one sweep, so that a lot of work does not hold up the other steps
RARELY: Final = 60.0  # seconds between two checks of old records and of the clock
PRUNED: Final = 500  # records in one transaction

Step: TypeAlias = Callable[[Tx, int, CoordinatorOptions], tuple[int, list[Effect]]]
_ALWAYS: Final[tuple[Step, ...]] = (
    decisions.sweep_assignments,
    decisions.sweep_overdue,
    decisions.sweep_queues,
)
_WHILE_STEADY: Final[tuple[Step, ...]] = (decisions.sweep_leases, decisions.sweep_tickets)
log = structlog.get_logger("livereactor.coordinator")


class Sweeper:
    """Sweeps once a second while it leads.

    Args:
        holder: this replica's name among those who may lead.
    """

    def __init__(self, decider: Decider, *, holder: str | None = None) -> None:
        self._decider = decider
        self._role = Role("sweeper", lasts=LEADS_FOR, unix_us=decider.unix_us, holder=holder)
        self._sparse = SparseLog(log)
        self._tidied_at = 0.0  # monotonic

    async def run(self) -> None:
        """Sweep until cancelled, when another may begin: no error ends it."""
        try:
            while True:
                try:
                    await self.sweep()
                except StoreUnavailableError:
                    pass  # logged by `decider.py`
                except Exception:
                    self._sparse.exception("sweep failed")
                await asyncio.sleep(EVERY)
        finally:
            await self._role.release(self._decider.store)

    async def sweep(self) -> None:
        """Run one round of all steps, if this replica leads.

        Raises:
            StoreUnavailableError: the steps done are stored, the rest waits.
        """
        outages = self._decider.outages
        outages.tick(time.monotonic(), self._decider.unix_us() / 1e6)
        if not await self._decider.decide(self._lead):
            return
        tidies = time.monotonic() >= self._tidied_at
        if tidies:
            self._tidied_at = time.monotonic() + RARELY
            await self._run_step(decisions.sweep_clock)
        for step in _ALWAYS:
            await self._run_step(step)
        for step in _WHILE_STEADY:
            outages.tick(time.monotonic(), self._decider.unix_us() / 1e6)
            if outages.is_steady(time.monotonic()):
                await self._run_step(step)
        if tidies:
            await self._run_step(_prune)

    async def _run_step(self, step: Step) -> None:
        """Run a step and log its error: one that fails must not hold up the others."""
        try:
            for _ in range(ROUNDS):
                if await self._decider.decide(step) < STEP_LIMIT:
                    return
        except StoreUnavailableError:
            raise
        except Exception:
            self._sparse.exception("sweep failed", apart=step.__name__, step=step.__name__)

    def _lead(self, tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[bool, list[Effect]]:
        return self._role.is_held(tx), []


def _prune(tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[int, list[Effect]]:
    before_us, events_before_us = (now_us - round(kept * 1e6) for kept in (options.kept, options.events_kept))
    return tx.prune(before_us=before_us, events_before_us=events_before_us, limit=PRUNED), []


def retention_of(store: Store, blobs: Blobs, rules: Rules, *, unix_us: Callable[[], int]) -> RetentionLoop:
    """Return the retention loop of a coordinator's blobs.

    Args:
        unix_us: the clock, microseconds of Unix time.
    """
    role = Role("keeper", lasts=RETENTION_TERM, unix_us=unix_us)

    async def leads() -> bool:
        return await store.transact(role.is_held)

    async def is_open(session: str) -> bool:
        record = await store.read(lambda tx: tx.session(session))
        return record is not None and record.state is not SessionState.CLOSED

    return RetentionLoop(blobs, rules, is_open=is_open, leads=leads, now=lambda: unix_us() / 1e6)
