"""Traces of how long a session waited for a worker, and how long the worker took to accept it.

The coordinator that created a session traces it, whichever one assigns it. Without a tracer nothing is followed.
"""

from __future__ import annotations

import asyncio
from typing import Final

from livereactor.base import spans
from livereactor.coordinator.decider import Decider
from livereactor.coordinator.decisions.effects import Effect, SessionChanged, SessionEnded
from livereactor.store.port import StoreUnavailableError
from livereactor.store.records import SessionRecord

FOLLOWED: Final = 1_000  # Sessions that wait at once; those beyond are not traced
SESSION: Final = "livereactor.session"


class Assignments:
    """The Sessions made here that no Worker has accepted yet."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._waiting: set[str] = set()
        self._checks: dict[str, asyncio.Task[None]] = {}
        decider.subscribe(self._on_effect)

    def follow(self, session: SessionRecord) -> None:
        """It has just been made."""
        if spans.tracer() is not None and session.start.get(spans.HEADER) and len(self._waiting) < FOLLOWED:
            self._waiting.add(session.id)
            self._check_soon(session.id)

    def _on_effect(self, effect: Effect) -> None:
        match effect:
            case SessionChanged(session=session) if session in self._waiting:
                self._check_soon(session)
            case SessionEnded(session=session):
                self._waiting.discard(session)
            case _:
                pass

    def _check_soon(self, session: str) -> None:
        before = self._checks.get(session)
        task = asyncio.get_running_loop().create_task(self._check(session, before), name=f"trace of {session}")
        self._checks[session] = task  # kept, or it might be collected
        task.add_done_callback(lambda done: self._done(session, done))

    def _done(self, session: str, task: asyncio.Task[None]) -> None:
        if self._checks.get(session) is task:
            del self._checks[session]

    async def _check(self, session: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        if session not in self._waiting:
            return
        try:
            record = await self._decider.read(lambda tx: tx.session(session))
        except StoreUnavailableError:
            return  # the next change is looked at
        if record is not None and record.assigned_us is not None and record.accepted_us is not None:
            self._waiting.discard(session)
            self._trace(record, record.assigned_us, record.accepted_us)

    def _trace(self, record: SessionRecord, assigned_us: int, accepted_us: int) -> None:
        if (tracer := spans.tracer()) is None:
            return
        parent = spans.parsed(str(record.start.get(spans.HEADER, "")))
        found = {SESSION: record.id, "livereactor.model": record.model, "livereactor.worker": record.worker or ""}
        for name, began_us, ended_us in (
            ("session.queued", record.created_us, assigned_us),
            ("session.assigned", assigned_us, accepted_us),
        ):
            span = tracer.start_span(name, parent, attributes=found, start_time=began_us * 1_000)
            span.end(ended_us * 1_000)
