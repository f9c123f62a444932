"""Changes made elsewhere: notices between the coordinators on one database, and events that a poller finds there.

A notice is sent for a decision made here, and applied here for those of others. It is a word for the kind and a name:
`session ses_…`. Notices are hints, which come within milliseconds if the database passes them on: polls, beats, the
fleet and the sweeper make up for a lost one.

Changes by other processes (the command line on the data folder, too) are found within a second in their events. One
query serves all held polls together; while no poll is held there is no query. Everything here runs on one event loop.
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
from livereactor.coordinator.longpoll import HeldPolls
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.store.port import Notices, Store, StoreUnavailableError, Tx
from livereactor.store.records import EventRecord

# A worker connected to another coordinator, or the coordinator that holds its socket has something to send to it.
WORKER: Final = "worker"
_SESSION, _QUEUE, _FLEET = "session", "queue", "fleet"
log = SparseLog(structlog.get_logger("livereactor.coordinator"))


def worker_notice(worker: str) -> str:
    """Return the notice about a worker."""
    return f"{WORKER} {worker}"


def notice_of(effect: Effect) -> str | None:
    """Return the notice for other coordinators; None = they need none, or the worker gets it with its next beat."""
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
        arrived: called with each worker that connected to another coordinator.
    """

    def __init__(self, decider: Decider, sockets: WorkerSockets, arrived: Callable[[str], None]) -> None:
        self._decider, self._sockets, self._arrived = decider, sockets, arrived
        self._due: dict[str, None] = {}  # workers whose sockets are here, and that have to be reminded
        self._more = asyncio.Event()

    async def run(self, notices: Notices) -> None:
        """Listen until cancelled."""
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
        """Send a worker the decisions about it; or close its socket, if it has another coordinator by now.

        Raises:
            StoreUnavailableError: the worker gets it with its beats.
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


EVERY: Final = 1.0  # seconds: how late a change from elsewhere may reach a client
PAGE: Final = 500
PAGES: Final = 8  # pages in one poll; beyond them, waking every held poll is cheaper than reading on


class EventPoller:
    """Wakes held polls for events that others wrote to the store. Loop only."""

    def __init__(self, store: Store, polls: HeldPolls) -> None:
        self._store, self._polls = store, polls
        self._seen: int | None = None  # None = no poll was held, so none missed an event

    async def run(self) -> None:
        """Poll until cancelled, every `EVERY` seconds."""
        while True:
            await asyncio.sleep(EVERY)
            await self.poll()

    async def poll(self) -> None:
        """Wake the polls that new events are about; nothing happens while the store is away."""
        if not self._polls.held:
            self._seen = None
            return
        try:
            await self._poll()
        except StoreUnavailableError:
            self._seen = None

    async def _poll(self) -> None:
        seen = self._seen
        if seen is None:  # polls are held since the last run: they read once more, and events count from here
            self._seen = await self._store.read(lambda tx: tx.last_event())
            self._polls.everything_changed()
            return
        events = await self._store.read(lambda tx: _since(tx, seen))
        if not events:
            return
        if len(events) < PAGE * PAGES:
            self._seen = events[-1].seq
            self._wake(events)
        else:
            self._seen = None

    def _wake(self, events: Sequence[EventRecord]) -> None:
        for session in {event.session for event in events if event.session is not None}:
            self._polls.session_changed(session)
        models = {str(event.data["model"]) for event in events if "model" in event.data}
        for model in models:
            self._polls.queue_changed(model)


def _since(tx: Tx, seen: int) -> list[EventRecord]:
    found: list[EventRecord] = []
    if tx.last_event() <= seen:
        return found
    for _ in range(PAGES):
        page = tx.events(after_seq=found[-1].seq if found else seen, limit=PAGE)
        found += page
        if len(page) < PAGE:
            break
    return found
