"""Notices between the coordinators on one database: sent for decisions made here, applied here for those of others.

A notice is a word for the kind and a name: `session ses_…`. Notices are hints: polls, beats, the fleet and the sweeper
find what a lost one was about. What `poller.py` finds in the events within a second is heard here within milliseconds,
where the database passes notices on. Everything here runs on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from livereactor.base.sparse_log import SparseLog
from livereactor.coordinator import decisions
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.decisions.effects import (
    Effect,
    FleetChanged,
    NotifyAssigned,
    NotifyEnded,
    QueueChanged,
    SessionChanged,
)
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.store.port import Notices, StoreUnavailableError, Tx

# A worker came to another coordinator, or the coordinator that holds its socket has something to send to it.
WORKER: Final = "worker"
_SESSION, _QUEUE, _FLEET = "session", "queue", "fleet"
log = SparseLog(structlog.get_logger("livereactor.coordinator"))


def worker_notice(worker: str) -> str:
    """Return the notice about a worker."""
    return f"{WORKER} {worker}"


def notice_of(effect: Effect) -> str | None:
    """Return the notice for other coordinators; None = they need none, or the worker hears it with its next beat."""
    match effect:
        case SessionChanged(session=session):
            return f"{_SESSION} {session}"
        case QueueChanged(model=model):
            return f"{_QUEUE} {model}"
        case FleetChanged(model=model):
            return f"{_FLEET} {model}"
        case NotifyAssigned(worker=worker) | NotifyEnded(worker=worker):
            return worker_notice(worker)
        case _:
            return None


def effect_of(notice: str) -> Effect | None:
    """Return the effect that a notice asks for; None for notices about workers, and for kinds of newer versions."""
    kind, _, name = notice.partition(" ")
    match kind:
        case "session":
            return SessionChanged(name)
        case "queue":
            return QueueChanged(name)
        case "fleet":
            return FleetChanged(name)
        case _:
            return None


class NoticeListener:
    """Applies the notices of other coordinators to this one.

    Args:
        arrived: called with each worker that came to another coordinator.
    """

    def __init__(self, decider: Decider, sockets: WorkerSockets, arrived: Callable[[str], None]) -> None:
        self._decider, self._sockets, self._arrived = decider, sockets, arrived
        self._due: dict[str, None] = {}  # workers whose sockets are here, and that have to hear something
        self._more = asyncio.Event()

    async def run(self, notices: Notices) -> None:
        """Listen for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(notices.listen(self.receive), name="notices")
            group.create_task(self._remind_all(), name="reminders")

    def receive(self, notices: Sequence[str] | None) -> None:
        """Apply notices; None = some were missed."""
        if notices is None:
            self._decider.polls.everything_changed()
            return
        effects = [effect for notice in notices if (effect := effect_of(notice)) is not None]
        self._decider.apply(effects, decided_here=False)
        for notice in notices:
            kind, _, worker = notice.partition(" ")
            if kind == WORKER:
                self._note_worker(worker)

    def _note_worker(self, worker: str) -> None:
        self._arrived(worker)
        if self._sockets.is_here(worker):
            self._due[worker] = None
            self._more.set()

    async def _remind_all(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._due:
                worker = next(iter(self._due))
                del self._due[worker]
                try:
                    await self.remind(worker)
                except StoreUnavailableError:
                    pass  # its beats bring the same
                except Exception:
                    log.exception("reminder failed", apart=worker, worker=worker)

    async def remind(self, worker: str) -> None:
        """Send a worker what was decided about it; or hang up, if it has another coordinator by now.

        Raises:
            StoreUnavailableError: the worker hears it with its beats.
        """
        options = self._decider.options

        def read(tx: Tx) -> tuple[str, list[Effect]]:
            record = tx.worker(worker)
            return "" if record is None else record.home, decisions.reminders(tx, options, worker=worker)

        home, effects = await self._decider.read(read)
        if home and home != options.peer_url:
            self._sockets.drop(worker)
        else:
            self._decider.apply(effects, decided_here=False)
