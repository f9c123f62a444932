"""Session descriptors for clients that poll, given at once or held until there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from livereactor.coordinator import decisions, descriptors
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.longpoll import HeldPoll
from livereactor.coordinator.machines.queue import is_poll_worth_noting, noted_every
from livereactor.protocol.http import QueueBody, SessionDescriptor
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.records import SessionRecord, SessionState

RETRY: Final = 1.0  # seconds between two looks of a held poll at a store that is away


class SessionPolls:
    """Descriptors, held and not."""

    def __init__(self, decider: Decider) -> None:
        self._decider, self._options = decider, decider.options

    async def describe(self, caller: Caller, session: str, *, listed: bool = False) -> SessionDescriptor:
        """Return the descriptor now, as `Service.describe` says."""
        return (await self._look(caller, session, listed=listed))[0]

    async def watch(
        self, caller: Caller, session: str, *, wait: float | None, version: str | None
    ) -> SessionDescriptor:
        """Return the descriptor once there is news, as `Service.watch` says."""
        if version is None:
            return await self._hold(caller, session, wait, descriptors.is_settled)
        return await self._hold(caller, session, wait, lambda view: view.version != version)

    async def _hold(
        self, caller: Caller, session: str, wait: float | None, is_news: Callable[[SessionDescriptor], bool]
    ) -> SessionDescriptor:
        loop = asyncio.get_running_loop()
        until = loop.time() + min(max(0.0, self._options.hold if wait is None else wait), self._options.hold)
        with self._decider.polls.hold(session) as poll:
            while True:
                poll.rearm()
                try:
                    view, record = await self._look(caller, session)
                except StoreUnavailableError:
                    if loop.time() >= until or not poll.is_held:
                        raise
                    await poll.wait(min(RETRY, until - loop.time()))
                    continue
                if loop.time() >= until or not poll.is_held or is_news(view):
                    return view
                await self._sleep(poll, record, until - loop.time())

    async def _sleep(self, poll: HeldPoll, record: SessionRecord, left: float) -> None:
        queued = record.state is SessionState.QUEUED
        poll.queued_at(record.model if queued else None)
        # Whoever is held is there: its poll is written down as often as its Ticket needs it.
        await poll.wait(min(left, noted_every(self._options.ticket_grace)) if queued else left)

    async def _look(
        self, caller: Caller, session: str, *, listed: bool = False
    ) -> tuple[SessionDescriptor, SessionRecord]:
        now_us = self._decider.unix_us()

        def look(tx: Tx) -> tuple[SessionDescriptor, SessionRecord]:
            record = caller.must_reach(tx.session(session), session)
            caller.need("view")
            place = decisions.place(tx, now_us, record)
            view = descriptors.described(
                record,
                tx.model(record.model),
                reconnection_window=self._options.limits.reconnection_window,
                queue=None if place is None else QueueBody(**asdict(place)),
                listed=listed,
            )
            return view, record

        view, record = await self._decider.read(look)
        if record.state is SessionState.QUEUED and is_poll_worth_noting(
            record, now_us, grace=self._options.ticket_grace
        ):
            # A store that went away in between: the next poll is as good, and after an outage no Ticket is dropped.
            with suppress(StoreUnavailableError):
                await self._decider.decide(decisions.polled, session=session)
        return view, record
