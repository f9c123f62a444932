"""Reads of sessions: descriptors, at once or held until there is news; lists; the queue as operators see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from livereactor.coordinator import decisions, descriptors, quotas
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.decisions.places import QueuePlace
from livereactor.coordinator.longpoll import HeldPoll
from livereactor.coordinator.machines.queue import is_poll_worth_noting, noted_every
from livereactor.protocol.http import QueueBody, SessionDescriptor
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.records import SessionRecord, SessionState

RETRY: Final = 1.0  # seconds between two reads of a held poll while the store is away
SHOWN: Final = 200  # tickets listed of a model, those served first


class SessionQueries:
    """The reads of clients: descriptors, held or not, lists of sessions, and quotas."""

    def __init__(self, decider: Decider) -> None:
        self._decider, self._options = decider, decider.options

    async def describe(self, caller: Caller, session: str, *, listed: bool = False) -> SessionDescriptor:
        """Return the descriptor of a session; a queued session's client counts as present.

        Args:
            listed: for `/info` and lists, which may say INACTIVE.

        Raises:
            NotFoundError: not there, for this caller.
        """
        return (await self._read(caller, session, listed=listed))[0]

    async def watch(
        self, caller: Caller, session: str, *, wait: float | None = None, version: str | None = None
    ) -> SessionDescriptor:
        """Return the descriptor as `describe` does, held until there is news.

        With `version`: until it is another one, for at most `wait` seconds (20 by default). Without: until the Session
        is ready or over; official clients ask 20 times at most, so a queue that moves must not use those up. While the
        store is away the hold goes on.

        Raises:
            NotFoundError: not there, for this caller.
            StoreUnavailableError: the store was still away when the hold was over.
        """
        if version is None:
            return await self._hold(caller, session, wait, descriptors.is_settled)
        return await self._hold(caller, session, wait, lambda view: view.version != version)

    async def sessions(
        self,
        caller: Caller,
        *,
        states: Sequence[SessionState] | None = None,
        model: str | None = None,
        before_seq: int | None = None,
        limit: int = 100,
    ) -> Sequence[SessionRecord]:
        """Return the caller's sessions within its reach, newest first; all sessions for `admin`.

        The last one's `seq` is the next page's `before_seq`.
        """
        operates = "admin" in caller.scopes

        def within_reach(tx: Tx) -> list[SessionRecord]:
            found = tx.sessions(
                account=None if operates else caller.account,
                model=model,
                reach=None if operates else caller.reach or None,
                states=states,
                before_seq=before_seq,
                limit=limit,
            )
            if operates or not caller.reach:
                return list(found)
            bound = [each for each in map(tx.session, caller.bound) if each is not None and _fits(each, states, model)]
            own = {each.id: each for each in (*found, *bound) if before_seq is None or each.seq < before_seq}
            return sorted(filter(caller.reaches, own.values()), key=lambda each: -each.seq)[:limit]

        return await self._decider.read(within_reach)

    async def quotas(self, caller: Caller) -> list[dict[str, Any]]:
        """Return the rows of `GET /quotas`: the limits of the account and their use."""
        now_us, options = self._decider.unix_us(), self._options
        return await self._decider.read(
            lambda tx: quotas.usage(
                tx, caller.account, options.quotas, now_us, connections=options.limits.max_connections
            )
        )

    async def _hold(
        self, caller: Caller, session: str, wait: float | None, is_news: Callable[[SessionDescriptor], bool]
    ) -> SessionDescriptor:
        loop = asyncio.get_running_loop()
        until = loop.time() + min(max(0.0, self._options.hold if wait is None else wait), self._options.hold)
        with self._decider.polls.hold(session) as poll:
            while True:
                poll.rearm()
                try:
                    view, record = await self._read(caller, session)
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
        # A client whose poll is held is present: its poll is stored as often as its ticket needs it.
        await poll.wait(min(left, noted_every(self._options.ticket_grace)) if queued else left)

    async def _read(
        self, caller: Caller, session: str, *, listed: bool = False
    ) -> tuple[SessionDescriptor, SessionRecord]:
        now_us = self._decider.unix_us()

        def described(tx: Tx) -> tuple[SessionDescriptor, SessionRecord]:
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

        view, record = await self._decider.read(described)
        if record.state is SessionState.QUEUED and is_poll_worth_noting(
            record, now_us, grace=self._options.ticket_grace
        ):
            # The store went away in between: the next poll will do, and no ticket is dropped after an outage.
            with suppress(StoreUnavailableError):
                await self._decider.decide(decisions.polled, session=session)
        return view, record


def _fits(session: SessionRecord, states: Collection[SessionState] | None, model: str | None) -> bool:
    return (states is None or session.state in states) and (model is None or session.model == model)


def queued(tx: Tx, now_us: int, model: str | None) -> list[dict[str, Any]]:
    """Return the tickets of a model, or of all models, in the order in which they are served."""
    rows: list[dict[str, Any]] = []
    for name in [model] if model is not None else sorted(tx.queued_models()):
        tickets = tx.queue(name, limit=SHOWN)
        places = decisions.places(tx, now_us, name)
        rows += [_row(now_us, ticket, places(position)) for position, ticket in enumerate(tickets, 1)]
    return rows


def _row(now_us: int, ticket: SessionRecord, place: QueuePlace) -> dict[str, Any]:
    return {
        "session_id": ticket.id,
        "account": ticket.account,
        "model": ticket.model,
        "client": ticket.client,
        "prio": ticket.prio,
        "created_at": ticket.created_us / 1e6,
        "waiting_s": round((now_us - ticket.created_us) / 1e6, 1),
        "silent_s": round((now_us - ticket.polled_us) / 1e6, 1),
        **asdict(place),
    }
