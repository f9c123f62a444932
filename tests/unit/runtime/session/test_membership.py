"""The Connections of a Membership: coming, being silent, being replaced, watching, and leaving."""

from __future__ import annotations

import pytest

from livereactor.base.errors import ForbiddenError, PeerError, UnavailableError
from livereactor.runtime.session import events as e
from livereactor.runtime.session.lifecycle import EndRequested, SessionState
from livereactor.runtime.session.member import LEGAL, DataOpened, MemberState, Offered, TransportUp
from tests.unit.runtime.session.acting import OUTPUTS, Acting, CommandReceived, FrameReceived


@pytest.fixture
def act() -> Acting:
    acting = Acting()
    acting.start()
    return acting


def test_every_state_of_a_connection_has_a_row() -> None:
    assert set(LEGAL) == set(MemberState)


def test_a_connection_is_live_once_its_data_channel_is_open_whatever_the_engine_tells_first(act: Acting) -> None:
    act.tell(Offered(5000), TransportUp(5000))
    assert not act.of(e.JoinModel)
    act.tell(DataOpened(5000))
    assert act.of(e.BecameLive) == [e.BecameLive(5000)]
    assert act.of(e.JoinModel) == [e.JoinModel(5000, "owner")]
    act.tell(Offered(5001), DataOpened(5001))
    assert act.of(e.JoinModel) == [e.JoinModel(5001, "owner")]
    assert act.tell(TransportUp(5001), DataOpened(5001)) == []


def test_a_command_before_its_channel_is_said_to_be_open_makes_the_client_known_first(act: Acting) -> None:
    act.tell(Offered(5000), FrameReceived(5000, binary=True), CommandReceived(5000))
    assert act.of(e.JoinModel) == [e.JoinModel(5000, "owner")]
    assert act.tell(CommandReceived(5000)) == []


def test_a_fifth_connection_is_refused_naming_the_limit(act: Acting) -> None:
    for connection in range(5000, 5004):
        act.connect(connection)
    with pytest.raises(UnavailableError, match="4 of 4 connections") as refusal:
        act.tell(Offered(5004))
    assert refusal.value.code == "RATE_LIMITED"
    act.tell(Offered(5003))
    act.tell(e.TransportLost(5000, "gone"), Offered(5004))


def test_the_owner_takes_the_place_of_the_newest_viewer_who_leaves_after_the_notice(act: Acting) -> None:
    for connection, link in ((5000, "a"), (5001, "a"), (5002, "b"), (5003, "b")):
        act.connect(connection, role="viewer", link=link)
    act.tell(Offered(5002, "viewer", "b"))  # a new transport makes no newer viewer
    with pytest.raises(UnavailableError, match="4 of 4 connections"):
        act.tell(Offered(5004, "viewer", "c"))
    act.tell(Offered(5005))
    assert act.of(e.AnnounceDisplaced) == [e.AnnounceDisplaced(5003)]
    with pytest.raises(UnavailableError, match="4 of 4 connections"):
        act.tell(Offered(5003, "viewer", "b"))
    act.after(0.1)
    assert [effect.connection for effect in act.of(e.ClosePeer)] == [5003]
    assert act.members.connections == (5000, 5001, 5002, 5005)


def test_a_link_that_may_control_gives_way_to_the_owner_and_displaces_viewers(act: Acting) -> None:
    act.connect(5000, link="a")
    act.connect(5001, role="viewer", link="b")
    act.connect(5002, link="a")
    act.connect(5003)
    act.tell(Offered(5004, "owner", "c"))
    assert act.of(e.AnnounceDisplaced) == [e.AnnounceDisplaced(5001)]
    act.tell(Offered(5005))
    assert act.of(e.AnnounceDisplaced) == [e.AnnounceDisplaced(5004)]


def test_a_share_link_has_a_bound_of_its_own(act: Acting) -> None:
    for connection in (5000, 5001):
        act.connect(connection, role="viewer", link="a")
    with pytest.raises(UnavailableError, match=r"2 of 2 connections of this share link \(link_connections\)"):
        act.tell(Offered(5002, "viewer", "a"))
    act.tell(Offered(5001, "viewer", "a"))
    act.tell(Offered(5002, "viewer", "b"))


def test_an_offer_that_never_comes_up_frees_its_place_after_30_seconds(act: Acting) -> None:
    act.tell(Offered(5000))
    assert not act.after(29.9)
    act.after(0.2)
    assert [effect.connection for effect in act.of(e.ClosePeer)] == [5000]


def test_a_transport_without_a_data_channel_is_closed_after_10_seconds(act: Acting) -> None:
    act.tell(Offered(5000), TransportUp(5000))
    act.after(10.1)
    (closed,) = act.of(e.ClosePeer)
    assert "data channel" in closed.reason


def test_any_frame_keeps_a_client_alive_and_20_silent_seconds_end_it(act: Acting) -> None:
    act.connect()
    for _ in range(4):
        act.after(15.0)
        act.tell(FrameReceived(5000, binary=True))
    act.after(19.9)
    assert not act.of(e.ClosePeer)
    act.after(0.2)
    assert [effect.connection for effect in act.of(e.ClosePeer)] == [5000]
    assert act.of(e.LeaveModel) == [e.LeaveModel(5000)]


def test_events_of_an_unknown_connection_are_the_peers_fault(act: Acting) -> None:
    for event in (
        FrameReceived(7, True),
        CommandReceived(7),
        e.ResumeRequested(7, "main_video"),
        e.TransportLost(7, ""),
    ):
        with pytest.raises(PeerError, match="no connection 7"):
            act.tell(event)


# --- who starts the outputs ---------------------------------------------------------------------------------------


def test_outputs_of_an_explicit_connection_stay_paused_until_resumed(act: Acting) -> None:
    act.connect()
    act.tell(FrameReceived(5000, binary=False))
    assert not [effect for effect in act.after(15.0) if isinstance(effect, e.ResumeOutput)]
    act.tell(e.ResumeRequested(5000, "main_video"))
    assert act.effects == [e.ResumeOutput(5000, "main_video"), e.WantOutputs(frozenset({"main_video"}))]


def test_the_flat_connection_speaks_v0_and_gets_all_outputs_at_once(act: Acting) -> None:
    act.tell(Offered(1001, flat=True), TransportUp(1001), DataOpened(1001))
    assert act.of(e.AssumeFormat) == [e.AssumeFormat(1001)]
    assert [effect.track for effect in act.of(e.ResumeOutput)] == list(OUTPUTS)
    assert act.of(e.ProbeInputs) == [e.ProbeInputs(1001)]


def test_a_connection_without_control_gets_all_outputs_after_a_second(act: Acting) -> None:
    act.connect(control=False)
    assert not act.after(0.9)
    act.after(0.2)
    assert act.of(e.AssumeFormat) == [e.AssumeFormat(5000)]
    assert [effect.track for effect in act.of(e.ResumeOutput)] == list(OUTPUTS)


def test_a_silent_listener_with_control_is_taken_for_v0_but_sent_nothing(act: Acting) -> None:
    act.connect()
    act.after(1.1)
    assert act.of(e.AssumeFormat) == [e.AssumeFormat(5000)]
    assert not act.of(e.ResumeOutput)


def test_a_client_that_has_spoken_is_not_taken_for_anything(act: Acting) -> None:
    act.connect()
    act.tell(FrameReceived(5000, binary=True))
    assert not act.after(2.0)


# --- pausing ------------------------------------------------------------------------------------------------------


def test_pausing_twice_and_resuming_a_running_track_change_nothing(act: Acting) -> None:
    act.connect()
    act.tell(e.PauseRequested(5000, "main_video"))
    assert act.effects == []
    act.tell(e.ResumeRequested(5000, "main_video"))
    act.tell(e.ResumeRequested(5000, "main_video"))
    assert act.effects == []


def test_a_track_is_wanted_until_the_last_of_its_viewers_pauses_it(act: Acting) -> None:
    act.connect(5000)
    act.connect(5001)
    act.tell(e.ResumeRequested(5000, "main_video"), e.ResumeRequested(5001, "main_video"))
    act.tell(e.PauseRequested(5000, "main_video"))
    assert act.effects == [e.PauseOutput(5000, "main_video")]
    act.tell(e.TransportLost(5001, "gone"))
    assert e.WantOutputs(frozenset()) in act.effects


def test_resuming_an_unknown_track_is_answered_with_the_declared_names(act: Acting) -> None:
    act.connect()
    with pytest.raises(PeerError, match="main_video, voice"):
        act.tell(e.ResumeRequested(5000, "webcam"))


# --- replacing ----------------------------------------------------------------------------------------------------


def test_a_new_offer_on_the_same_id_never_counts_as_the_last_client_leaving(act: Acting) -> None:
    act.connect()
    act.tell(e.ResumeRequested(5000, "main_video"), e.PublishRequested(5000, "webcam", "1"))
    act.tell(Offered(5000))
    assert act.members.state is SessionState.STREAMING
    assert act.of(e.CloseInput) == [e.CloseInput(5000, "webcam")]
    assert act.of(e.LeaveModel)
    assert act.members.wanted == frozenset()
    act.tell(TransportUp(5000), DataOpened(5000))
    assert act.of(e.JoinModel)
    assert act.tell(e.PublishRequested(5000, "webcam", "2"))[-1] == e.GrantPublish(5000, "webcam", "2")


def test_a_replacement_that_never_comes_up_orphans_the_session(act: Acting) -> None:
    act.connect()
    act.tell(Offered(5000))
    act.after(30.1)
    assert act.members.state is SessionState.ORPHANED


# --- roles and slots ----------------------------------------------------------------------------------------------


def test_a_viewer_watches_but_neither_commands_nor_publishes(act: Acting) -> None:
    act.connect(role="viewer")
    with pytest.raises(ForbiddenError) as commanding:
        act.tell(CommandReceived(5000))
    act.tell(e.PublishRequested(5000, "webcam", "1"))
    (refused,) = act.of(e.RefusePublish)
    assert refused.code == "FORBIDDEN"
    for told in (commanding.value.message, refused.message):
        assert "the scope `control`: ask the owner of the session" in told
    assert act.tell(e.ResumeRequested(5000, "main_video"))


def test_the_first_publisher_wins_and_the_next_may_once_it_gave_the_slot_back(act: Acting) -> None:
    act.connect(5000)
    act.connect(5001)
    act.tell(e.PublishRequested(5000, "webcam", "1"))
    assert act.effects == [e.OpenInput(5000, "webcam"), e.GrantPublish(5000, "webcam", "1")]
    act.tell(e.PublishRequested(5001, "webcam", "2"))
    (refused,) = act.of(e.RefusePublish)
    assert (refused.request_id, refused.code) == ("2", "publish_refused")
    act.tell(e.PublishRequested(5000, "webcam", "3"))
    assert act.of(e.RefusePublish)
    act.tell(e.UnpublishRequested(5001, "webcam"))
    assert act.effects == []
    act.tell(e.UnpublishRequested(5000, "webcam"))
    assert act.effects == [e.CloseInput(5000, "webcam")]
    act.tell(e.PublishRequested(5001, "webcam", "4"))
    assert e.GrantPublish(5001, "webcam", "4") in act.effects


@pytest.mark.parametrize("track", ["main_video", "nothing"])
def test_what_is_no_input_cannot_be_published(act: Acting, track: str) -> None:
    act.connect()
    act.tell(e.PublishRequested(5000, track, "1"))
    (refused,) = act.of(e.RefusePublish)
    assert "webcam, mic" in refused.message


def test_media_claims_a_slot_only_for_a_client_without_control(act: Acting) -> None:
    act.connect(5000)
    assert act.tell(e.MediaArrived(5000, "webcam")) == []
    act.connect(5001, control=False)
    act.after(1.1)
    assert act.tell(e.MediaArrived(5001, "webcam")) == [e.OpenInput(5001, "webcam")]
    assert act.tell(e.MediaArrived(5001, "webcam")) == []


def test_nothing_starts_while_the_session_ends(act: Acting) -> None:
    act.connect()
    act.tell(EndRequested("stopped"))
    assert act.tell(e.ResumeRequested(5000, "main_video")) == []
    act.tell(e.PublishRequested(5000, "webcam", "1"))
    assert act.of(e.RefusePublish)
