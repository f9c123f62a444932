"""The decider runs a decision: its transaction, then its effects. Service, polls and the sweeper use it.

Everything here runs on one event loop.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, Final, ParamSpec, TypeVar, assert_never

import structlog

from livereactor.coordinator.decisions.effects import (
    Effect,
    FirstFrame,
    FleetChanged,
    NotifyAssigned,
    NotifyDrain,
    NotifyEnded,
    QueueChanged,
    SessionChanged,
    SessionClosed,
    WorkerDeclaredLost,
)
from livereactor.coordinator.longpoll import HeldPolls
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.protocol import link
from livereactor.store.port import Store, StoreUnavailableError, Tx

T = TypeVar("T")
P = ParamSpec("P")
GAP: Final = 5.0  # seconds between two ticks, or between two clocks, beyond which it is no mere delay
log = structlog.get_logger("livereactor.coordinator")


class Outages:
    """The record of when store and coordinator were away, so that silence is judged only when it means something.

    While the store is away, or this process does not run (its host slept), no beat or poll can be stored. Judged
    at the first moment back, every client and worker would have been silent for too long. So there is a grace after
    each such gap, after a clock that was set, and after the start, which may end a gap. Times are monotonic seconds.

    Attributes:
        errors: number of calls that found the store away.
    """

    def __init__(self, grace: float, *, now: float) -> None:
        self._grace = grace
        self._steady_from = now + grace
        self._since: float | None = None
        self._ticked: tuple[float, float] | None = None
        self.errors = 0

    @property
    def away(self) -> bool:
        """Whether the last call to the store found it away."""
        return self._since is not None

    def is_steady(self, now: float) -> bool:
        """Return whether silence counts."""
        return self._since is None and now >= self._steady_from

    def tick(self, now: float, unix: float) -> None:
        """Note that time passes, about once a second; a late tick, or a clock that jumped, is a gap.

        Args:
            unix: seconds of Unix time, which goes on while the host sleeps, and can be set.
        """
        if self._ticked is not None:
            passed, by_clock = now - self._ticked[0], unix - self._ticked[1]
            if passed > GAP or abs(by_clock - passed) > GAP:
                log.warning("time gap", passed_s=round(passed, 1), clock_s=round(by_clock, 1), grace_s=self._grace)
                self._steady_from = now + self._grace
        self._ticked = now, unix

    async def notice(self, call: Awaitable[T], clock: Callable[[], float]) -> T:
        """Wait for a call to the store, and note whether and when it fails."""
        try:
            result = await call
        except StoreUnavailableError as error:
            self.errors += 1
            if self._since is None:
                self._since = clock()
                log.error("store away", reason=error.message)
            raise
        if self._since is not None:
            now = clock()
            log.warning("store back", away_s=round(now - self._since, 1), grace_s=self._grace)
            self._since, self._steady_from = None, now + self._grace
        return result


class Decider:
    """Runs decisions and applies their effects.

    Args:
        unix_us: the clock, microseconds of Unix time.
        notify: called with the effects decided here that no worker socket of this replica has taken, for the other
            coordinators; None = this is the only one.

    Attributes:
        polls: the held polls.
        outages: when the store was away.
    """

    def __init__(
        self,
        store: Store,
        sockets: WorkerSockets,
        options: CoordinatorOptions,
        unix_us: Callable[[], int],
        notify: Callable[[Sequence[Effect]], None] | None = None,
    ) -> None:
        self.store, self.options, self.unix_us = store, options, unix_us
        self._notify = notify
        self.polls = HeldPolls()
        self.outages = Outages(options.store_grace, now=time.monotonic())
        self._sockets = sockets
        self._listeners: list[Callable[[Effect], None]] = []

    def subscribe(self, listener: Callable[[Effect], None]) -> None:
        """Call `listener` with every effect."""
        self._listeners.append(listener)

    async def decide(
        self,
        decision: Callable[Concatenate[Tx, int, CoordinatorOptions, P], tuple[T, list[Effect]]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return a decision's result, once it is committed and its effects are applied.

        Raises:
            StoreUnavailableError: the decision was not stored.
        """
        now_us, options = self.unix_us(), self.options
        work = self.store.transact(lambda tx: decision(tx, now_us, options, *arguments, **named))
        result, effects = await self.outages.notice(work, time.monotonic)
        self.apply(effects)
        return result

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Return the result of `work`, which reads without locks; raises `StoreUnavailableError`."""
        return await self.outages.notice(self.store.read(work), time.monotonic)

    def apply(self, effects: Sequence[Effect], *, decided_here: bool = True) -> None:
        """Apply effects in order; tell the other coordinators of those that were decided here."""
        open_effects: list[Effect] = []
        for effect in effects:
            if not self._apply(effect):
                open_effects.append(effect)
            for listener in self._listeners:
                try:
                    listener(effect)
                except Exception:  # one listener's fault must not keep the others, or a client, from what happened
                    log.exception("listener failed", effect=type(effect).__name__)
        if decided_here and self._notify is not None:
            self._notify(open_effects)

    def _apply(self, effect: Effect) -> bool:
        """Apply one effect; True = its worker's socket is here, so no other coordinator needs to know."""
        match effect:
            case NotifyAssigned():
                return self._assign(effect)
            case NotifyEnded():
                frame = link.End(
                    slot=effect.slot,
                    fence=effect.fence,
                    session=effect.session,
                    reason=effect.reason,
                    moderate=effect.moderate,
                )
                return self._sockets.send(effect.worker, frame)
            case NotifyDrain(worker=worker, grace=grace):
                log.info("worker drains", worker=worker, grace_s=grace)
                return self._sockets.send(worker, link.Drain(grace=grace))
            case SessionChanged(session=session):
                self.polls.session_changed(session)
            case QueueChanged(model=model):
                self.polls.queue_changed(model)
            case WorkerDeclaredLost(worker=worker, model=model):
                log.warning("worker lost", worker=worker, model=model)
            case FirstFrame() | SessionClosed() | FleetChanged():
                pass  # for listeners
            case _:
                assert_never(effect)
        return False

    def _assign(self, effect: NotifyAssigned) -> bool:
        """Send the assignment: the client's request with the id, ICE servers and windows that the coordinator adds."""
        limits = self.options.limits
        servers = self.options.turn.ice_servers(
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
        here = self._sockets.send(
            effect.worker, link.Assign(slot=effect.slot, fence=effect.fence, session=effect.session, start=start)
        )
        fields = {"worker": effect.worker, "slot": effect.slot, "fence": effect.fence, "told": here}
        if effect.again:  # beats and other coordinators repeat it; one assignment is one line
            log.debug("assignment repeated", session=effect.session, **fields)
        else:
            log.info("session assigned", session=effect.session, **fields)
        return here
