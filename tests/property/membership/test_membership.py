"""Whatever happens to a Membership, in whatever order: no slot has two holders, everybody ends, every Session ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.base.errors import ForbiddenError, IllegalTransitionError, NotFoundError, PeerError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.runtime.session import events as e
from livereactor.runtime.session.lifecycle import (
    EndRequested,
    ModelBroken,
    ModelClosed,
    ModelLoaded,
    SessionRequested,
    SessionState,
)
from livereactor.runtime.session.member import DataOpened, Offered, TransportUp
from livereactor.runtime.session.membership import Membership
from tests.unit.runtime.session.acting import CommandReceived, FrameReceived, ServiceEvent, effects_of

OUTPUTS, INPUTS = ("main_video", "voice"), ("webcam", "mic")
# Two of them are talked of most, or no history would get as far as a live Connection.
CONNECTIONS = (*(1001,) * 6, *(5000,) * 8, 5001, 5001, 5002, 5003, 5004, 7)
LIMITS = Limits(max_connections=2)  # few, or a history would hardly fill them
# After the last event: a window of 60 s, stretched by an offer of 30 s, a silent client of 20 s, a parting notice.
LONGEST = LIMITS.max_session_duration + LIMITS.unclaimed_window + LIMITS.offer_to_live + LIMITS.client_silence + 1

_TRACKS = (*OUTPUTS, *INPUTS, "nothing")
MAKERS: tuple[Callable[[random.Random], ServiceEvent], ...] = (
    lambda dice: ModelLoaded(),
    lambda dice: SessionRequested("ses", max_duration=dice.choice((None, 0.0, 20.0, 90.0))),
    lambda dice: EndRequested("stopped", notice=dice.random() < 0.5),
    lambda dice: ModelClosed(),
    lambda dice: Offered(
        number := dice.choice(CONNECTIONS),
        dice.choice(("owner", "viewer", "viewer")),
        dice.choice(("", "", "a", "b")),
        flat=number == 1001,
    ),
    lambda dice: TransportUp(dice.choice(CONNECTIONS)),
    lambda dice: DataOpened(dice.choice(CONNECTIONS)),
    lambda dice: e.ControlOpened(dice.choice(CONNECTIONS)),
    lambda dice: e.TransportLost(dice.choice(CONNECTIONS), "gone"),
    lambda dice: FrameReceived(dice.choice(CONNECTIONS), dice.random() < 0.5),
    lambda dice: CommandReceived(dice.choice(CONNECTIONS)),
    lambda dice: e.PublishRequested(dice.choice(CONNECTIONS), dice.choice(_TRACKS), "1"),
    lambda dice: e.UnpublishRequested(dice.choice(CONNECTIONS), dice.choice(_TRACKS)),
    lambda dice: e.MediaArrived(dice.choice(CONNECTIONS), dice.choice(_TRACKS)),
    lambda dice: e.ResumeRequested(dice.choice(CONNECTIONS), dice.choice(_TRACKS)),
    lambda dice: e.PauseRequested(dice.choice(CONNECTIONS), dice.choice(_TRACKS)),
    lambda dice: e.TimedOut(),
)
# A life that mostly gets somewhere: what is rarer than a thousandth in reality need not be a sixteenth here.
WEIGHTS = (1, 3, 1, 2, 6, 6, 6, 3, 3, 4, 3, 5, 3, 3, 5, 3, 2)


class Witness:
    """Follows the effects as a shell would and knows what must be true of them."""

    def __init__(self, idle_timeout: float) -> None:
        self.members = Membership(LIMITS, outputs=OUTPUTS, inputs=INPUTS, idle_timeout=idle_timeout)
        self.now = 0.0
        self.publishers: dict[str, int] = {}
        self.resumed: set[tuple[int, str]] = set()
        self.wanted: frozenset[str] = frozenset()
        self.joined: set[int] = set()
        self.peers: set[int] = set()
        self.stage_open = False
        self.owners: dict[int, bool] = {}  # by connection, those that are not leaving
        self.seen: set[type[e.MembershipEffect]] = set()

    def tell(self, event: ServiceEvent) -> None:
        state, connections, deadline = self.members.state, self.members.connections, self.members.deadline()
        try:
            effects = effects_of(self.members, event, self.now)
        except (PeerError, ForbiddenError, NotFoundError, UnavailableError, IllegalTransitionError) as error:
            if isinstance(event, Offered) and isinstance(error, UnavailableError) and event.connection in self.owners:
                assert event.link, "who has a place is never refused"
            if isinstance(event, Offered) and isinstance(error, UnavailableError) and self._is_owner(event):
                leaving = self.peers - set(self.owners)
                assert event.connection in leaving or all(self.owners.values()), "a viewer has the owner's place"
            # Refused: nothing may have changed.
            assert (state, connections, deadline) == (
                self.members.state,
                self.members.connections,
                self.members.deadline(),
            )
            return
        if isinstance(event, Offered):
            self._replaced(event.connection)
            self.peers.add(event.connection)
            self.owners[event.connection] = self._is_owner(event)
        for effect in effects:
            self.follow(effect)
        self.check()

    @staticmethod
    def _is_owner(event: Offered) -> bool:
        return event.role == "owner" and not event.link

    def _replaced(self, connection: int) -> None:
        self.resumed = {pair for pair in self.resumed if pair[0] != connection}

    def follow(self, effect: e.MembershipEffect) -> None:
        self.seen.add(type(effect))
        match effect:
            case e.OpenInput(connection, track):
                assert track not in self.publishers, "two holders of one slot"
                self.publishers[track] = connection
            case e.CloseInput(connection, track):
                assert self.publishers.pop(track) == connection
            case e.ResumeOutput(connection, track):
                assert (connection, track) not in self.resumed
                self.resumed.add((connection, track))
            case e.PauseOutput(connection, track):
                self.resumed.remove((connection, track))
            case e.WantOutputs(tracks):
                assert tracks != self.wanted, "wanted outputs have not changed"
                self.wanted = tracks
            case e.JoinModel(connection):
                assert connection not in self.joined
                self.joined.add(connection)
            case e.LeaveModel(connection):
                self.joined.remove(connection)
            case e.AnnounceDisplaced(connection):
                assert not self.owners.pop(connection), "an owner gave its place up"
            case e.ClosePeer(connection):
                self.owners.pop(connection, None)
                self.peers.remove(connection)
                self._replaced(connection)
            case e.OpenModel():
                assert not self.stage_open
                assert not self.peers
                self.stage_open = True
            case e.CloseModel():
                assert self.stage_open
                assert not self.peers, "the stage closes after the peers"
                self.stage_open = False
            case _:
                pass

    def check(self) -> None:
        assert self.wanted == {track for _, track in self.resumed} == self.members.wanted
        assert set(self.publishers.values()) <= self.peers
        assert self.joined <= self.peers == set(self.members.connections)
        assert len(self.owners) <= LIMITS.max_connections
        # A place goes from a viewer to a link that may control, and then to the owner, while the notices leave.
        assert len(self.peers) <= 3 * LIMITS.max_connections
        if self.members.state is SessionState.STREAMING:
            assert self.peers
        if self.members.state in (SessionState.READY, SessionState.CREATED, SessionState.TERMINATED):
            assert not self.peers
            assert not self.wanted

    def pass_time(self, seconds: float) -> None:
        """Wake the Membership at each deadline, as its shell does; a deadline handled must not stay."""
        until, wakes = self.now + seconds, 0
        while (deadline := self.members.deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.tell(e.TimedOut())
            wakes += 1
            assert wakes < 100, "a deadline that is handled and stays spins"
        self.now = until


def live(dice: random.Random, length: int) -> Witness:
    """One random history."""
    witness = Witness(idle_timeout=dice.choice((0.0, 0.0, 10.0)))
    if dice.random() < 0.9:
        witness.tell(ModelLoaded())
        witness.tell(SessionRequested("ses", max_duration=dice.choice((None, 0.0, 90.0))))
    for make in dice.choices(MAKERS, WEIGHTS, k=length):
        if dice.random() < 0.2:
            witness.pass_time(dice.choice((0.01, 0.5, 1.5, 8.0, 25.0, 40.0)))
        witness.tell(make(dice))
    return witness


def ends(witness: Witness) -> None:
    """From here on nobody says anything: everybody and everything ends by itself."""
    witness.pass_time(LONGEST)
    assert not witness.peers
    assert not witness.publishers
    assert not witness.joined
    assert not witness.members.is_open()
    assert not witness.stage_open
    assert witness.members.deadline() is None
    if witness.members.state is SessionState.CLOSING:
        witness.tell(ModelClosed())
        assert witness.members.state is SessionState.READY
    if witness.members.state is not SessionState.TERMINATED:
        witness.tell(ModelBroken("the process ends"))
    assert witness.members.state is SessionState.TERMINATED


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_no_slot_has_two_holders_and_everything_ends_whatever_arrives(seed: int, length: int) -> None:
    ends(live(random.Random(seed), length))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_the_owner_is_never_refused_for_a_place_that_viewers_and_links_took(seed: int, length: int) -> None:
    dice, witness = random.Random(seed), Witness(idle_timeout=0.0)
    witness.tell(ModelLoaded())
    witness.tell(SessionRequested("ses", max_duration=0.0))
    for _ in range(length):
        number, link = dice.choice(CONNECTIONS), dice.choice("abc")
        role = dice.choice(("owner", "viewer", "viewer"))
        events: tuple[ServiceEvent, ...] = (Offered(number, role, link), DataOpened(number))
        for event in events[: dice.choice((1, 2))]:
            witness.tell(event)
        witness.pass_time(dice.choice((0.0, 0.01, 0.1)))
    witness.tell(Offered(9000))
    assert 9000 in witness.owners
    witness.tell(DataOpened(9000))
    assert 9000 in witness.joined
    ends(witness)


def test_histories_reach_every_state_a_model_can_be_in() -> None:
    dice, seen = random.Random(1), set[SessionState]()
    for _ in range(300):
        seen.add(live(dice, 60).members.state)
    assert seen == set(SessionState) - {SessionState.TERMINATED}


def test_histories_have_every_effect() -> None:
    dice, seen = random.Random(2), set[type[e.MembershipEffect]]()
    for _ in range(300):
        seen |= live(dice, 60).seen
    assert seen == set(get_args(e.MembershipEffect))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_histories_keep_every_promise() -> None:
    for seed in range(1_000_000):
        ends(live(random.Random(seed), 1 + seed % 30))
