"""The membership machine: the Connections of a Session, what each may do, and when the Session ends.

Pure. `MachineLoop` is the shell: it passes `now`, applies the effects in order, and delivers `TimedOut` at
`deadline()`. The deadlines of the Session are in `lifecycle.py`, the states of a Connection in `member.py`.

One file: every event needs both the Session's state and its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from livereactor.base.errors import ForbiddenError, IllegalTransitionError, NotFoundError, PeerError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.base.machine import Machine, Table
from livereactor.runtime.interfaces import Role
from livereactor.runtime.session import events as e
from livereactor.runtime.session.lifecycle import (
    NOTICE_TIME,
    OPEN,
    Due,
    EndRequested,
    ModelBroken,
    ModelClosed,
    ModelLoaded,
    SessionRequested,
    SessionState,
    SessionTimers,
)
from livereactor.runtime.session.member import (
    DataOpened,
    Member,
    MemberDue,
    MemberState,
    Offered,
    TransportUp,
    rank_of,
)

_END_REASONS: Final = {Due.TIMED_OUT: "timed_out", Due.MAX_DURATION: "max_duration", Due.IDLE: "idle"}


# Seconds after which a refused client may ask for a place again. Nobody can foretell when a viewer leaves; one who
# leaves without a word is gone after `client_silence` (20 s), and four questions in that time cost next to nothing.
PLACE_RETRY: Final = 5.0

_S = SessionState


def _full(message: str) -> UnavailableError:
    return UnavailableError(message, code="RATE_LIMITED", retry_after=PLACE_RETRY)


def _may_only_watch(what_needs: str) -> str:
    """Return the refusal of a viewer: what its link lacks, and who can give it."""
    return (
        f"this connection may only watch; {what_needs} the scope `control`: "
        "ask the owner of the session for a link or token that grants it"
    )


def _clients(state: SessionState) -> Mapping[type[e.MembershipEvent], SessionState]:
    """Return the row of clients' events: they leave the state as it is, or are refused with an error for the client."""
    events: tuple[type[e.MembershipEvent], ...] = (
        Offered,
        TransportUp,
        DataOpened,
        e.ControlOpened,
        e.TransportLost,
        e.PublishRequested,
        e.UnpublishRequested,
        e.ResumeRequested,
        e.PauseRequested,
        e.MediaArrived,
    )
    return dict.fromkeys((*events, e.TimedOut), state)


LEGAL: Final[Table[SessionState, e.MembershipEvent]] = Table(
    "Session",
    {
        _S.CREATED: {**_clients(_S.CREATED), ModelLoaded: _S.READY, ModelBroken: _S.TERMINATED},
        _S.READY: {**_clients(_S.READY), SessionRequested: _S.WAITING, ModelBroken: _S.TERMINATED},
        _S.WAITING: {
            **_clients(_S.WAITING),
            DataOpened: (_S.WAITING, _S.STREAMING),
            e.TimedOut: (_S.WAITING, _S.CLOSING),
            EndRequested: _S.CLOSING,
            ModelBroken: _S.TERMINATED,
        },
        _S.STREAMING: {
            **_clients(_S.STREAMING),
            e.TransportLost: (_S.STREAMING, _S.ORPHANED),
            e.TimedOut: (_S.STREAMING, _S.ORPHANED, _S.CLOSING),
            EndRequested: _S.CLOSING,
            ModelBroken: _S.TERMINATED,
        },
        _S.ORPHANED: {
            **_clients(_S.ORPHANED),
            DataOpened: (_S.ORPHANED, _S.STREAMING),
            e.TimedOut: (_S.ORPHANED, _S.CLOSING),
            EndRequested: _S.CLOSING,
            ModelBroken: _S.TERMINATED,
        },
        # The model cannot have closed while the notice is still leaving: it was not asked to.
        _S.CLOSING: {**_clients(_S.CLOSING), ModelClosed: _S.READY, ModelBroken: _S.TERMINATED},
        _S.TERMINATED: _clients(_S.TERMINATED),
    },
)


class Membership(Machine[SessionState, e.MembershipEvent, e.MembershipEffect]):
    """The members of one model's Sessions.

    Args:
        outputs, inputs: names of the model's Tracks, in declaration order.
        idle_timeout: seconds without a Command after which a Session ends; 0 = never.

    Attributes:
        state: of the Session.
        session: the one that is open or closing.
        started: when it began (monotonic).
        wanted: the output Tracks that at least one Connection receives.
        end_reason: why the last Session ended; None before that, and while one is open.
    """

    def __init__(
        self, limits: Limits, *, outputs: Iterable[str], inputs: Iterable[str], idle_timeout: float = 0.0
    ) -> None:
        super().__init__(LEGAL)
        self._limits = limits
        self._timers = SessionTimers(limits, idle_timeout=idle_timeout)
        self.session: SessionRequested | None = None
        self.started: float | None = None
        self.end_reason: str | None = None
        self._members: dict[int, Member] = {}
        self._outputs = tuple(outputs)
        self._inputs = tuple(inputs)
        self._publishers: dict[str, int | None] = dict.fromkeys(self._inputs)
        self.wanted: frozenset[str] = frozenset()

    # --- for reading -------------------------------------------------------------------------------

    @property
    def connections(self) -> tuple[int, ...]:
        """The ids of all Connections, oldest first."""
        return tuple(self._members)

    def is_open(self) -> bool:
        """Return whether a Session can be joined."""
        return self.state in OPEN

    def check_place(self, connection: int | None, role: Role, link: str) -> Member | None:
        """Find a place for a Connection.

        Args:
            connection: its id; None = a fresh one.
            role, link: whose it is; see `Offered`.

        Returns:
            The member that has to give its place up; None where there is a place.

        Raises:
            UnavailableError: the share link has all of its Connections, or all places are taken by those of its rank.
        """
        others = [each for each in self._members.values() if each.connection != connection and each.leaves_at is None]
        used = sum(each.link == link for each in others)
        if link and used >= (limit := self._limits.link_connections):
            which = "connections of this share link (link_connections)"
            raise _full(f"{used} of {limit} {which} are in use; close one or try again in {PLACE_RETRY:g} s")
        member = None if connection is None else self._members.get(connection)
        if member is not None and member.leaves_at is None:
            return None
        if member is None and len(others) < (limit := self._limits.max_connections):
            return None
        # Of those with the lowest rank, the one that came last.
        lowest = min(reversed(others), key=lambda each: each.rank, default=None)
        if member is None and lowest is not None and lowest.rank < rank_of(role, link):
            return lowest
        used, limit = len(others), self._limits.max_connections
        raise _full(
            f"{used} of {limit} connections of this session are in use; close one, raise max_connections, "
            f"or try again in {PLACE_RETRY:g} s"
        )

    # --- the machine ----------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when `TimedOut` is due; None = never."""
        moments = [member.deadline() for member in self._members.values()]
        if (own := self._timers.deadline()) is not None:
            moments.append(own)
        return min(moments, default=None)

    def _decide(self, event: e.MembershipEvent, now: float) -> list[e.MembershipEffect]:
        """Return what the shell has to do, in order.

        Raises:
            NotFoundError: an offer while no Session is open.
            PeerError: the Connection or the Track does not exist.
            UnavailableError: the Session is full.
            In each case nothing has changed.
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
            case SessionRequested():
                self.session, self.started, self.end_reason = event, now, None
                self._timers.begin(event, now)
                return [*self._enter(SessionState.WAITING, "a session starts"), e.OpenModel(event)]
            case EndRequested():
                return self._end(event, now)
            case ModelClosed() if self._timers.is_notice_leaving:
                raise LEGAL.illegal(self.state, event)
            case ModelClosed():
                self._forget_session()
                return self._enter(SessionState.READY, "the model is ready for the next session")
            case ModelLoaded():
                return self._enter(SessionState.READY, "the model has loaded")
            case ModelBroken():
                self._forget_session()
                return self._enter(SessionState.TERMINATED, event.reason) + self._empty(now, event.reason)

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
        displaced = self.check_place(event.connection, event.role, event.link)
        if (member := self._members.get(event.connection)) is not None:
            # A client that replaces its Peer has not left: the Session's state stays; publishes and resumes do not.
            effects += self._strip(member)
            member.handle(event, now)
        else:
            if displaced is not None:
                displaced.leaves_at = now + NOTICE_TIME
                effects.append(e.AnnounceDisplaced(displaced.connection))
            member = self._members[event.connection] = Member(event, self._limits, now)
        self._timers.wait_on(member.lives_until())
        return effects + self._rewant()

    def _progressed(self, event: TransportUp | DataOpened, now: float) -> list[e.MembershipEffect]:
        member = self._member(event.connection)
        was_live = member.state is MemberState.LIVE
        member.handle(event, now)
        if was_live or member.state is not MemberState.LIVE:
            return []
        effects: list[e.MembershipEffect] = [e.BecameLive(member.connection)]
        if self.state in (SessionState.WAITING, SessionState.ORPHANED):
            self._timers.joined()
            effects += self._enter(SessionState.STREAMING, "a client connected")
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
            raise ForbiddenError(_may_only_watch("commands need"))
        if not self.is_open():
            raise IllegalTransitionError("Session", self.state.value, "a command")
        self._timers.commanded(now)
        if member.state is MemberState.LIVE:
            return []
        return self.handle(DataOpened(connection), now)  # it came over `data`, so that is open

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
        """Take a client that has said nothing for one of v0; without `control` its outputs start by themselves."""
        effects: list[e.MembershipEffect] = [e.AssumeFormat(member.connection)] if member.binary is None else []
        if not member.has_control and member.binary is not True and not member.implicit:
            member.implicit = True
            for track in self._outputs:
                effects += self._resume(member, track)
            effects += [*self._rewant(), e.ProbeInputs(member.connection)]
        return effects

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
            return _may_only_watch("publishing needs")
        if not self.is_open():
            return "the session has ended; start another"
        holder = self._publishers[track]
        if holder is None:
            return None
        who = "this connection already" if holder == member.connection else "another connection"
        return f"track {track!r} is published by {who}; unpublish it first"

    def _strip(self, member: Member) -> list[e.MembershipEffect]:
        """Take from a member what its transport had: published inputs, resumed outputs, its place in the model."""
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
            self._timers.left(self.session, now)
            effects += self._enter(SessionState.ORPHANED, "the last client left")
            for other in self._members.values():
                if other.state is not MemberState.LIVE:
                    self._timers.wait_on(other.lives_until())
        return effects

    def _rewant(self) -> list[e.MembershipEffect]:
        wanted = frozenset[str]().union(*(member.resumed for member in self._members.values()))
        if wanted == self.wanted:
            return []
        self.wanted = wanted
        return [e.WantOutputs(wanted)]

    # --- the Session ----------------------------------------------------------------------------------------------

    def _forget_session(self) -> None:
        self.session = self.started = None
        self._timers.stop()

    def _end(self, event: EndRequested, now: float) -> list[e.MembershipEffect]:
        notifies = event.notice and bool(self._members)
        self.end_reason = event.reason
        self._timers.end(now + NOTICE_TIME if notifies else now)
        effects = self._enter(SessionState.CLOSING, event.reason)
        if notifies:
            return [*effects, e.AnnounceEnd(event.reason, event.moderate)]
        return effects + self._part(now)

    def _part(self, now: float) -> list[e.MembershipEffect]:
        reason = self.end_reason or "stopped"
        self._timers.due(now)  # an end without a notice closes the Peers at once
        return [*self._empty(now, reason), e.CloseModel(reason)]

    def _empty(self, now: float, reason: str) -> list[e.MembershipEffect]:
        return [effect for connection in tuple(self._members) for effect in self._drop(connection, reason, now)]

    def _enter(self, state: SessionState, reason: str) -> list[e.MembershipEffect]:
        before = self.state
        self._go(state)
        return [e.RecordTransition(before, state, reason)]

    # --- time -----------------------------------------------------------------------------------------------------

    def _timed_out(self, now: float) -> list[e.MembershipEffect]:
        effects: list[e.MembershipEffect] = []
        for member in tuple(self._members.values()):
            match member.due(now):
                case None:
                    pass
                case MemberDue.ASSUME:
                    effects += self._listens(member)
                case due:
                    effects += self._drop(member.connection, due.value, now)
        while (due := self._timers.due(now)) is not None:
            effects += self._life_due(due, now)
        return effects

    def _life_due(self, due: Due, now: float) -> list[e.MembershipEffect]:
        if due is Due.WARN:
            return [e.AnnounceTimeLeft(self._limits.time_warning)]
        if due is Due.PART:
            return self._part(now)
        return self._end(EndRequested(_END_REASONS[due]), now)
