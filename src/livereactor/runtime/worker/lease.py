"""A Slot's share in the lease: which Session it holds under which fence, as its Worker knows it.

Pure; `worker_link.py` owns one for each Slot. What is late, doubled or about another fence changes nothing. What has to
be told of it is read from its state (`report`, `news`), so a new socket is told all that an old one lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from livereactor.base.machine import IGNORED, Machine, Table
from livereactor.protocol import link
from livereactor.runtime.worker.events import EndSession, LinkEffect, SlotBroken, SlotClosed, SlotMoved, Start


class LeaseState(Enum):
    """What the Slot holds."""

    FREE = "free"  # nothing
    ACCEPTING = "accepting"  # a hint: it is ours once the coordinator says `held`
    RUNNING = "running"  # the Session runs here
    CLOSING = "closing"  # it ends here
    BROKEN = "broken"  # final: the model in it can serve nobody


@dataclass(frozen=True, slots=True)
class Held:
    """The coordinator says that the Session is ours."""


@dataclass(frozen=True, slots=True)
class NotHeld:
    """It says that it is not, or not any more."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """This side ends it. `tells`: the coordinator hears how; otherwise it counts the Session as lost anyway."""

    reason: str
    tells: bool


SlotEvent: TypeAlias = link.Assign | link.End | Held | NotHeld | GivenUp | SlotMoved | SlotClosed | SlotBroken

_S = LeaseState
# The coordinator and the Session speak of a Slot that may have moved on; and every Slot is told that all are given up.
_LATE: Final[Mapping[type[SlotEvent], tuple[()]]] = dict.fromkeys(
    (link.Assign, link.End, Held, NotHeld, GivenUp, SlotMoved, SlotClosed, SlotBroken), IGNORED
)
LEGAL: Final[Table[LeaseState, SlotEvent]] = Table(
    "SlotLease",
    {
        _S.FREE: {**_LATE, link.Assign: _S.ACCEPTING, NotHeld: _S.FREE, SlotBroken: _S.BROKEN},
        _S.ACCEPTING: {
            **_LATE,
            link.Assign: _S.ACCEPTING,
            Held: _S.RUNNING,
            NotHeld: _S.FREE,
            link.End: _S.FREE,
            GivenUp: _S.FREE,
            SlotBroken: _S.BROKEN,
        },
        _S.RUNNING: {
            **_LATE,
            NotHeld: _S.CLOSING,
            link.End: _S.CLOSING,
            GivenUp: _S.CLOSING,
            SlotMoved: (_S.RUNNING, _S.CLOSING),
            SlotClosed: _S.FREE,
            SlotBroken: _S.BROKEN,
        },
        _S.CLOSING: {
            **_LATE,
            NotHeld: _S.CLOSING,
            SlotMoved: _S.CLOSING,
            SlotClosed: _S.FREE,
            SlotBroken: _S.BROKEN,
        },
        _S.BROKEN: {**_LATE, NotHeld: _S.BROKEN},
    },
)
EMPTY: Final = frozenset({_S.FREE, _S.BROKEN})
Phase: TypeAlias = Literal["waiting", "streaming", "orphaned", "closing", "closed"]


@dataclass(slots=True)
class _Told:
    """What of the Session was told on this socket, and the first beat after its end was."""

    report: link.SessionReport | None = None
    beat: int | None = None


class SlotLease(Machine[LeaseState, SlotEvent, LinkEffect]):
    """The share of one Slot.

    Args:
        n: number of the Slot.

    Attributes:
        session, fence: those it was given last.
    """

    __slots__ = ("_body", "_report", "_told", "fence", "n", "session")

    def __init__(self, n: int) -> None:
        super().__init__(LEGAL)
        self.n = n
        self.session: str | None = None
        self.fence = 0
        self._body: Mapping[str, Any] = {}
        self._report: link.SessionReport | None = None  # how the Session is, or how it ended until that has arrived
        self._told = _Told()

    @property
    def is_empty(self) -> bool:
        """Nothing runs here."""
        return self.state in EMPTY

    def serves(self, fence: int) -> bool:
        """The Session of this fence runs here, or is on its way out."""
        return self.fence == fence and self.state in (_S.RUNNING, _S.CLOSING)

    def handle(self, event: SlotEvent, now: float) -> list[LinkEffect]:
        """Return what the shell has to do, in order; an event about another fence or Session changes nothing."""
        return super().handle(event, now) if self._is_about(event) else []

    def _decide(self, event: SlotEvent, now: float) -> list[LinkEffect]:
        match event:
            case link.Assign():
                self.session, self.fence, self._body = event.session, event.fence, event.start
                self._report, self._told = None, _Told()
            case Held():
                return self._begin()
            case NotHeld():
                self._report = None
                return self._end("worker_lost", quietly=True)
            case GivenUp():
                if not event.tells:
                    self._report = None
                return self._end(event.reason)
            case link.End():
                return self._end(event.reason, moderate=event.moderate)
            case SlotMoved():
                self._move(event.phase, event.reason, seen=event.seen)
                if event.phase == "closing":
                    self._go(_S.CLOSING)
            case SlotClosed():
                self._move("closed", event.reason, event.detail)
            case SlotBroken():
                self._move("closed", "error", event.detail)
        return []

    def report(self) -> link.SlotReport:
        """As beats say it. A Slot whose Session ended says `closing` until that has been told."""
        untold = self._report is not None and self._report.phase == "closed" and self._told.report != self._report
        phase: link.SlotPhase
        match self.state:
            case LeaseState.FREE:
                phase = "closing" if untold else "free"
            case LeaseState.ACCEPTING:
                phase = "accepting"
            case LeaseState.RUNNING if self._report is not None and self._report.phase != "closed":
                phase = self._report.phase
            case _:
                phase = "closing"
        return link.SlotReport(n=self.n, phase=phase, session=self.session, fence=self.fence)

    def news(self) -> link.SessionReport | None:
        """What has not been told on this socket; it counts as told now."""
        if self._report is None or self._report == self._told.report:
            return None
        self._told.report = self._report
        return self._report

    def beaten(self, number: int) -> None:
        """A beat of that number follows what was told."""
        if self._told.report is not None and self._told.report.phase == "closed" and self._told.beat is None:
            self._told.beat = number

    def renewed(self, number: int) -> None:
        """That beat, and all before it, has arrived."""
        if self.is_empty and self._told.beat is not None and number >= self._told.beat:
            self._report, self._told = None, _Told()

    def untold(self) -> None:
        """The socket is gone, and perhaps what was told on it."""
        self._told = _Told()

    def forget(self) -> None:
        """The process registers anew; the fence stays, as one that never shrinks."""
        self.session, self._report, self._told = None, None, _Told()

    def _is_about(self, event: SlotEvent) -> bool:
        match event:
            case link.Assign():
                return event.fence > self.fence
            case link.End():
                return event.fence == self.fence and event.session == self.session
            case SlotMoved() | SlotClosed():
                return event.session == self.session
            case _:
                return True

    def _begin(self) -> list[LinkEffect]:
        assert self.session is not None
        self._report = self._said("waiting")
        body, self._body = self._body, {}
        return [Start(self.n, self.session, body)]

    def _end(self, reason: str, *, moderate: bool = False, quietly: bool = False) -> list[LinkEffect]:
        if self.state is not LeaseState.RUNNING or self.session is None:
            return []
        return [EndSession(self.n, self.session, reason, moderate=moderate, quietly=quietly)]

    def _move(self, phase: Phase, reason: str = "", detail: str = "", *, seen: bool = False) -> None:
        if self._report is not None:  # otherwise nobody wants to know
            seen = seen or self._report.first_frame
            self._report = self._said(phase, reason, detail, seen=seen)

    def _said(self, phase: Phase, reason: str = "", detail: str = "", *, seen: bool = False) -> link.SessionReport:
        return link.SessionReport(
            slot=self.n,
            session=self.session or "",
            fence=self.fence,
            phase=phase,
            reason=reason[:64],
            detail=detail[:500],
            first_frame=seen,
        )
