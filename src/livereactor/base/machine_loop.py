"""The shell of a machine on an asyncio loop: passes events with the time, applies effects, keeps the deadline."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic

import structlog

from livereactor.base.machine import EffectT, EventT, Machine

SLACK: Final = 0.001  # seconds; a timer that is this much early is set again, not missed

log = structlog.get_logger("livereactor.machine")


class MachineLoop(Generic[EventT, EffectT]):
    """The clock and the effects of a machine. Loop only.

    An event that `apply` passes on in turn is decided at once, and its effects are applied after those that wait
    already: a client that is lost while all are told of the end leaves after all were told.

    Args:
        apply: does one effect.
        timed_out: makes the event for a deadline that has passed.
        settled: called once no effect is left, after each event.

    Attributes:
        machine: the one that `enter` was given last.
    """

    machine: Machine[Any, EventT, EffectT]

    def __init__(
        self,
        apply: Callable[[EffectT], None],
        timed_out: Callable[[], EventT],
        *,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        self._apply_one, self._timed_out, self._settled = apply, timed_out, settled
        self._effects: deque[EffectT] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, machine: Machine[Any, EventT, EffectT]) -> None:
        """Serve this machine from now on; its first event, or `arm`, starts its timer."""
        self.close()
        self.machine = machine

    def handle(self, event: EventT) -> None:
        """Pass an event to the machine and apply its effects; raises what the machine raises, and then does nothing."""
        self.apply(self.machine.handle(event, time.monotonic()))

    def apply(self, effects: list[EffectT]) -> None:
        """Apply effects, after those that wait already."""
        self._effects.extend(effects)
        if self._busy:
            return
        self._busy = True
        try:
            while self._effects:
                self._do(self._effects.popleft())
        finally:
            self._busy = False
        self.arm()
        self._settled()

    def arm(self) -> None:
        """Start the timer of the machine's deadline."""
        # Set anew only when the deadline came nearer: a ping or a command, which moves it back, costs no timer.
        deadline = self.machine.deadline()
        if deadline is None:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + max(0.0, deadline - time.monotonic())
        if self._timer is not None:
            if self._timer.when() <= when + SLACK:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._wake)

    def close(self) -> None:
        """Stop the timer; an event starts it again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _do(self, effect: EffectT) -> None:
        try:
            self._apply_one(effect)
        except Exception:  # a bug of ours: the effects behind it must still happen, or nothing ever ends
            log.exception("effect failed", machine=type(self.machine).__name__, effect=type(effect).__name__)

    def _wake(self) -> None:
        self._timer = None
        deadline = self.machine.deadline()
        if deadline is not None and deadline <= time.monotonic():
            self.handle(self._timed_out())
        else:
            self.arm()
