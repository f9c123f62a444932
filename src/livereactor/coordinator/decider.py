"""One decision at a time: its transaction, then its effects. Loop only; what Service, polls and sweeper stand on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar, assert_never

import structlog

from livereactor.coordinator import turn
from livereactor.coordinator.cluster.notices import hint_of
from livereactor.coordinator.cluster.outages import Outages
from livereactor.coordinator.cluster.worker_links import Links
from livereactor.coordinator.decisions.effects import (
    Effect,
    FirstFrame,
    FleetChanged,
    QueueChanged,
    SessionChanged,
    SessionEnded,
    TellAssigned,
    TellDrain,
    TellEnded,
    WorkerLost,
)
from livereactor.coordinator.http.longpoll import Wakes
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Notices, Store, Tx

T = TypeVar("T")
P = ParamSpec("P")
log = structlog.get_logger("livereactor.coordinator")


class Decider:
    """Runs decisions and carries out what they ask for.

    Args:
        unix_us: the clock, microseconds of Unix time.
        notices: tells the other coordinators; None = there are none.

    Attributes:
        wakes: the held polls.
        outages: how the store has been.
    """

    def __init__(
        self,
        store: Store,
        links: Links,
        options: CoordinatorOptions,
        unix_us: Callable[[], int],
        notices: Notices | None = None,
    ) -> None:
        self.store, self.options, self.unix_us = store, options, unix_us
        self._notices = notices
        self.wakes = Wakes()
        self.outages = Outages(options.store_grace, now=time.monotonic())
        self._links = links
        self._listeners: list[Callable[[Effect], None]] = []

    def listen(self, listener: Callable[[Effect], None]) -> None:
        """Call it with every effect."""
        self._listeners.append(listener)

    async def decide(
        self,
        decision: Callable[Concatenate[Tx, int, CoordinatorOptions, P], tuple[T, list[Effect]]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Its result, once it stands and its effects are carried out.

        Raises:
            StoreUnavailableError: nothing of it stands.
        """
        now_us, options = self.unix_us(), self.options
        work = self.store.transact(lambda tx: decision(tx, now_us, options, *arguments, **named))
        result, effects = await self.outages.notice(work, time.monotonic)
        self.carry_out(effects)
        return result

    async def read(self, work: Callable[[Tx], T]) -> T:
        """What `work` finds, without locks; raises `StoreUnavailableError`."""
        return await self.outages.notice(self.store.read(work), time.monotonic)

    def carry_out(self, effects: Sequence[Effect], *, decided_here: bool = True) -> None:
        """In order; what was not `decided_here` the others know already."""
        hints: list[str] = []
        for effect in effects:
            is_done = self._do(effect)
            if decided_here and not is_done and (hint := hint_of(effect)) is not None:
                hints.append(hint)
            for listener in self._listeners:
                try:
                    listener(effect)
                except Exception:  # one follower's fault must not keep the others, or a client, from what happened
                    log.exception("listener failed", effect=type(effect).__name__)
        if hints:
            self.hint(hints)

    def hint(self, hints: Sequence[str]) -> None:
        """Tell the other coordinators, if there are any."""
        if self._notices is not None:
            self._notices.tell(hints)

    def _do(self, effect: Effect) -> bool:
        """Whether nobody else has to hear of it: its Worker's socket is here."""
        match effect:
            case TellAssigned():
                return self._assign(effect)
            case TellEnded():
                frame = link.End(
                    slot=effect.slot,
                    fence=effect.fence,
                    session=effect.session,
                    reason=effect.reason,
                    moderate=effect.moderate,
                )
                return self._links.tell(effect.worker, frame)
            case TellDrain(worker=worker, grace=grace):
                log.info("worker drains", worker=worker, grace_s=grace)
                return self._links.tell(worker, link.Drain(grace=grace))
            case SessionChanged(session=session):
                self.wakes.session_changed(session)
            case QueueChanged(model=model):
                self.wakes.queue_changed(model)
            case WorkerLost(worker=worker, model=model):
                log.warning("worker lost", worker=worker, model=model)
            case FirstFrame() | SessionEnded() | FleetChanged():
                pass  # for listeners
            case _:
                assert_never(effect)
        return False

    def _assign(self, effect: TellAssigned) -> bool:
        """Its start is the client's wishes with what the coordinator alone knows."""
        limits = self.options.limits
        servers = turn.ice_servers(
            self.options.turn,
            effect.session,
            now_at=self.unix_us() // 1_000_000,
            longest=effect.start.get("max_duration", limits.max_session_duration),
        )
        start = {
            "reconnection_window": limits.reconnection_window,
            "unclaimed_window": limits.unclaimed_window,
            **effect.start,
            "session_id": effect.session,
            "ice_servers": [each.to_body() for each in servers],
        }
        here = self._links.tell(
            effect.worker, link.Assign(slot=effect.slot, fence=effect.fence, session=effect.session, start=start)
        )
        told = {"worker": effect.worker, "slot": effect.slot, "fence": effect.fence, "told": here}
        if effect.again:  # beats and other coordinators bring it about again; one assignment is one line
            log.debug("session assigned, told again", session=effect.session, **told)
        else:
            log.info("session assigned", session=effect.session, **told)
        return here
