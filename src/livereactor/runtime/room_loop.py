"""Feeds a Room, hands its effects over in order, and wakes it at its deadline. Loop only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from livereactor.runtime.room import Room
from livereactor.runtime.room_events import RoomEffect, RoomEvent, TimedOut

SLACK: Final = 0.001  # seconds; a timer that is this much early is set again, not missed


class RoomLoop:
    """The clock and the hands of a Room.

    Args:
        carry_out: does one effect; what it in turn tells the Room is handled at once.
    """

    room: Room

    def __init__(self, carry_out: Callable[[RoomEffect], None]) -> None:
        self._carry_out = carry_out
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, room: Room) -> None:
        """Serve this Room from now on."""
        self.close()
        self.room = room

    def handle(self, event: RoomEvent) -> None:
        """Tell the Room and do what it asks; raises what the Room raises, and then nothing was done."""
        for effect in self.room.handle(event, time.monotonic()):
            self._carry_out(effect)
        self._arm()

    def close(self) -> None:
        """Wake it no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """One timer, set anew only when the deadline came nearer: a ping or a command costs no timer."""
        deadline = self.room.deadline()
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
        deadline = self.room.deadline()
        if deadline is not None and deadline <= time.monotonic():
            self.handle(TimedOut())
        else:
            self._arm()
