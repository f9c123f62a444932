"""The life of a runtime's one Session: loading, ready, waiting, streaming, orphaned, closing, and again.

Pure. `Membership` owns it, feeds it and turns its effects into work for the shell; all of a Session's windows are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from livereactor.base.errors import IllegalTransitionError
from livereactor.base.limits import Limits
from livereactor.runtime.interfaces import Call

NOTICE_TIME: Final = 0.08  # seconds a parting notice gets to leave; the protocol asks for at least 0.05 (10.2)


class SessionState(Enum):
    """Spelled as in the descriptor (protocol 3.2)."""

    CREATED = "created"  # the model loads
    READY = "ready"  # no Session
    WAITING = "waiting"  # a Session no client has reached yet
    STREAMING = "streaming"  # at least one Connection
    ORPHANED = "orphaned"  # had one, has none
    CLOSING = "closing"  # clients are told, peers closed, the model tidies up
    TERMINATED = "terminated"  # final: the process has to be replaced


OPEN: Final = frozenset({SessionState.WAITING, SessionState.STREAMING, SessionState.ORPHANED})


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """`load` and `warmup` are done."""


@dataclass(frozen=True, slots=True)
class SessionRequested:
    """Somebody starts a Session.

    Attributes:
        max_duration: seconds, never more than the runtime's own; None or 0 = that.
        reconnection_window, unclaimed_window: seconds, never more than the runtime's own; None = that.
        starting: (entry, call) to run after `open`, before any step.
        steps: how many the Session makes; None = any number.
        account: whose it is; empty where there are no accounts.
    """

    id: str
    extra_args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stepped: bool = False
    max_duration: float | None = None
    reconnection_window: float | None = None
    starting: tuple[tuple[str, Call], ...] = ()
    steps: int | None = None
    unclaimed_window: float | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class FirstJoined:
    """A Connection counts while none did."""


@dataclass(frozen=True, slots=True)
class LastLeft:
    """No Connection counts any more."""


@dataclass(frozen=True, slots=True)
class EndRequested:
    """The Session has to end. `notice` False: nobody is there to be told."""

    reason: str
    notice: bool = True
    moderate: bool = False


@dataclass(frozen=True, slots=True)
class ModelClosed:
    """The model has tidied up after a Session."""


@dataclass(frozen=True, slots=True)
class ModelBroken:
    """The model cannot serve any more: `load` failed, `open` cannot be tried again, or the process ends."""

    reason: str


LifeEvent: TypeAlias = (
    ModelLoaded | SessionRequested | FirstJoined | LastLeft | EndRequested | ModelClosed | ModelBroken
)

_S = SessionState
LEGAL: Final[Mapping[SessionState, Mapping[type[LifeEvent], SessionState]]] = {
    _S.CREATED: {ModelLoaded: _S.READY, ModelBroken: _S.TERMINATED},
    _S.READY: {SessionRequested: _S.WAITING, ModelBroken: _S.TERMINATED},
    _S.WAITING: {FirstJoined: _S.STREAMING, EndRequested: _S.CLOSING, ModelBroken: _S.TERMINATED},
    _S.STREAMING: {LastLeft: _S.ORPHANED, EndRequested: _S.CLOSING, ModelBroken: _S.TERMINATED},
    _S.ORPHANED: {FirstJoined: _S.STREAMING, EndRequested: _S.CLOSING, ModelBroken: _S.TERMINATED},
    _S.CLOSING: {ModelClosed: _S.READY, ModelBroken: _S.TERMINATED},
    _S.TERMINATED: {},
}


class Due(Enum):
    """What a passed deadline of the Session asks for."""

    WARN = "warn"  # `Limits.time_warning` seconds are left
    PART = "part"  # the notice has had its time: close the peers and the model thread
    TIMED_OUT = "timed_out"
    MAX_DURATION = "max_duration"
    IDLE = "idle"


class SessionLife:
    """State and deadlines of the one Session; `idle_timeout` 0 = a Session without Commands may live on."""

    def __init__(self, limits: Limits, *, idle_timeout: float = 0.0) -> None:
        self._limits = limits
        self._idle_timeout = idle_timeout
        self.state = SessionState.CREATED
        self.session: SessionRequested | None = None
        self.started: float | None = None
        self.end_reason: str | None = None
        self._expires: float | None = None
        self._warn_at: float | None = None
        self._window_ends: float | None = None
        self.commanded_at = 0.0
        self._part_at: float | None = None

    @property
    def expires(self) -> float | None:
        """When `max_duration` ends the Session (monotonic); None = never, or no Session."""
        return self._expires

    @property
    def reconnection_window(self) -> float:
        """Seconds the open Session outlives its last client."""
        return _within(self.session.reconnection_window if self.session else None, self._limits.reconnection_window)

    def handle(self, event: LifeEvent, now: float) -> SessionState:
        """Move on and return the state left; an illegal event raises and changes nothing."""
        target = LEGAL[self.state].get(type(event))
        # A model thread cannot have closed while the notice is still leaving: it was not asked to.
        if target is None or (isinstance(event, ModelClosed) and self._part_at is not None):
            raise IllegalTransitionError("Session", self.state.value, type(event).__name__)
        before, self.state = self.state, target
        match event:
            case SessionRequested():
                self._begin(event, now)
            case FirstJoined():
                self._window_ends = None
            case LastLeft():
                self._window_ends = now + self.reconnection_window
            case EndRequested():
                self.end_reason = event.reason
                self._forget_deadlines()
                self._part_at = now + NOTICE_TIME if event.notice else now
            case ModelClosed() | ModelBroken():
                self.session = self.started = self._part_at = None
                self._forget_deadlines()
            case ModelLoaded():
                pass
        return before

    def deadline(self) -> float | None:
        """When `due` has something to say, None = never."""
        moments = (self._warn_at, self._expires, self._window_ends, self._part_at, self._idle_ends())
        return min((moment for moment in moments if moment is not None), default=None)

    def due(self, now: float) -> Due | None:
        """The most pressing deadline that has passed, or None. WARN and PART are said once."""
        if self._part_at is not None:
            return self._part(now)
        if self._expires is not None and now >= self._expires:
            return Due.MAX_DURATION
        if self._window_ends is not None and now >= self._window_ends:
            return Due.TIMED_OUT
        idle_ends = self._idle_ends()
        if idle_ends is not None and now >= idle_ends:
            return Due.IDLE
        if self._warn_at is not None and now >= self._warn_at:
            self._warn_at = None
            return Due.WARN
        return None

    def wait_on(self, until: float) -> None:
        """A client is on its way: the window ends no earlier than `until`."""
        if self._window_ends is not None:
            self._window_ends = max(self._window_ends, until)

    def _begin(self, asked: SessionRequested, now: float) -> None:
        self.session, self.started, self.end_reason = asked, now, None
        self.commanded_at = now
        self._window_ends = now + _within(asked.unclaimed_window, self._limits.unclaimed_window)
        duration = _shorter(asked.max_duration, self._limits.max_session_duration)
        if duration > 0:
            self._expires = now + duration
            lead = self._limits.time_warning
            self._warn_at = self._expires - lead if 0 < lead < duration else None

    def _part(self, now: float) -> Due | None:
        if self._part_at is None or now < self._part_at:
            return None
        self._part_at = None
        return Due.PART

    def _idle_ends(self) -> float | None:
        return self.commanded_at + self._idle_timeout if self._idle_timeout > 0 and self.state in OPEN else None

    def _forget_deadlines(self) -> None:
        self._expires = self._warn_at = self._window_ends = None


def _within(asked: float | None, limit: float) -> float:
    return limit if asked is None else min(asked, limit)


def _shorter(asked: float | None, limit: float) -> float:
    """The client's wish within the operator's limit; 0 = unlimited, which only the operator may say."""
    if not asked:
        return limit
    return min(asked, limit) if limit > 0 else asked
