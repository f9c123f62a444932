"""A Worker's link to its coordinator: registration, lease, Slots, drain, and the end.

Pure. The shell (`worker.py`) dials while `may_dial`, passes `now`, applies the effects in order, and delivers
`TimedOut` at `deadline()`. `lease.py` knows what each Slot holds.

One file: the registration, the beats and the drain decide together what becomes of the Slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from livereactor.base.machine import IGNORED, Machine, Table
from livereactor.protocol import link
from livereactor.runtime.worker.events import (
    AllLoaded,
    CloseSocket,
    DrainRequested,
    EndProcess,
    LinkEffect,
    LinkEvent,
    LoadProgressed,
    PassRequest,
    RefuseRequest,
    Send,
    SlotBroken,
    SlotClosed,
    SlotMoved,
    SocketClosed,
    SocketEvent,
    SocketOpened,
    TimedOut,
)
from livereactor.runtime.worker.lease import GivenUp, LeaseConfirmed, LeaseDenied, LeaseState, SlotEvent, SlotLease

GREETING_WAIT: Final = 10.0  # seconds for the answer to a Hello
TELLING: Final = 3.0  # seconds for telling that the model did not load, where the link is not up
PROGRESS_EVERY: Final = 0.25  # seconds between two beats that only tell how loading goes on
WorkerPhase: TypeAlias = Literal["starting", "ready", "draining"]
UNANSWERED: Final = 64  # beats remembered: those of 60 s, and the ones in between


class LinkState(Enum):
    """The state of a process's registration with its coordinator."""

    AWAY = "away"  # no socket is open; one may be opening
    GREETING = "greeting"  # `Hello` is sent, and the answer has not come
    UP = "up"  # the worker is registered
    EMPTYING = "emptying"  # the registration is void: every slot has to be empty before the next one
    ENDED = "ended"  # final


_S = LinkState
# A socket that was given up may still deliver frames, and its end; a process that ends needs nothing any more.
_STALE: Final[Mapping[type[SocketEvent], tuple[()]]] = dict.fromkeys(
    (
        SocketOpened,
        SocketClosed,
        link.Welcome,
        link.Refused,
        link.Renewed,
        link.Assign,
        link.End,
        link.Request,
        link.Drain,
    ),
    IGNORED,
)


def _own(state: LinkState, *emptied: LinkState) -> Mapping[type[LinkEvent], LinkState | tuple[LinkState, ...]]:
    """Return the row of this process's own news; once every Slot is empty, the link may go on to `emptied`."""
    ends = (state, *emptied, _S.ENDED)
    return {
        **dict.fromkeys((LoadProgressed, AllLoaded, SlotMoved), state),
        **dict.fromkeys((SlotClosed, SlotBroken), ends),
        DrainRequested: (state, _S.ENDED),
    }


LEGAL: Final[Table[LinkState, LinkEvent]] = Table(
    "WorkerLink",
    {
        _S.AWAY: {
            **_STALE,
            SocketOpened: _S.GREETING,
            **_own(_S.AWAY),
            TimedOut: (_S.AWAY, _S.EMPTYING, _S.ENDED),
        },
        _S.GREETING: {
            **_STALE,
            SocketClosed: _S.AWAY,
            link.Welcome: (_S.UP, _S.ENDED),
            link.Refused: (_S.AWAY, _S.EMPTYING, _S.ENDED),
            **_own(_S.GREETING),
            TimedOut: (_S.GREETING, _S.AWAY, _S.EMPTYING, _S.ENDED),
        },
        _S.UP: {
            **_STALE,
            SocketClosed: _S.AWAY,
            link.Refused: (_S.UP, _S.AWAY, _S.EMPTYING, _S.ENDED),
            **dict.fromkeys((link.Assign, link.Request), _S.UP),
            **dict.fromkeys((link.Renewed, link.End, link.Drain), (_S.UP, _S.ENDED)),
            **_own(_S.UP),
            TimedOut: (_S.UP, _S.AWAY, _S.EMPTYING, _S.ENDED),
        },
        _S.EMPTYING: {
            **_STALE,
            **_own(_S.EMPTYING, _S.AWAY),
            TimedOut: (_S.EMPTYING, _S.AWAY, _S.ENDED),
        },
        _S.ENDED: {**_STALE, **dict.fromkeys((*_own(_S.ENDED), TimedOut), IGNORED)},
    },
)


@dataclass(frozen=True, slots=True)
class About:
    """The facts about a Worker that its `Hello` tells."""

    worker: str
    model: str
    version: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    node: str = ""
    pid: int = 0
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class _Beaten:
    """A beat that was sent: the moment, and the fence of each Slot that held something then."""

    at: float
    fences: Mapping[int, int]


class WorkerLink(Machine[LinkState, LinkEvent, LinkEffect]):
    """The link of one process.

    Args:
        slots: how many.
        incarnation: gives a fresh one.
        drain_timeout: seconds for what runs, where the process itself has to end.
        now: monotonic.
    """

    def __init__(
        self, about: About, slots: int, *, incarnation: Callable[[], str], drain_timeout: float, now: float
    ) -> None:
        super().__init__(LEGAL)
        self._about, self._fresh = about, incarnation
        self._incarnation = incarnation()
        self._drain_timeout = drain_timeout
        self.slots = [SlotLease(n) for n in range(slots)]
        self._is_loaded, self._progress, self._text = False, 0.0, ""
        self._acknowledged: float | None = now  # send time of the last that was; None = long ago
        self._greeted = now
        self._number = 0
        self._beats: dict[int, _Beaten] = {}
        self._reports: list[link.SlotReport] = []  # as the last beat, or Hello, said
        self._beat_at = self._beaten_at = now
        self._sent_phase: WorkerPhase = "starting"
        self._leave_by: float | None = None  # monotonic; what runs then is ended
        self._leaves = self._is_told_to_leave = False
        self._failure: str | None = None

    @property
    def may_dial(self) -> bool:
        """Whether a socket may be opened."""
        return self.state is LinkState.AWAY

    def deadline(self) -> float | None:
        """Return when `TimedOut` is due; None = never."""
        moments = [self._leave_by]
        if self._acknowledged is not None:
            moments.append(self._acknowledged + link.SELF_FENCE)
        if self.state is LinkState.UP:
            moments.append(self._beat_at)
        if self.state is LinkState.GREETING:
            moments.append(self._greeted + GREETING_WAIT)
        return None if self.state is LinkState.ENDED else min((at for at in moments if at is not None), default=None)

    def _decide(self, event: LinkEvent, now: float) -> list[LinkEffect]:
        effects = self._answer(event, now) + self._speak(now)
        return effects + self._move_on(now)

    def _answer(self, event: LinkEvent, now: float) -> list[LinkEffect]:
        match event:
            case SocketOpened() | SocketClosed():
                return self._connected(event, now)
            case SlotMoved() | SlotClosed() | link.End():
                return self._slot(event.slot, event, now)
            case SlotBroken():
                return self._broken(event, now)
            case LoadProgressed():
                self._progress, self._text = event.fraction, event.text[:500]
                self._beat_at = min(self._beat_at, self._beaten_at + PROGRESS_EVERY)
                return []
            case AllLoaded():
                self._is_loaded, self._text = True, ""
                return []
            case DrainRequested():
                # Only its pool signals a pooled process, for the coordinator that has said how long it waits.
                return [] if self._is_told_to_leave and self._about.pooled else self._leave(event.grace, now)
            case TimedOut():
                return self._timed_out(now)
            case link.Welcome():
                return self._welcomed(event, now)
            case link.Refused():
                return self._refused(event, now)
            case link.Renewed():
                return self._renewed(event, now)
            case link.Assign():
                return self._assigned(event, now)
            case link.Request():
                return [PassRequest(event) if self._may_ask(event) else RefuseRequest(event)]
            case link.Drain():
                self._is_told_to_leave = True
                return self._leave(event.grace, now)

    # --- the socket ---------------------------------------------------------------------------------------------------

    def _connected(self, event: SocketOpened | SocketClosed, now: float) -> list[LinkEffect]:
        self._number, self._beats = 0, {}
        for slot in self.slots:
            slot.forget_reports()
        if isinstance(event, SocketClosed):
            self._go(LinkState.AWAY)
            return []
        self._go(LinkState.GREETING)
        self._greeted = now
        self._reports = [slot.report() for slot in self.slots]
        about = self._about
        hello = link.Hello(
            worker=about.worker,
            incarnation=self._incarnation,
            node=about.node,
            pid=about.pid,
            pooled=about.pooled,
            model=about.model,
            version=about.version,
            spec=dict(about.spec),
            state=self._phase,
            slots=self._reports,
        )
        return [Send(hello)]

    def _welcomed(self, frame: link.Welcome, now: float) -> list[LinkEffect]:
        self._go(LinkState.UP)
        self._acknowledged, self._beat_at = self._greeted, now
        effects: list[LinkEffect] = []
        for reported in self._reports:
            slot = self.slots[reported.n]
            # What was `accepting` waits for its beat: only that starts a Session.
            if reported.phase != "free" and slot.n not in frame.held and slot.fence == reported.fence:
                effects += slot.handle(LeaseDenied(), now)
        return effects

    def _refused(self, frame: link.Refused, now: float) -> list[LinkEffect]:
        if frame.code == "stale":
            return self._start_over("the registration is stale", now)
        if self.state is not LinkState.GREETING:
            return []
        self._go(LinkState.AWAY)
        return [CloseSocket(f"not registered: {frame.message or frame.code}")]

    def _renewed(self, frame: link.Renewed, now: float) -> list[LinkEffect]:
        beaten = self._beats.get(frame.number)
        if beaten is None:
            return []
        self._acknowledged = beaten.at
        self._beats = {number: each for number, each in self._beats.items() if number > frame.number}
        effects: list[LinkEffect] = []
        for n, fence in beaten.fences.items():
            if (slot := self.slots[n]).fence == fence:
                effects += slot.handle(LeaseConfirmed() if n in frame.held else LeaseDenied(), now)
        for slot in self.slots:
            slot.renewed(frame.number)
        return effects

    def _assigned(self, frame: link.Assign, now: float) -> list[LinkEffect]:
        if not self._is_loaded or self._leaves or frame.slot >= len(self.slots):
            return []
        effects = self._slot(frame.slot, frame, now)
        if self.slots[frame.slot].state is LeaseState.ACCEPTING:
            self._beat_at = now  # sent again, if it was sent: the answer may be late
        return effects

    def _may_ask(self, frame: link.Request) -> bool:
        if frame.slot >= len(self.slots):
            return False
        return frame.fence is None or self.slots[frame.slot].serves(frame.fence)

    # --- Slots --------------------------------------------------------------------------------------------------------

    def _slot(self, n: int, event: SlotEvent, now: float) -> list[LinkEffect]:
        return self.slots[n].handle(event, now) if n < len(self.slots) else []

    def _give_up(self, reason: str, now: float, *, tells: bool) -> list[LinkEffect]:
        return [effect for slot in self.slots for effect in slot.handle(GivenUp(reason, tells), now)]

    def _broken(self, event: SlotBroken, now: float) -> list[LinkEffect]:
        effects = self._slot(event.slot, event, now)
        self._failure = self._failure or event.detail
        self._text = event.detail[:500]
        is_alone = all(slot.is_empty for slot in self.slots)
        return effects + self._leave(TELLING if is_alone else self._drain_timeout, now)

    # --- the end, of the registration or of the process ---------------------------------------------------------------

    def _start_over(self, reason: str, now: float) -> list[LinkEffect]:
        """Drop all Sessions without a report: others hold them now. Register anew once every Slot is empty."""
        effects: list[LinkEffect] = [effect for slot in self.slots for effect in slot.handle(LeaseDenied(), now)]
        if self.state is not LinkState.AWAY:
            effects.append(CloseSocket(reason))
        self._go(LinkState.EMPTYING)
        return effects

    def _fence(self, now: float) -> list[LinkEffect]:
        """End all Sessions: no beat was acknowledged for so long that they may run elsewhere."""
        effects = self._give_up("worker_lost", now, tells=False)
        if self._about.pooled:
            self._failure = self._failure or f"the coordinator acknowledged nothing for {link.SELF_FENCE:g} s"
            effects += self._leave(0.0, now)
        return effects + self._start_over("nothing was acknowledged", now)

    def _leave(self, grace: float, now: float) -> list[LinkEffect]:
        until = now + max(0.0, grace)
        if not self._leaves or (self._leave_by is not None and until < self._leave_by):
            self._leaves, self._leave_by = True, until
        return []

    def _timed_out(self, now: float) -> list[LinkEffect]:
        effects: list[LinkEffect] = []
        if self._acknowledged is not None and now >= self._acknowledged + link.SELF_FENCE:
            self._acknowledged = None
            if self._about.pooled or not all(slot.is_empty for slot in self.slots):
                effects += self._fence(now)
        if self._leave_by is not None and now >= self._leave_by:
            self._leave_by = None
            effects += self._give_up("evicted", now, tells=True)
        if self.state is LinkState.GREETING and now >= self._greeted + GREETING_WAIT:
            self._go(LinkState.AWAY)
            effects.append(CloseSocket("no answer to our Hello"))
        return effects

    def _move_on(self, now: float) -> list[LinkEffect]:
        """Once every Slot is empty, end the process that leaves, or register the one that starts over."""
        if not all(slot.is_empty for slot in self.slots):
            return []
        if self._leaves:
            if self._failure is not None and self.state is not LinkState.UP and self._leave_by is not None:
                return []  # its failure has to be reported first
            parting: list[LinkEffect] = [Send(link.Bye())] if self.state is LinkState.UP else []
            self._go(LinkState.ENDED)
            return [*parting, EndProcess(self._failure)]
        if self.state is LinkState.EMPTYING:
            self._go(LinkState.AWAY)
            self._incarnation = self._fresh()
            self._acknowledged = now
            for slot in self.slots:
                slot.forget()
        return []

    # --- what is sent -------------------------------------------------------------------------------------------------

    @property
    def _phase(self) -> WorkerPhase:
        if self._leaves:
            return "draining"
        return "ready" if self._is_loaded else "starting"

    def _speak(self, now: float) -> list[LinkEffect]:
        """Return what the coordinator has to hear: first that this Worker drains, or a Slot that empties would be given
        away; then reports; then the beat that says `free`."""
        if self.state is not LinkState.UP:
            return []
        effects = [self._beat(now)] if self._phase != self._sent_phase else list[LinkEffect]()
        effects += [Send(news) for slot in self.slots if (news := slot.news()) is not None]
        if now >= self._beat_at or _is_urgent(self._reports, [slot.report() for slot in self.slots]):
            effects.append(self._beat(now))
        return effects

    def _beat(self, now: float) -> LinkEffect:
        reports, phase = [slot.report() for slot in self.slots], self._phase
        self._number += 1
        self._reports, self._sent_phase = reports, phase
        self._beaten_at, self._beat_at = now, now + link.BEAT_EVERY
        self._beats[self._number] = _Beaten(now, {each.n: each.fence for each in reports if each.phase != "free"})
        if len(self._beats) > UNANSWERED:
            del self._beats[next(iter(self._beats))]
        for slot in self.slots:
            slot.beaten(self._number)
        progress = None if self._is_loaded else self._progress
        return Send(link.Beat(number=self._number, state=phase, progress=progress, text=self._text, slots=reports))


def _is_urgent(before: list[link.SlotReport], after: list[link.SlotReport]) -> bool:
    """Return whether a Slot became free, or accepted a Session: such news does not wait for the next beat."""
    return any(new != old and new.phase in ("accepting", "free") for old, new in zip(before, after, strict=True))
