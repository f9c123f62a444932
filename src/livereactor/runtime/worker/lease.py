"""The lease of one Slot: the Session that the Slot holds, under which fence, as its Worker knows it.

Pure; `link.py` owns one for each Slot. An event that is late, doubled or about another fence changes nothing. Reports
are read from the state (`report`, `news`), so a new socket gets everything that an old one lost.
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
    """The state of a Slot."""

    FREE = "free"  # no session
    ACCEPTING = "accepting"  # a session was announced; it starts once the coordinator confirms it
    RUNNING = "running"  # the session runs in this slot
    CLOSING = "closing"  # the session is ending
    BROKEN = "broken"  # final: its model cannot serve any more


@dataclass(frozen=True, slots=True)
class LeaseConfirmed:
    """The coordinator confirmed that this slot holds the session."""


@dataclass(frozen=True, slots=True)
class LeaseDenied:
    """The coordinator said that this slot does not hold the session, or no longer does."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The worker ends the session. `tells`: it reports how; otherwise the coordinator counts the session as lost."""

    reason: str
    tells: bool


SlotEvent: TypeAlias = (
    link.Assign | link.End | LeaseConfirmed | LeaseDenied | GivenUp | SlotMoved | SlotClosed | SlotBroken
)

_S = LeaseState
# Events of the coordinator and of the session may come after the slot moved on; `GivenUp` goes to every slot.
_LATE: Final[Mapping[type[SlotEvent], tuple[()]]] = dict.fromkeys(
    (link.Assign, link.End, LeaseConfirmed, LeaseDenied, GivenUp, SlotMoved, SlotClosed, SlotBroken), IGNORED
)
LEGAL: Final[Table[LeaseState, SlotEvent]] = Table(
    "SlotLease",
    {
        _S.FREE: {**_LATE, link.Assign: _S.ACCEPTING, LeaseDenied: _S.FREE, SlotBroken: _S.BROKEN},
        _S.ACCEPTING: {
            **_LATE,
            link.Assign: _S.ACCEPTING,
            LeaseConfirmed: _S.RUNNING,
            LeaseDenied: _S.FREE,
            link.End: _S.FREE,
            GivenUp: _S.FREE,
            SlotBroken: _S.BROKEN,
        },
        _S.RUNNING: {
            **_LATE,
            LeaseDenied: _S.CLOSING,
            link.End: _S.CLOSING,
            GivenUp: _S.CLOSING,
            SlotMoved: (_S.RUNNING, _S.CLOSING),
            SlotClosed: _S.FREE,
            SlotBroken: _S.BROKEN,
        },
        _S.CLOSING: {
            **_LATE,
            LeaseDenied: _S.CLOSING,
            SlotMoved: _S.CLOSING,
            SlotClosed: _S.FREE,
            SlotBroken: _S.BROKEN,
        },
        _S.BROKEN: {**_LATE, LeaseDenied: _S.BROKEN},
    },
)
EMPTY: Final = frozenset({_S.FREE, _S.BROKEN})
Phase: TypeAlias = Literal["waiting", "streaming", "orphaned", "closing", "closed"]


@dataclass(slots=True)
class _Sent:
    """The last report on this socket, and the first beat after a report of the Session's end."""

    report: link.SessionReport | None = None
    beat: int | None = None


class SlotLease(Machine[LeaseState, SlotEvent, LinkEffect]):
    """The lease of one Slot.

    Args:
        n: number of the Slot.

    Attributes:
        session, fence: of the last Session that the Slot was given.
    """

    __slots__ = ("_body", "_report", "_sent", "fence", "n", "session")

    def __init__(self, n: int) -> None:
        super().__init__(LEGAL)
        self.n = n
        self.session: str | None = None
        self.fence = 0
        self._body: Mapping[str, Any] = {}
        self._report: link.SessionReport | None = None  # how the Session is, or how it ended until that has arrived
        self._sent = _Sent()

    @property
    def is_empty(self) -> bool:
        """Whether no Session runs in the Slot."""
        return self.state in EMPTY

    def serves(self, fence: int) -> bool:
        """Return whether the Session of this fence runs in the Slot, or is closing."""
        return self.fence == fence and self.state in (_S.RUNNING, _S.CLOSING)

    def handle(self, event: SlotEvent, now: float) -> list[LinkEffect]:
        """Return what the shell has to do, in order; an event about another fence or Session changes nothing."""
        return super().handle(event, now) if self._is_about(event) else []

    def _decide(self, event: SlotEvent, now: float) -> list[LinkEffect]:
        match event:
            case link.Assign():
                self.session, self.fence, self._body = event.session, event.fence, event.start
                self._report, self._sent = None, _Sent()
            case LeaseConfirmed():
                assert self.session is not None
                self._report = self._said("waiting")
                body, self._body = self._body, {}
                return [Start(self.n, self.session, body)]
            case LeaseDenied():
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
        """Return the Slot's part of a beat. A Slot whose Session ended says `closing` until the end is reported."""
        is_unsent = self._report is not None and self._report.phase == "closed" and self._sent.report != self._report
        phase: link.SlotPhase
        match self.state:
            case LeaseState.FREE:
                phase = "closing" if is_unsent else "free"
            case LeaseState.ACCEPTING:
                phase = "accepting"
            case LeaseState.RUNNING if self._report is not None and self._report.phase != "closed":
                phase = self._report.phase
            case _:
                phase = "closing"
        return link.SlotReport(n=self.n, phase=phase, session=self.session, fence=self.fence)

    def news(self) -> link.SessionReport | None:
        """Return a report that this socket has not carried yet, and count it as sent."""
        if self._report is None or self._report == self._sent.report:
            return None
        self._sent.report = self._report
        return self._report

    def beaten(self, number: int) -> None:
        """Note the number of a beat that follows the report of an end."""
        if self._sent.report is not None and self._sent.report.phase == "closed" and self._sent.beat is None:
            self._sent.beat = number

    def renewed(self, number: int) -> None:
        """Forget a reported end: that beat, and all before it, has arrived."""
        if self.is_empty and self._sent.beat is not None and number >= self._sent.beat:
            self._report, self._sent = None, _Sent()

    def forget_reports(self) -> None:
        """Forget what was reported: the socket has closed, and reports may be lost with it."""
        self._sent = _Sent()

    def forget(self) -> None:
        """Forget the Session, as the process registers anew; a fence never shrinks, so it stays."""
        self.session, self._report, self._sent = None, None, _Sent()

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

    def _end(self, reason: str, *, moderate: bool = False, quietly: bool = False) -> list[LinkEffect]:
        if self.state is not LeaseState.RUNNING or self.session is None:
            return []
        return [EndSession(self.n, self.session, reason, moderate=moderate, quietly=quietly)]

    def _move(self, phase: Phase, reason: str = "", detail: str = "", *, seen: bool = False) -> None:
        if self._report is not None:  # otherwise the coordinator counts it as ended
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
