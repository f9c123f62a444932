"""The Workers' side of a history: a process with its real link, what its Slots run, and sockets that may break.

Nothing here decides: `WorkerLink` does. A process checks what it is told: it starts a Session only under a fence that
the store accepted, once, and never two in one Slot.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from livereactor.protocol import link
from livereactor.runtime.worker import events as e
from livereactor.runtime.worker.link import About, WorkerLink

UNCLAIMED, ORPHANED = 45.0, 30.0  # seconds in which somebody has to come (back)
Claim = tuple[str, int, int, str]  # worker, slot, fence, session


@dataclass(eq=False)
class Socket:
    """Frames on their way, in order, both ways.

    Attributes:
        replica: index of the coordinator that holds its other end.
        incarnation: as its first Hello said it, once that has been handled: whose frames these are.
        welcome: that Hello stood; what is told before follows it.
        is_cut: nothing passes any more, and the process does not know it yet.
        pace: chance that the next frame of it is handled when others' are; small = its coordinator is late with it.
    """

    worker: str
    replica: int
    up: deque[link.FromWorker] = field(default_factory=deque[link.FromWorker])
    down: deque[link.FromCoordinator] = field(default_factory=deque[link.FromCoordinator])
    incarnation: str = ""
    welcome: bool = False
    is_cut: bool = False
    pace: float = 0.8


@dataclass
class Running:
    """A Session in a Slot, and when it ends by itself."""

    session: str
    fence: int
    until: float
    ending: str = ""


class Node:
    """One Worker id, and the process that bears it now.

    Args:
        started: told of every Session that a process starts.
        rate: of its clock against the true one.
    """

    def __init__(
        self, worker: str, model: str, slots: int, *, pooled: bool, started: Callable[[Claim], None], rate: float
    ) -> None:
        self.worker, self.model, self._slots, self._pooled = worker, model, slots, pooled
        self._started, self._rate = started, rate
        self._names = 0
        self.at = 0.0  # true seconds
        self.frozen_until = 0.0
        self.stays_dead = False
        self.socket: Socket | None = None
        self.left: list[Socket] = []  # broken ones, whose last frames may still arrive
        self.boot()

    def boot(self) -> None:
        """A new process under the same id, with whatever the last one ran gone."""
        about = About(self.worker, self.model, "v1", {"max_sessions": self._slots}, pooled=self._pooled)
        self.link = WorkerLink(about, self._slots, incarnation=self._fresh, drain_timeout=30.0, now=self._now)
        self.running: dict[int, Running] = {}
        self.is_over = False
        self.frozen_until = 0.0
        self.tell(e.AllLoaded())

    def die(self, *, lost: bool) -> None:
        """At once; `lost` as in `break_socket`."""
        self._leave_socket(lost=lost)
        self.running, self.is_over = {}, True

    def _fresh(self) -> str:
        self._names += 1
        return f"life-{self.worker}-{self._names}"

    @property
    def incarnation(self) -> str:
        """The newest that it made; what it last registered under, or will."""
        return f"life-{self.worker}-{self._names}"

    @property
    def _now(self) -> float:
        return self.at * self._rate

    @property
    def is_frozen(self) -> bool:
        return self.at < self.frozen_until

    def tell(self, event: e.LinkEvent) -> None:
        for effect in self.link.handle(event, self._now):
            self._do(effect)

    def _do(self, effect: e.LinkEffect) -> None:
        match effect:
            case e.Send(frame=frame):
                if self.socket is not None and not self.socket.is_cut:
                    self.socket.up.append(frame)
            case e.Start(slot=slot, session=session):
                assert slot not in self.running, "a Slot has two Sessions"
                fence = self.link.slots[slot].fence
                self._started((self.worker, slot, fence, session))
                self.running[slot] = Running(session, fence, self.at + UNCLAIMED)
            case e.EndSession(slot=slot, session=session, reason=reason):
                assert self.running[slot].session == session, "what does not run is ended"
                self.running[slot].ending = self.running[slot].ending or reason
            case e.CloseSocket():
                self.break_socket(lost=False)
            case e.EndProcess():
                assert not self.running, "it leaves while a Session runs"
                self.is_over = True
                self._leave_socket(lost=False)
            case e.PassRequest() | e.RefuseRequest():
                raise AssertionError("nobody asks")

    # --- the socket ---------------------------------------------------------------------------------------------------

    def dial(self, replica: int) -> None:
        if self.socket is None and self.link.may_dial and not self.is_over and not self.is_frozen:
            self.socket = Socket(self.worker, replica)
            self.tell(e.SocketOpened())

    def break_socket(self, *, lost: bool) -> None:
        """Both sides are told. `lost`: what was on it goes nowhere; otherwise the coordinator reads it still."""
        if self.socket is not None:
            self._leave_socket(lost=lost)
            self.tell(e.SocketClosed())

    def _leave_socket(self, *, lost: bool) -> None:
        if self.socket is not None and not lost and not self.socket.is_cut:
            self.left.append(self.socket)
        self.socket = None

    def hear(self) -> None:
        if self.socket is not None and self.socket.down and not self.is_frozen and not self.socket.is_cut:
            self.tell(self.socket.down.popleft())

    # --- time and clients -------------------------------------------------------------------------------------------

    def wake(self, at: float) -> None:
        """Its timers, as the shell's, and the ends of its Sessions that are due."""
        self.at = at
        if self.is_frozen or self.is_over:
            return
        for _ in range(8):
            deadline = self.link.deadline()
            if deadline is None or deadline > self._now:
                break
            self.tell(e.TimedOut())
        for slot, each in sorted(self.running.items()):
            if each.ending or each.until <= at:
                self.close(slot, "timed_out")

    def client(self, dice: random.Random) -> None:
        """Somebody comes to one of its Sessions, or leaves."""
        if self.is_frozen or not self.running:
            return
        slot = dice.choice(sorted(self.running))
        if not self.running[slot].ending and dice.random() < 0.8:
            self.come(slot) if dice.random() < 0.6 else self.leave(slot)
        else:
            self.close(slot, "timed_out")

    def come(self, slot: int) -> None:
        self.running[slot].until = float("inf")
        self.tell(e.SlotMoved(slot, self.running[slot].session, "streaming", seen=True))

    def leave(self, slot: int) -> None:
        self.running[slot].until = self.at + ORPHANED
        self.tell(e.SlotMoved(slot, self.running[slot].session, "orphaned"))

    def close(self, slot: int, reason: str) -> None:
        ended = self.running[slot]
        reason = ended.ending or reason
        self.tell(e.SlotMoved(slot, ended.session, "closing", reason))
        del self.running[slot]
        self.tell(e.SlotClosed(slot, ended.session, reason))
