"""Who is in a runtime's Session, who may do what, and when it ends.

Pure. The shell (`room_loop.py`) passes `now`, carries out the effects in order, and delivers `TimedOut` at
`deadline()`. The Session's states are `session_life.py`'s, a Connection's are `member.py`'s, slots `publishing.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from livereactor.base.errors import ForbiddenError, IllegalTransitionError, NotFoundError, PeerError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.runtime.session import events as e
from livereactor.runtime.session.lifecycle import (
    OPEN,
    Due,
    EndRequested,
    FirstJoined,
    LastLeft,
    LifeEvent,
    ModelBroken,
    ModelClosed,
    ModelLoaded,
    SessionLife,
    SessionRequested,
    SessionState,
)
from livereactor.runtime.session.member import DataOpened, Member, MemberDue, MemberState, Offered, TransportUp

_END_REASONS: Final = {Due.TIMED_OUT: "timed_out", Due.MAX_DURATION: "max_duration", Due.IDLE: "idle"}


class Membership:
    """Session, Connections and slots.

    Args:
        outputs, inputs: names of the model's Tracks, in declaration order.
        idle_timeout: seconds without a Command after which a Session ends; 0 = never.
    """

    def __init__(
        self, limits: Limits, *, outputs: Iterable[str], inputs: Iterable[str], idle_timeout: float = 0.0
    ) -> None:
        self._limits = limits
        self._life = SessionLife(limits, idle_timeout=idle_timeout)
        self._members: dict[int, Member] = {}
        self.redeclare(outputs=outputs, inputs=inputs)
        self._wanted: frozenset[str] = frozenset()

    # --- what the shell may look at -------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """State of the Session."""
        return self._life.state

    @property
    def session(self) -> SessionRequested | None:
        """The Session that is open or closing."""
        return self._life.session

    @property
    def expires(self) -> float | None:
        """When the Session's `max_duration` is over (monotonic)."""
        return self._life.expires

    @property
    def started(self) -> float | None:
        """When the Session began (monotonic)."""
        return self._life.started

    @property
    def reconnection_window(self) -> float:
        """Seconds the Session outlives its last client."""
        return self._life.reconnection_window

    @property
    def end_reason(self) -> str | None:
        """Why the last Session ended, None before that or while one is open."""
        return self._life.end_reason

    @property
    def connections(self) -> tuple[int, ...]:
        """Ids of all Connections, oldest first."""
        return tuple(self._members)

    @property
    def wanted(self) -> frozenset[str]:
        """Output Tracks that at least one Connection receives."""
        return self._wanted

    def is_open(self) -> bool:
        """True while a Session can be joined."""
        return self._life.state in OPEN

    def redeclare(self, *, outputs: Iterable[str], inputs: Iterable[str]) -> None:
        """Take a reloaded model's Tracks; only between Sessions."""
        self._outputs = tuple(outputs)
        self._inputs = tuple(inputs)
        self._publishers: dict[str, int | None] = dict.fromkeys(self._inputs)

    def check_capacity(self, connection: int | None) -> None:
        """Raise `UnavailableError` where one more Connection would exceed the limit; a known id is no more."""
        if connection not in self._members and len(self._members) >= self._limits.max_connections:
            used, limit = len(self._members), self._limits.max_connections
            raise UnavailableError(
                f"{used} of {limit} connections of this session are in use; close one or raise max_connections",
                code="RATE_LIMITED",
            )

    # --- the machine ----------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When `TimedOut` is due, None = never."""
        moments = [member.deadline() for member in self._members.values()]
        if (life := self._life.deadline()) is not None:
            moments.append(life)
        return min(moments, default=None)

    def handle(self, event: e.MembershipEvent, now: float) -> list[e.MembershipEffect]:
        """Return what the shell has to do, in order.

        Raises:
            IllegalTransitionError: the Session's state has no row for it; nothing has changed.
            NotFoundError: an offer while no Session is open.
            PeerError: the client asked for what is not there; nothing has changed.
            ForbiddenError: the client's role does not allow it.
            UnavailableError: no room for one more Connection.
        """
        match event:
            case e.TimedOut():
                return self._timed_out(now)
            case Offered():
                return self._offered(event, now)
            case TransportUp() | DataOpened():
                return self._progressed(event, now)
            case e.ControlOpened():
                self._member(event.connection).has_control = True
                return []
            case e.TransportLost():
                self._member(event.connection)
                return self._drop(event.connection, event.reason, now)
            case e.ResumeRequested() | e.PauseRequested():
                return self._paused_or_resumed(event)
            case e.PublishRequested() | e.UnpublishRequested() | e.MediaArrived():
                return self._published(event)
            case SessionRequested() | EndRequested() | ModelClosed() | ModelLoaded() | ModelBroken():
                return self._lived(event, now)

    # --- Connections ----------------------------------------------------------------------------------------------

    def _member(self, connection: int) -> Member:
        member = self._members.get(connection)
        if member is None:
            raise PeerError(f"no connection {connection} in this session; make an offer first")
        return member

    def _offered(self, event: Offered, now: float) -> list[e.MembershipEffect]:
        if not self.is_open():
            raise NotFoundError("no session is open; start one with POST /start_session")
        effects: list[e.MembershipEffect] = []
        if (member := self._members.get(event.connection)) is not None:
            # Whoever replaces its peer has not left: the Session's state stays, claims and resumes do not (10.3).
            effects += self._strip(member)
            member.handle(event, now)
        else:
            self.check_capacity(event.connection)
            member = self._members[event.connection] = Member(event, self._limits, now)
        self._life.wait_on(member.lives_until())
        return effects + self._rewant()

    def _progressed(self, event: TransportUp | DataOpened, now: float) -> list[e.MembershipEffect]:
        member = self._member(event.connection)
        if not member.handle(event, now):
            return []
        effects: list[e.MembershipEffect] = [e.BecameLive(member.connection)]
        if self.state in (SessionState.WAITING, SessionState.ORPHANED):
            effects += self._move(FirstJoined(), now, "a client connected")
        if self.state is SessionState.STREAMING:
            member.joined = True
            effects.append(e.JoinModel(member.connection, member.role))
        if member.flat:
            effects += self._listens(member)
        return effects

    def frame_received(self, connection: int, *, binary: bool, now: float) -> None:
        """A frame of any kind came on a data channel: the Connection is not silent. Postpones deadlines only.

        Args:
            binary: it was in the wire format v1.

        Raises:
            PeerError: there is no such Connection.
        """
        member = self._member(connection)
        member.heard_at, member.binary = now, binary

    def command_received(self, connection: int, now: float) -> list[e.MembershipEffect]:
        """Decide whether a Connection may give a Command, or ask for a step, now. Postpones deadlines only.

        Returns:
            What the shell has to do before the Command runs; nothing for a Connection that is live.

        Raises:
            PeerError: there is no such Connection.
            ForbiddenError: the Connection may only watch.
            IllegalTransitionError: no Session is open.
        """
        member = self._member(connection)
        if member.role == "viewer":
            raise ForbiddenError("this connection may only watch; ask for the role 'owner' to send commands")
        if not self.is_open():
            raise IllegalTransitionError("Session", self.state.value, "a command")
        self._life.commanded_at = now
        if member.state is MemberState.LIVE:
            return []
        return self._progressed(DataOpened(connection), now)  # it came over `data`, so that is open

    def _paused_or_resumed(self, event: e.ResumeRequested | e.PauseRequested) -> list[e.MembershipEffect]:
        member = self._member(event.connection)
        if event.track not in self._outputs:
            names = ", ".join(self._outputs) or "none"
            raise PeerError(f"no output track {event.track[:80]!r}; declared: {names}")
        if isinstance(event, e.ResumeRequested):
            return self._resume(member, event.track) + self._rewant()
        if event.track not in member.resumed:
            return []
        member.resumed.discard(event.track)
        return [e.PauseOutput(member.connection, event.track), *self._rewant()]

    def _resume(self, member: Member, track: str) -> list[e.MembershipEffect]:
        if track in member.resumed or not self.is_open():
            return []
        member.resumed.add(track)
        return [e.ResumeOutput(member.connection, track)]

    def _listens(self, member: Member) -> list[e.MembershipEffect]:
        """Whoever has said nothing yet speaks v0; without `control` it cannot resume or claim (4.7, 5.2, 5.9)."""
        effects: list[e.MembershipEffect] = [e.AssumeFormat(member.connection)] if member.binary is None else []
        if not member.has_control and member.binary is not True and not member.implicit:
            effects += self._start_by_itself(member)
        return effects

    def _start_by_itself(self, member: Member) -> list[e.MembershipEffect]:
        member.implicit = True
        effects: list[e.MembershipEffect] = []
        for track in self._outputs:
            effects += self._resume(member, track)
        return [*effects, *self._rewant(), e.ProbeInputs(member.connection)]

    def _published(self, event: e.PublishRequested | e.UnpublishRequested | e.MediaArrived) -> list[e.MembershipEffect]:
        member = self._member(event.connection)
        connection, track = event.connection, event.track
        if isinstance(event, e.UnpublishRequested):
            if self._publishers.get(track) != connection:
                return []
            self._publishers[track] = None
            return [e.CloseInput(connection, track)]
        refusal = self._refusal(member, track)
        if isinstance(event, e.MediaArrived):
            if refusal is not None or not member.implicit:
                return []
            self._publishers[track] = connection
            return [e.OpenInput(connection, track)]
        if refusal is not None:
            code = "FORBIDDEN" if member.role == "viewer" else "publish_refused"
            return [e.RefusePublish(connection, track, event.request_id, refusal, code)]
        self._publishers[track] = connection
        return [e.OpenInput(connection, track), e.GrantPublish(connection, track, event.request_id)]

    def _refusal(self, member: Member, track: str) -> str | None:
        if track not in self._publishers:
            names = ", ".join(self._inputs) or "none"
            return f"no input track {track[:80]!r}; declared: {names}"
        if member.role == "viewer":
            return "this connection may only watch; ask for the role 'owner' to publish"
        if not self.is_open():
            return "the session has ended; start another"
        holder = self._publishers[track]
        if holder is None:
            return None
        who = "this connection already" if holder == member.connection else "another connection"
        return f"track {track!r} is published by {who}; unpublish it first"

    def _strip(self, member: Member) -> list[e.MembershipEffect]:
        """Take what a transport held: slots, resumed outputs, the model's client."""
        effects: list[e.MembershipEffect] = []
        for track, publisher in self._publishers.items():
            if publisher == member.connection:
                self._publishers[track] = None
                effects.append(e.CloseInput(member.connection, track))
        member.resumed.clear()
        if member.joined:
            member.joined = False
            effects.append(e.LeaveModel(member.connection))
        return effects

    def _drop(self, connection: int, reason: str, now: float) -> list[e.MembershipEffect]:
        member = self._members.pop(connection)
        effects: list[e.MembershipEffect] = [*self._strip(member), e.ClosePeer(connection, reason), *self._rewant()]
        nobody = not any(other.counts for other in self._members.values())
        if self.state is SessionState.STREAMING and nobody:
            effects += self._move(LastLeft(), now, "the last client left")
            self._wait_for_members()
        return effects

    def _wait_for_members(self) -> None:
        for member in self._members.values():
            if member.state is not MemberState.LIVE:
                self._life.wait_on(member.lives_until())

    def _rewant(self) -> list[e.MembershipEffect]:
        wanted = frozenset[str]().union(*(member.resumed for member in self._members.values()))
        if wanted == self._wanted:
            return []
        self._wanted = wanted
        return [e.WantOutputs(wanted)]

    # --- the Session ----------------------------------------------------------------------------------------------

    def _lived(
        self, event: SessionRequested | EndRequested | ModelClosed | ModelLoaded | ModelBroken, now: float
    ) -> list[e.MembershipEffect]:
        match event:
            case SessionRequested():
                return [*self._move(event, now, "a session starts"), e.OpenModel(event)]
            case EndRequested():
                return self._end(event, now)
            case ModelClosed():
                return self._move(event, now, "the model is ready for the next session")
            case ModelLoaded():
                return self._move(event, now, "the model has loaded")
            case ModelBroken():
                effects = self._move(event, now, event.reason)
                return effects + self._empty(now, event.reason)

    def _end(self, event: EndRequested, now: float) -> list[e.MembershipEffect]:
        told = event.notice and bool(self._members)
        effects = self._move(EndRequested(event.reason, notice=told, moderate=event.moderate), now, event.reason)
        if told:
            return [*effects, e.AnnounceEnd(event.reason, event.moderate)]
        return effects + self._part(now)

    def _part(self, now: float) -> list[e.MembershipEffect]:
        reason = self._life.end_reason or "stopped"
        self._life.due(now)  # an end without a notice parts at once
        return [*self._empty(now, reason), e.CloseModel(reason)]

    def _empty(self, now: float, reason: str) -> list[e.MembershipEffect]:
        effects: list[e.MembershipEffect] = []
        for connection in tuple(self._members):
            effects += self._drop(connection, reason, now)
        return effects

    def _move(self, event: LifeEvent, now: float, reason: str) -> list[e.MembershipEffect]:
        before = self._life.handle(event, now)
        return [e.RecordTransition(before, self.state, reason)]

    # --- time -----------------------------------------------------------------------------------------------------

    def _timed_out(self, now: float) -> list[e.MembershipEffect]:
        effects: list[e.MembershipEffect] = []
        for member in tuple(self._members.values()):
            effects += self._member_due(member, now)
        while (due := self._life.due(now)) is not None:
            effects += self._life_due(due, now)
        return effects

    def _member_due(self, member: Member, now: float) -> list[e.MembershipEffect]:
        due = member.due(now)
        if due is None:
            return []
        if due is not MemberDue.ASSUME:
            return self._drop(member.connection, due.value, now)
        return self._listens(member)

    def _life_due(self, due: Due, now: float) -> list[e.MembershipEffect]:
        if due is Due.WARN:
            return [e.AnnounceTimeLeft(self._limits.time_warning)]
        if due is Due.PART:
            return self._part(now)
        return self._end(EndRequested(_END_REASONS[due]), now)
