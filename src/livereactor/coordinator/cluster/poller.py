"""Changes made by other processes (the command line on the data folder, other replicas), found in their events.

One query a second serves all held polls together; while nothing happens it reads the number of the newest event. While
no poll is held there is no query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from livereactor.coordinator.longpoll import HeldPolls
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import EventRecord

EVERY: Final = 1.0  # seconds: what a change from elsewhere may be told late
PAGE: Final = 500
PAGES: Final = 8  # past so many events in a second, letting everybody look is cheaper than to read on


class EventPoller:
    """Loop only."""

    def __init__(self, store: Store, polls: HeldPolls) -> None:
        self._store, self._polls = store, polls
        self._seen: int | None = None  # None = nobody was held, so nobody missed anything

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(EVERY)
            await self.poll()

    async def poll(self) -> None:
        """Wake whom the events since the last look are about. While the store is away: nothing happens."""
        if not self._polls.held:
            self._seen = None
            return
        try:
            await self._poll()
        except StoreUnavailableError:
            self._seen = None

    async def _poll(self) -> None:
        seen = self._seen
        if seen is None:  # the first were held since the last look: they look once more, and all events from here count
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
