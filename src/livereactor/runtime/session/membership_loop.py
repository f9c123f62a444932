"""Feeds a Membership, carries its effects out in order, and wakes it at its deadline. Loop only."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from livereactor.runtime.session.events import MembershipEffect, MembershipEvent, TimedOut
from livereactor.runtime.session.membership import Membership

SLACK: Final = 0.001  # seconds; a timer that is this much early is set again, not missed

log = structlog.get_logger("livereactor.session")


class MembershipLoop:
    """The clock and the hands of a Membership.

    Args:
        carry_out: does one effect. What it in turn tells the Membership is decided at once, and done after the effects
            that wait already: a client lost while the end is told to all leaves after them.
    """

    machine: Membership

    def __init__(self, carry_out: Callable[[MembershipEffect], None]) -> None:
        self._carry_out = carry_out
        self._effects: deque[MembershipEffect] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, machine: Membership) -> None:
        """Serve this Membership from now on."""
        self.close()
        self.machine = machine

    def handle(self, event: MembershipEvent) -> None:
        """Tell the Membership and do what it asks; raises what the Membership raises, and then nothing was done."""
        self.apply(self.machine.handle(event, time.monotonic()))

    def apply(self, effects: list[MembershipEffect]) -> None:
        """Carry effects out, after those that wait already."""
        self._effects.extend(effects)
        if self._busy:
            return
        self._busy = True
        try:
            while self._effects:
                self._do(self._effects.popleft())
        finally:
            self._busy = False
        self._arm()

    def close(self) -> None:
        """Wake it no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _do(self, effect: MembershipEffect) -> None:
        try:
            self._carry_out(effect)
        except Exception:  # a bug of ours: the effects behind it must still happen, or the Session never ends
            log.exception("effect failed", effect=type(effect).__name__)

    def _arm(self) -> None:
        """One timer, set anew only when the deadline came nearer: a ping or a command costs no timer."""
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

    def _wake(self) -> None:
        self._timer = None
        deadline = self.machine.deadline()
        if deadline is not None and deadline <= time.monotonic():
            self.handle(TimedOut())
        else:
            self._arm()
