"""The machine of a client's connection: from nothing to `ready`, through losses, and back to nothing.

Pure. The shell (`client/connection.py`) passes events and `now`, applies the effects, and delivers `DeadlineReached` at
`deadline()`. It drops the results of abandoned work, so that no answer is taken for the answer to another question.

Above 400 lines because it is one machine, with the clocks that it alone reads: polls, retries and silence.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from livereactor.base.machine import Machine
from livereactor.client.errors import AbortedError, ReactorError, ended, error_of, lost, not_connected, not_reconnected
from livereactor.client.lifecycle import messages as w
from livereactor.client.lifecycle.states import LEGAL, STATUS, ConnectionState
from livereactor.client.types import ConnectionTimings, Status

SESSION_POLLS: Final = (0.2, 10.0, 20)  # first wait and longest, seconds; number of polls
RETRIES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each attempt to reconnect; the last repeats
SPREAD: Final = 0.2  # of a retry's wait, either way: clients that were lost together must not all come back together


class Polls:
    """The waits between polls of one thing, each twice the one before.

    Args:
        first, longest: seconds.
        attempts: the number of polls, the first included; None = no limit.
    """

    def __init__(self, first: float, longest: float, attempts: int | None) -> None:
        self._wait, self._longest, self._left = first, longest, attempts

    def next(self, *, counts: bool = True) -> float | None:
        """Return the seconds to wait before the next poll; None = that was the last.

        Args:
            counts: the poll just done counts towards the limit. It does not while the server reports progress.
        """
        if counts and self._left is not None:
            self._left -= 1
            if self._left <= 0:
                return None
        wait, self._wait = self._wait, min(self._wait * 2, self._longest)
        return wait


class Retries:
    """The attempts to reconnect after one loss, until the Session's window is over.

    Args:
        until: monotonic seconds at which the window closes.
    """

    def __init__(self, until: float) -> None:
        self._until, self._made = until, 0

    def next(self, now: float, chance: float) -> float | None:
        """Return when to try next, monotonic seconds; None = the window closes before.

        Args:
            chance: 0..1, the place of the wait in its spread.
        """
        wait = RETRIES[min(self._made, len(RETRIES) - 1)] * (1 + SPREAD * (2 * chance - 1))
        self._made += 1
        return now + wait if now + wait < self._until else None


class SilenceAction(Enum):
    """A measure against silence."""

    PROBE = "probe"  # send a message that is answered
    CHECK = "check"  # ask over HTTP about the Session
    REOFFER = "reoffer"  # open a second transport next to the silent one
    LOST = "lost"  # give the transport up


@dataclass(frozen=True, slots=True)
class SilenceStep:
    """The action that is due after `after` seconds of silence."""

    after: float
    action: SilenceAction


# A working path answers a probe within milliseconds; one lost packet costs some 0.2 s more (SCTP's own repeat).
SILENCE_STEPS: Final = (
    SilenceStep(0.4, SilenceAction.PROBE),
    SilenceStep(0.7, SilenceAction.CHECK),
    SilenceStep(1.0, SilenceAction.REOFFER),
    SilenceStep(2.0, SilenceAction.REOFFER),
    SilenceStep(3.0, SilenceAction.REOFFER),
    SilenceStep(5.0, SilenceAction.LOST),
)
LATE: Final = 0.25  # seconds; a later wake-up means that this thread was blocked, and may have unread messages


class Silence:
    """Watches one transport on which the other side answers probes."""

    def __init__(self, now: float) -> None:
        self._since, self._step = now, 0

    def deadline(self) -> float | None:
        """Return when to look next, monotonic seconds; None after `LOST`."""
        return self._since + SILENCE_STEPS[self._step].after if self._step < len(SILENCE_STEPS) else None

    def due(self, now: float, heard_at: float) -> list[SilenceAction]:
        """Return the actions that are due now.

        Args:
            heard_at: when something last arrived, monotonic seconds.
        """
        due = self.deadline()
        if due is None:
            return []
        if heard_at > self._since:
            self._since, self._step = heard_at, 0
        elif now > due + LATE:
            # This thread was blocked, perhaps with the answer in its queue: start over, with a probe due now.
            self._since, self._step = now - SILENCE_STEPS[0].after, 0
        steps: list[SilenceAction] = []
        while self._step < len(SILENCE_STEPS) and now >= self._since + SILENCE_STEPS[self._step].after:
            steps.append(SILENCE_STEPS[self._step].action)
            self._step += 1
        return steps


WINDOW: Final = 30.0  # seconds that a Session outlives its last client, if its server does not say
MISSES: Final = 5  # look-ups in a row that may fail once a Session waits: its place in the queue is worth them

# Answers under a Session's id that mean it is gone. Runtimes answer its signalling with 400.
_GONE: Final = frozenset({"NOT_FOUND", "SESSION_TERMINAL"})
_UNUSABLE: Final = _GONE | {"BAD_REQUEST"}
# Failures after which a look-up of the Session would tell nothing new.
_PLAIN: Final = frozenset({"NETWORK_ERROR", "UNAUTHORIZED", "FORBIDDEN", "VERSION_MISMATCH", "MESSAGE_TOO_LARGE"})


class ConnectionMachine(Machine[ConnectionState, w.MachineEvent, w.MachineEffect]):
    """The connection of one client.

    Args:
        auto_reconnect: a lost transport is brought up again without being asked.
        chance: 0..1 at each call, for waits that are spread.
    """

    def __init__(self, *, auto_reconnect: bool = False, chance: Callable[[], float] = random.random) -> None:
        super().__init__(LEGAL)
        self._auto, self._chance = auto_reconnect, chance
        self._session: str | None = None
        self._owned = False  # this client made the Session, and ends it
        self._renewed = False  # it was made a second time already
        self._resuming = False  # the work under way is for a Session that was in use before
        self._checked = False  # in this attempt to resume, the Session was found to be there
        self._window = WINDOW
        self._account = ""
        self._timeout: float | None = None
        self._timeout_at: float | None = None
        self._polls = Polls(*SESSION_POLLS)
        self._look_at: float | None = None
        self._misses = 0
        self._kept_until = 0.0  # the Session by its server, once its transport is gone
        self._retries = Retries(self._kept_until)
        self._retry_at: float | None = None
        self._silence: Silence | None = None
        self._offering = False  # in READY, a second transport is coming up next to the silent one
        self._gone: str | None = None  # in READY, why the first one is gone while the second is coming up
        self._begun = self._made = self._ready_for_us = 0.0  # when the attempt began, its Session was there, prepared
        self.timings: ConnectionTimings | None = None

    @property
    def status(self) -> Status:
        return STATUS[self.state]

    @property
    def session_id(self) -> str | None:
        return self._session

    @property
    def is_owner(self) -> bool:
        """True if this client made the Session, and so ends it."""
        return self._owned

    def takes(self, kind: type[w.MachineEvent]) -> bool:
        """Return whether an event of this kind would be handled now; nothing reconnects during a first attempt."""
        is_first = self.state in (ConnectionState.PREPARING, ConnectionState.LINKING) and not self._resuming
        return super().takes(kind) and not (kind is w.Reconnect and is_first)

    def deadline(self) -> float | None:
        """Return when `DeadlineReached` is due, monotonic seconds; None = nothing is due."""
        silence = self._silence.deadline() if self._silence is not None else None
        times = [each for each in (self._timeout_at, self._look_at, self._retry_at, silence) if each is not None]
        return min(times, default=None)

    def _decide(self, event: w.MachineEvent, now: float) -> list[w.MachineEffect]:
        match event:
            case w.Connect():
                return self._connect(event, now)
            case w.Reconnect() if not self.takes(w.Reconnect):
                raise LEGAL.illegal(self.state, event)
            case w.Reconnect():
                return self._reconnect(now)
            case w.Disconnect(keep):
                return self._disconnect(keep=keep)
            case w.SessionObtained(session_id, seen, owned):
                self._session, self._owned, self._made = session_id, owned, now
                effects = self._see(seen, now)
                self._misses = MISSES  # it was made, and not yet seen to be waiting
                return effects
            case w.SessionSeen():
                return self._see(event, now)
            case w.LookupFailed(error):
                return self._unseen(error, now)
            case w.WorkFailed(error):
                return self._failed(error, now)
            case w.TransportUp():
                return self._linked(now)
            case w.TransportLost(reason):
                return self._lost(reason, now)
            case w.SessionOver(reason):
                return self._over(reason)
            case w.DeadlineReached(heard_at):
                return self._woke(heard_at, now)

    # --- calls of the program -----------------------------------------------------------------------------------------

    def _connect(self, event: w.Connect, now: float) -> list[w.MachineEffect]:
        left: list[w.MachineEffect] = self._leave_session()
        self._owned, self._renewed, self._resuming = event.adopt is None, False, False
        self._window, self._account, self._begun = WINDOW, "", now
        self._timeout = event.timeout
        self._timeout_at = None if event.timeout is None else now + event.timeout
        return [
            *left,
            *self._enter(ConnectionState.CREATING),
            w.RequestSession() if event.adopt is None else w.JoinSession(event.adopt),
        ]

    def _reconnect(self, now: float) -> list[w.MachineEffect]:
        if self.state in (ConnectionState.READY, ConnectionState.KEPT):
            self._kept_until = now + self._window
            self._retries = Retries(self._kept_until)
        elif self.state is not ConnectionState.BETWEEN:
            return []  # joins the attempt that is being made
        cycled: list[w.MachineEffect] = []
        if self.state is ConnectionState.READY:
            cycled = [w.AbandonWork(), w.CloseTransport()]
            self._stop_listening()
        return [*cycled, *self._resume(now)]

    def _disconnect(self, *, keep: bool) -> list[w.MachineEffect]:
        waited = self.state not in (ConnectionState.IDLE, ConnectionState.READY, ConnectionState.KEPT)
        effects: list[w.MachineEffect] = []
        if self.state not in (ConnectionState.IDLE, ConnectionState.KEPT):
            effects += [w.AbandonWork(), w.CloseTransport()]
        if not (keep and self._session is not None):
            effects += [*self._enter(ConnectionState.IDLE), *self._leave_session()]
        else:
            effects += self._enter(ConnectionState.KEPT)
        if waited:
            effects.append(w.FinishCall(AbortedError("disconnect() was called", operation=self._operation)))
        return effects

    # --- results of the work ------------------------------------------------------------------------------------------

    def _see(self, seen: w.SessionSeen, now: float) -> list[w.MachineEffect]:
        self._window = self._window if seen.window is None else seen.window
        self._account, self._misses = seen.account, 0
        match self.state:
            case ConnectionState.READY:
                return [] if seen.prepared else self._lose("the session has another worker to wait for", now)
            case ConnectionState.CHECKING if seen.prepared:
                return [*self._enter(ConnectionState.RESUMING), w.OpenTransport(again=False)]
            case _ if seen.prepared:
                self._ready_for_us = now
                return [*self._enter(ConnectionState.LINKING), w.OpenTransport(again=False)]
            case ConnectionState.CREATING | ConnectionState.RENEWING if self._owned:
                # A new Session need not be ready yet.
                self._polls = Polls(*SESSION_POLLS)
                return [*self._enter(ConnectionState.PREPARING), w.LookUpSession()]
            case ConnectionState.PREPARING:
                return self._wait(seen, now)
            case _:
                self._polls = Polls(*SESSION_POLLS)
                return [*self._enter(ConnectionState.PREPARING), *self._wait(seen, now)]

    def _wait(self, seen: w.SessionSeen, now: float) -> list[w.MachineEffect]:
        """Look again, later or at once."""
        wait = self._polls.next(counts=not seen.account)
        if wait is None:
            error = error_of("REQUEST_TIMEOUT", f"session not ready after {SESSION_POLLS[2]} polls", component="api")
            return self._fail(error, now)
        if seen.held:
            return [w.LookUpSession()]
        self._look_at = now + wait
        return []

    def _unseen(self, error: ReactorError, now: float) -> list[w.MachineEffect]:
        if error.code in _GONE:
            return self._over(str(error.details.get("end_reason") or "closed"), certain=False)
        if self.state is ConnectionState.READY:
            return []  # the transport decides
        self._misses += 1
        wait = self._polls.next() if self.state is ConnectionState.PREPARING and self._misses <= MISSES else None
        if wait is None or not error.recoverable:
            return self._fail(error, now)
        self._look_at = now + max(wait, error.retry_after or 0.0)
        return []

    def _failed(self, error: ReactorError, now: float) -> list[w.MachineEffect]:
        match self.state:
            case ConnectionState.READY:
                self._offering = False
                return [] if self._gone is None else self._lose(self._gone, now)
            case ConnectionState.LINKING if error.code in _UNUSABLE and self._renewable:
                return self._renew()
            case ConnectionState.RESUMING if error.code not in _PLAIN and not self._checked:
                self._checked = True
                return [*self._enter(ConnectionState.CHECKING), w.LookUpSession()]
            case _:
                return self._fail(error, now)

    def _linked(self, now: float) -> list[w.MachineEffect]:
        self._stop_listening()
        self._silence = Silence(now)
        if self.state is ConnectionState.READY:
            return [w.UseTransport()]
        stamps = (self._begun, self._made, self._ready_for_us, now)
        parts = (*(after - before for before, after in pairwise(stamps)), now - self._begun)
        self.timings = ConnectionTimings(*(round(each * 1000, 3) for each in parts))
        self._timeout_at = None
        return [w.UseTransport(), *self._enter(ConnectionState.READY), w.FinishCall()]

    # --- events that happen by themselves -----------------------------------------------------------------------------

    def _lost(self, reason: str, now: float) -> list[w.MachineEffect]:
        if self._offering:
            self._gone = reason  # the second transport replaced it at the server, or its own end decides
            return []
        return self._lose(reason, now)

    def _over(self, reason: str, *, certain: bool = True) -> list[w.MachineEffect]:
        if self.state in (ConnectionState.PREPARING, ConnectionState.LINKING) and self._renewable:
            return self._renew()
        used = self._resuming or self.state is ConnectionState.READY
        error = ended(reason, self._session)
        waited = self.state is not ConnectionState.READY
        effects: list[w.MachineEffect] = [w.AbandonWork()]
        if used:
            effects.append(w.EmitSessionEnded(reason))
        if waited:
            error.operation, error.component = self._operation, "api"
        else:
            effects.append(w.CloseTransport())
        # Nothing is left to end if the server said so, or no longer knows a Session that was in use.
        self._owned = self._owned and not (certain or used)
        effects += [*self._enter(ConnectionState.IDLE), *self._leave_session(), w.ReportError(error)]
        return [*effects, w.FinishCall(error)] if waited else effects

    def _woke(self, heard_at: float, now: float) -> list[w.MachineEffect]:
        if self._timeout_at is not None and now >= self._timeout_at:
            account = f", {self._account}" if self._account else ""
            words = f"not ready after {self._timeout:g} s; last state was {self.status.value}{account}"
            return self._fail(error_of("REQUEST_TIMEOUT", words, component="api"), now)
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            return [w.LookUpSession()]
        if self._retry_at is not None and now >= self._retry_at:
            return self._resume(now)
        return self._listen(heard_at, now)

    def _listen(self, heard_at: float, now: float) -> list[w.MachineEffect]:
        effects: list[w.MachineEffect] = []
        for step in self._silence.due(now, heard_at) if self._silence is not None else ():
            match step:
                case SilenceAction.PROBE:
                    effects.append(w.SendProbe())
                case SilenceAction.CHECK:
                    effects.append(w.LookUpSession())
                case SilenceAction.REOFFER if not self._offering:
                    self._offering = True
                    effects.append(w.OpenTransport(again=True))
                case SilenceAction.REOFFER:
                    pass
                case SilenceAction.LOST:
                    return self._lose("no data arrived for 5 s", now)
        return effects

    # --- moves ---------------------------------------------------------------------------------------------------

    @property
    def _operation(self) -> str:
        return "reconnect" if self._resuming else "connect"

    @property
    def _renewable(self) -> bool:
        return self._owned and not self._renewed and not self._resuming

    def _enter(self, state: ConnectionState) -> list[w.MachineEffect]:
        changed = STATUS[state] is not STATUS[self.state]
        self._go(state)
        self._look_at = self._retry_at = None
        if state in (ConnectionState.IDLE, ConnectionState.KEPT, ConnectionState.BETWEEN):
            self._timeout_at = None
            self._stop_listening()
        return [w.SetStatus(STATUS[state])] if changed else []

    def _stop_listening(self) -> None:
        self._silence, self._offering, self._gone = None, False, None

    def _leave_session(self) -> list[w.MachineEffect]:
        session, self._session = self._session, None
        if session is None:
            return []
        return [w.DeleteSession(session), w.ForgetSession()] if self._owned else [w.ForgetSession()]

    def _renew(self) -> list[w.MachineEffect]:
        dead, self._session, self._renewed = self._session, None, True
        ended: list[w.MachineEffect] = [] if dead is None else [w.DeleteSession(dead)]
        return [w.AbandonWork(), *ended, *self._enter(ConnectionState.RENEWING), w.RequestSession()]

    def _resume(self, now: float) -> list[w.MachineEffect]:
        self._resuming, self._checked = True, False
        self._begun = self._made = self._ready_for_us = now
        return [*self._enter(ConnectionState.RESUMING), w.OpenTransport(again=True)]

    def _lose(self, reason: str, now: float) -> list[w.MachineEffect]:
        """Give the transport in use up, but not its Session."""
        error = lost(reason, self._session, self._window)
        self._kept_until = now + self._window
        self._retries = Retries(self._kept_until)
        kept, *more = self._retry_or_keep(now, retry=True)
        return [w.AbandonWork(), w.CloseTransport(), kept, w.ReportError(error), *more]

    def _fail(self, cause: ReactorError, now: float) -> list[w.MachineEffect]:
        """Give the attempt under way up."""
        error = not_reconnected(cause, self._kept_until - now) if self._resuming else not_connected(cause)
        error.session_id = error.session_id or self._session
        if not self._resuming:
            self._owned = self._owned and self._session is not None
            given_up = [w.AbandonWork(), *self._enter(ConnectionState.IDLE), *self._leave_session()]
            return [*given_up, w.ReportError(error), w.FinishCall(error)]
        moved = self._retry_or_keep(now, retry=error.recoverable)
        finished = [] if self.state is ConnectionState.BETWEEN else [w.ReportError(error), w.FinishCall(error)]
        return [w.AbandonWork(), *moved, *finished]

    def _retry_or_keep(self, now: float, *, retry: bool) -> list[w.MachineEffect]:
        """Wait for the next attempt, or keep the Session; return the changes of the status."""
        at, before = self._retries.next(now, self._chance()) if retry and self._auto else None, self.status
        moved = self._enter(ConnectionState.KEPT if at is None else ConnectionState.BETWEEN)
        self._retry_at = at
        # A client that was `ready` shows `disconnected` before it shows `connecting` again.
        through = at is not None and before is not Status.CONNECTING
        return [w.SetStatus(Status.DISCONNECTED), *moved] if through else moved
