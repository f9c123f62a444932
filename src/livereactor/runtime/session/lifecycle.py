"""The lifecycle of a runtime's one Session: its states, its events and its deadlines. Pure.

The table of the states is in `membership.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from livereactor.base.limits import Limits
from livereactor.runtime.interfaces import Call

NOTICE_TIME: Final = 0.08  # seconds that the notice of an end gets to leave; the protocol asks for 0.05


class SessionState(Enum):
    """The states, spelled as in the session descriptor."""

    CREATED = "created"  # the model loads
    READY = "ready"  # the model is loaded; there is no session
    WAITING = "waiting"  # a session that no client has reached yet
    STREAMING = "streaming"  # at least one connection is live
    ORPHANED = "orphaned"  # every connection was lost; a client may come back
    CLOSING = "closing"  # clients are notified; peers and the model are being closed
    TERMINATED = "terminated"  # final: the process has to be replaced


OPEN: Final = frozenset({SessionState.WAITING, SessionState.STREAMING, SessionState.ORPHANED})


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """The model has loaded: `load` and `warmup` are done."""


@dataclass(frozen=True, slots=True)
class SessionRequested:
    """A Session is to start.

    Attributes:
        max_duration: seconds, never more than the runtime's own; None or 0 = that.
        reconnection_window, unclaimed_window: seconds, never more than the runtime's own; None = that.
        starting: (entry, call) to run after `open`, before any step.
        steps: the number of steps that the Session makes; None = any number.
        account: of the owner; empty where the server has no accounts.
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
class EndRequested:
    """The Session has to end. `notice` False: clients get no message about it."""

    reason: str
    notice: bool = True
    moderate: bool = False


@dataclass(frozen=True, slots=True)
class ModelClosed:
    """The model has closed the Session."""


@dataclass(frozen=True, slots=True)
class ModelBroken:
    """The model cannot serve any more: `load` failed, `open` cannot be tried again, or the process ends."""

    reason: str


class Due(Enum):
    """The actions that passed deadlines of the Session ask for."""

    WARN = "warn"  # `Limits.time_warning` seconds are left
    PART = "part"  # the notice has had its time: close the peers and the model thread
    TIMED_OUT = "timed_out"
    MAX_DURATION = "max_duration"
    IDLE = "idle"


class SessionTimers:
    """The deadlines of the one Session; `idle_timeout` 0 = a Session may live without Commands.

    Attributes:
        expires: when `max_duration` ends the Session (monotonic); None = never, or no Session.
    """

    def __init__(self, limits: Limits, *, idle_timeout: float = 0.0) -> None:
        self._limits = limits
        self._idle_timeout = idle_timeout
        self.expires: float | None = None
        self._warn_at: float | None = None
        self._window_ends: float | None = None
        self._idle_at: float | None = None
        self._part_at: float | None = None

    @property
    def is_notice_leaving(self) -> bool:
        """Whether the Session has ended and the notice still has time to reach its clients."""
        return self._part_at is not None

    def begin(self, session: SessionRequested, now: float) -> None:
        """Start the clocks of a Session."""
        self.commanded(now)
        self._window_ends = now + _within(session.unclaimed_window, self._limits.unclaimed_window)
        duration = _shorter(session.max_duration, self._limits.max_session_duration)
        if duration > 0:
            self.expires = now + duration
            lead = self._limits.time_warning
            self._warn_at = self.expires - lead if 0 < lead < duration else None

    def joined(self) -> None:
        """Stop the window: a Connection counts."""
        self._window_ends = None

    def left(self, session: SessionRequested | None, now: float) -> None:
        """Start the window: no Connection counts any more."""
        self._window_ends = now + self.reconnection_window(session)

    def end(self, part_at: float) -> None:
        """Stop all clocks but that of the parting notice."""
        self.stop()
        self._part_at = part_at

    def stop(self) -> None:
        """Stop all clocks."""
        self.expires = self._warn_at = self._window_ends = self._idle_at = self._part_at = None

    def reconnection_window(self, session: SessionRequested | None) -> float:
        """Return the seconds that a Session outlives its last client."""
        return _within(session.reconnection_window if session else None, self._limits.reconnection_window)

    def commanded(self, now: float) -> None:
        """Start the idle clock again: a Command came."""
        self._idle_at = now + self._idle_timeout if self._idle_timeout > 0 else None

    def deadline(self) -> float | None:
        """Return when `due` will return something; None = never."""
        moments = (self._warn_at, self.expires, self._window_ends, self._part_at, self._idle_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def due(self, now: float) -> Due | None:
        """Return the most pressing action whose deadline has passed, or None; WARN and PART are returned once."""
        if self._part_at is not None:
            return self._part(now)
        if self.expires is not None and now >= self.expires:
            return Due.MAX_DURATION
        if self._window_ends is not None and now >= self._window_ends:
            return Due.TIMED_OUT
        if self._idle_at is not None and now >= self._idle_at:
            return Due.IDLE
        if self._warn_at is not None and now >= self._warn_at:
            self._warn_at = None
            return Due.WARN
        return None

    def wait_on(self, until: float) -> None:
        """Let the window end no earlier than `until`: a client is connecting."""
        if self._window_ends is not None:
            self._window_ends = max(self._window_ends, until)

    def _part(self, now: float) -> Due | None:
        if self._part_at is None or now < self._part_at:
            return None
        self._part_at = None
        return Due.PART


def _within(asked: float | None, limit: float) -> float:
    return limit if asked is None else min(asked, limit)


def _shorter(asked: float | None, limit: float) -> float:
    """Return the client's value within the operator's limit; 0 = unlimited, which only the operator may set."""
    if not asked:
        return limit
    return min(asked, limit) if limit > 0 else asked
