"""The Session of a Membership: its states, its windows, and how it ends."""

from __future__ import annotations

import pytest

from livereactor.base.errors import IllegalTransitionError, NotFoundError
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
from livereactor.runtime.session.member import Offered
from livereactor.runtime.session.membership import LEGAL
from tests.unit.runtime.session.acting import Acting, CommandReceived


def test_every_state_has_a_row() -> None:
    assert set(LEGAL) == set(SessionState)


def test_a_session_goes_from_waiting_to_streaming_to_orphaned_and_back() -> None:
    act = Acting()
    act.start()
    assert act.of(e.OpenModel)
    assert act.members.state is SessionState.WAITING
    act.connect()
    assert act.members.state is SessionState.STREAMING
    act.tell(e.TransportLost(5000, "gone"))
    assert act.members.state is SessionState.ORPHANED
    act.connect(5001)
    assert act.members.state is SessionState.STREAMING


def test_no_session_starts_while_the_model_loads_or_a_session_runs() -> None:
    act = Acting(ready=False)
    with pytest.raises(IllegalTransitionError):
        act.start()
    act.tell(ModelLoaded())
    act.start()
    with pytest.raises(IllegalTransitionError):
        act.start()


def test_a_session_nobody_reaches_ends_after_its_window() -> None:
    act = Acting()
    act.start()
    assert not act.after(59.9)
    act.after(0.2)
    assert act.of(e.CloseModel) == [e.CloseModel("timed_out")]
    assert act.members.state is SessionState.CLOSING


def test_an_orphaned_session_lives_for_the_reconnection_window() -> None:
    act = Acting()
    act.start()
    act.connect()
    act.tell(e.TransportLost(5000, "gone"))
    assert not act.after(29.9)
    act.after(0.2)
    assert act.of(e.CloseModel) == [e.CloseModel("timed_out")]


def test_a_session_may_bring_its_own_reconnection_window() -> None:
    act = Acting()
    act.start(reconnection_window=5.0)
    act.connect()
    act.tell(e.TransportLost(5000, "gone"))
    act.after(5.1)
    assert act.of(e.CloseModel)


def test_a_session_does_not_outlast_the_operators_limits_whatever_it_asks() -> None:
    for asked in (None, 0.0, 1e9):
        act = Acting(limits=Limits(max_session_duration=50.0, client_silence=1e9))
        act.start(max_duration=asked, reconnection_window=1e9)
        act.connect()
        act.after(50.1)
        assert act.members.end_reason == "max_duration", asked
    act = Acting()
    act.start(reconnection_window=1e9)
    act.connect()
    act.tell(e.TransportLost(5000, "gone"))
    act.after(30.1)
    assert act.of(e.CloseModel)


def test_a_session_may_end_itself_where_the_operator_set_no_limit() -> None:
    act = Acting(limits=Limits(max_session_duration=0.0, client_silence=1e9))
    act.start(max_duration=20.0)
    act.connect()
    act.after(20.1)
    assert act.members.end_reason == "max_duration"


def test_a_client_on_its_way_is_waited_for_past_the_window() -> None:
    act = Acting()
    act.start()
    act.connect()
    act.tell(e.TransportLost(5000, "gone"))
    act.after(29.0)
    act.tell(Offered(5001))
    act.after(10.0)
    assert act.members.is_open()
    act.connect(5001)
    assert act.members.state is SessionState.STREAMING


def test_clients_are_warned_thirty_seconds_before_the_longest_duration_and_told_the_end() -> None:
    act = Acting(limits=Limits(client_silence=10_000.0))
    act.start(max_duration=100.0)
    act.connect()
    act.after(69.9)
    assert not act.of(e.AnnounceTimeLeft)
    act.after(0.2)
    assert act.of(e.AnnounceTimeLeft) == [e.AnnounceTimeLeft(30.0)]
    act.after(30.0)
    assert act.of(e.AnnounceEnd) == [e.AnnounceEnd("max_duration", False)]
    assert act.members.end_reason == "max_duration"


@pytest.mark.parametrize(("lead", "told"), [(4.0, [4.0]), (0.0, []), (10.0, [])], ids=["shorter", "off", "too long"])
def test_an_operator_says_how_long_before_the_end_clients_are_warned(lead: float, told: list[float]) -> None:
    act = Acting(limits=Limits(time_warning=lead, client_silence=1e9))
    act.start(max_duration=10.0)
    act.connect()
    act.after(10.0 - lead - 0.1)
    assert not act.of(e.AnnounceTimeLeft)
    act.after(0.2)
    assert act.of(e.AnnounceTimeLeft) == [e.AnnounceTimeLeft(seconds) for seconds in told]


def test_a_duration_of_zero_never_ends_a_session() -> None:
    act = Acting(limits=Limits(max_session_duration=0.0, client_silence=1e9))
    act.start()
    act.connect()
    assert not [effect for effect in act.after(1e6) if isinstance(effect, e.AnnounceEnd | e.AnnounceTimeLeft)]


def test_a_session_without_commands_ends_idle_and_every_command_puts_that_off() -> None:
    act = Acting(limits=Limits(client_silence=1e9), idle_timeout=20.0)
    act.start()
    act.connect()
    act.after(15.0)
    act.tell(CommandReceived(5000))
    act.after(15.0)
    assert act.members.is_open()
    act.after(5.1)
    assert act.members.end_reason == "idle"


def test_a_parting_notice_has_time_to_leave_before_the_peers_close() -> None:
    act = Acting()
    act.start()
    act.connect()
    act.tell(EndRequested("stopped", moderate=True))
    assert act.of(e.AnnounceEnd) == [e.AnnounceEnd("stopped", True)]
    assert not act.of(e.ClosePeer)
    assert not act.after(0.05)
    act.after(0.1)
    assert [type(effect) for effect in act.effects if isinstance(effect, e.ClosePeer | e.CloseModel)] == [
        e.ClosePeer,
        e.CloseModel,
    ]


@pytest.mark.parametrize("connected", [False, True])
def test_an_end_without_anybody_to_tell_closes_at_once(connected: bool) -> None:
    act = Acting()
    act.start()
    if connected:
        act.connect()
    act.tell(EndRequested("stopped", notice=not connected))
    assert act.of(e.CloseModel) == [e.CloseModel("stopped")]


def test_after_the_stage_has_closed_the_next_session_may_start() -> None:
    act = Acting()
    act.start()
    act.tell(EndRequested("stopped"))
    with pytest.raises(IllegalTransitionError):
        act.start()
    act.tell(ModelClosed())
    act.tell(SessionRequested("ses_2"))
    assert act.members.session is not None
    assert act.members.session.id == "ses_2"


def test_a_broken_model_drops_everybody_and_starts_no_session_any_more() -> None:
    act = Acting()
    act.start()
    act.connect()
    act.tell(ModelBroken("the process ends"))
    assert [effect.connection for effect in act.of(e.ClosePeer)] == [5000]
    assert act.members.state is SessionState.TERMINATED
    assert act.members.deadline() is None
    with pytest.raises(IllegalTransitionError):
        act.start()


def test_an_offer_without_an_open_session_is_refused_and_leaves_nothing() -> None:
    act = Acting()
    with pytest.raises(NotFoundError, match="start_session"):
        act.tell(Offered(5000))
    assert act.members.connections == ()
