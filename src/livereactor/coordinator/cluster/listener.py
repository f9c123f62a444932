"""Doing here what others on the same database tell of: polls look again, Workers are told what was decided elsewhere.

Loop only. What `outside.py` finds in the events within a second is heard of here within milliseconds, where the
database passes notices on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from livereactor.base.sparse_log import SparseLog
from livereactor.coordinator import decisions
from livereactor.coordinator.cluster.notices import WORKER, effect_of
from livereactor.coordinator.cluster.worker_links import Links
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.decisions.effects import Effect
from livereactor.store.port import Notices, StoreUnavailableError, Tx

log = SparseLog(structlog.get_logger("livereactor.coordinator"))


class Hearing:
    """What one replica hears.

    Args:
        arrived: told of each Worker that came to another coordinator.
    """

    def __init__(self, decider: Decider, links: Links, arrived: Callable[[str], None]) -> None:
        self._decider, self._links, self._arrived = decider, links, arrived
        self._due: dict[str, None] = {}  # Workers that are here, and have to hear something
        self._more = asyncio.Event()

    async def run(self, notices: Notices) -> None:
        """Listen for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(notices.listen(self.hear), name="notices")
            group.create_task(self._remind(), name="reminders")

    def hear(self, told: Sequence[str] | None) -> None:
        """Take in what others told; None = something was missed."""
        if told is None:
            self._decider.wakes.everything_changed()
            return
        effects = [effect for notice in told if (effect := effect_of(notice)) is not None]
        self._decider.carry_out(effects, decided_here=False)
        for notice in told:
            kind, _, worker = notice.partition(" ")
            if kind == WORKER:
                self._hear_of(worker)

    def _hear_of(self, worker: str) -> None:
        self._arrived(worker)
        if self._links.is_here(worker):
            self._due[worker] = None
            self._more.set()

    async def _remind(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._due:
                worker = next(iter(self._due))
                del self._due[worker]
                try:
                    await self.remind(worker)
                except StoreUnavailableError:
                    pass  # its beats will tell
                except Exception:
                    log.exception("reminder failed", apart=worker, worker=worker)

    async def remind(self, worker: str) -> None:
        """Tell a Worker what was decided of it; or hang up, where it has another coordinator by now.

        Raises:
            StoreUnavailableError: it hears it with its beats.
        """
        options = self._decider.options

        def look(tx: Tx) -> tuple[str, list[Effect]]:
            record = tx.worker(worker)
            return "" if record is None else record.home, decisions.reminders(tx, options, worker=worker)

        home, effects = await self._decider.read(look)
        if home and home != options.peer_url:
            self._links.drop(worker)
        else:
            self._decider.carry_out(effects, decided_here=False)
