from collections.abc import Sequence

import pytest

from livereactor.base.errors import IllegalTransitionError
from livereactor.client.errors import error_of
from livereactor.client.lifecycle.machine import ConnectionMachine
from livereactor.client.lifecycle.messages import (
    AbandonWork,
    CloseTransport,
    Connect,
    DeadlineReached,
    DeleteSession,
    Disconnect,
    EmitSessionEnded,
    FinishCall,
    ForgetSession,
    JoinSession,
    LookupFailed,
    LookUpSession,
    MachineEffect,
    MachineEvent,
    OpenTransport,
    Reconnect,
    ReportError,
    RequestSession,
    SendProbe,
    SessionObtained,
    SessionOver,
    SessionSeen,
    SetStatus,
    TransportLost,
    TransportUp,
    UseTransport,
    WorkFailed,
)
from livereactor.client.lifecycle.states import ConnectionState
from livereactor.client.types import Status

S = Status
PREPARED, QUEUED, SILENT = (
    SessionSeen(prepared=True),
    SessionSeen(prepared=False, account="queued, position 4"),
    SessionSeen(prepared=False),
)
NOT_FOUND = error_of("NOT_FOUND", "no open session `ses_1` for this account")
UNREACHABLE = error_of("NETWORK_ERROR", "could not reach localhost:1 (refused)")


class Life:
    """A machine, its clock and everything it asked for."""

    def __init__(self, *, auto: bool = False) -> None:
        self.machine = ConnectionMachine(auto_reconnect=auto, chance=lambda: 0.5)
        self.now, self.effects = 0.0, list[MachineEffect]()

    def take(self, *events: MachineEvent) -> list[MachineEffect]:
        self.effects = [effect for event in events for effect in self.machine.handle(event, self.now)]
        return self.effects

    def wake(self, *, heard_at: float = 0.0) -> list[MachineEffect]:
        due = self.machine.deadline()
        assert due is not None
        self.now = due
        return self.take(DeadlineReached(heard_at))

    def ready(self) -> "Life":
        self.take(Connect(), SessionObtained("ses_1", PREPARED), TransportUp())
        return self

    @property
    def statuses(self) -> list[Status]:
        return [effect.status for effect in self.effects if isinstance(effect, SetStatus)]

    @property
    def settled(self) -> list[str | None]:
        """What the waiting call got: None or the code raised."""
        return [effect.error and effect.error.code for effect in self.effects if isinstance(effect, FinishCall)]

    @property
    def reported(self) -> list[str]:
        return [effect.error.code for effect in self.effects if isinstance(effect, ReportError)]


@pytest.fixture
def life() -> Life:
    return Life()


def test_a_local_connect_is_connecting_waiting_ready(life: Life) -> None:
    effects = life.take(Connect(), SessionObtained("ses_1", PREPARED), TransportUp())
    assert effects == [
        SetStatus(S.CONNECTING),
        RequestSession(),
        SetStatus(S.WAITING),
        OpenTransport(again=False),
        UseTransport(),
        SetStatus(S.READY),
        FinishCall(),
    ]


def test_a_session_that_is_not_ready_is_looked_at_at_once_and_then_later_each_time(life: Life) -> None:
    assert life.take(Connect(), SessionObtained("ses_1", SILENT))[-1] == LookUpSession()
    life.take(SILENT)
    gaps: list[float] = []
    for _ in range(3):
        before = life.now
        assert life.wake() == [LookUpSession()]
        gaps.append(round(life.now - before, 3))
        life.take(SILENT)
    assert gaps == [0.2, 0.4, 0.8]
    life.wake()
    assert life.take(PREPARED) == [OpenTransport(again=False)]


def test_a_session_in_a_queue_is_waited_for_without_limit(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", QUEUED), QUEUED)
    for _ in range(100):
        life.wake()
        life.take(QUEUED)
    assert life.machine.state is ConnectionState.PREPARING


def test_a_session_that_says_nothing_is_given_up_after_twenty_polls(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", SILENT), SILENT)
    for _ in range(18):
        life.wake()
        life.take(SILENT)
    life.wake()
    life.take(SILENT)
    assert life.settled == ["CONNECTION_FAILED"]
    assert DeleteSession("ses_1") in life.effects


def test_a_server_that_holds_its_answers_is_asked_again_at_once(life: Life) -> None:
    life.take(Connect())
    held = SessionSeen(prepared=False, account="queued, position 1", held=True)
    assert life.take(SessionObtained("ses_1", held))[-1] == LookUpSession()
    assert life.take(held) == [LookUpSession()]


BUSY = error_of("SERVER_ERROR", "coordinator answered 503; retry in 5 s", status=503, retry_after=5.0)


def test_a_session_that_was_seen_to_wait_is_not_given_up_for_an_answer_that_fails(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", QUEUED), QUEUED)
    life.wake()
    assert life.take(LookupFailed(BUSY)) == []
    before = life.now
    assert life.wake() == [LookUpSession()]
    assert life.now - before == pytest.approx(5.0)
    life.take(PREPARED, TransportUp())
    assert life.settled == [None]


def test_looks_that_give_nothing_again_and_again_fail_the_connect(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", QUEUED), QUEUED)
    for _ in range(5):
        life.wake()
        assert life.take(LookupFailed(BUSY)) == []
    life.wake()
    life.take(LookupFailed(BUSY))
    assert (life.settled, life.reported) == (["CONNECTION_FAILED"], ["CONNECTION_FAILED"])


def test_a_session_whose_first_look_is_refused_is_given_up_and_ended(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", SILENT))
    life.take(LookupFailed(error_of("BAD_REQUEST", "no", status=400)))
    assert life.settled == ["BAD_REQUEST"]
    assert DeleteSession("ses_1") in life.effects


def test_a_refused_creation_raises_its_own_code_once_and_ends_disconnected(life: Life) -> None:
    life.take(Connect())
    life.take(WorkFailed(error_of("UNAUTHORIZED", "the API key was refused (401)", status=401)))
    assert (life.statuses, life.reported, life.settled) == ([S.DISCONNECTED], ["UNAUTHORIZED"], ["UNAUTHORIZED"])


def test_the_error_that_is_raised_is_the_error_that_is_fired(life: Life) -> None:
    life.take(Connect(), WorkFailed(UNREACHABLE))
    (report,) = (effect for effect in life.effects if isinstance(effect, ReportError))
    (settle,) = (effect for effect in life.effects if isinstance(effect, FinishCall))
    assert report.error is settle.error
    assert (report.error.code, report.error.reason) == ("CONNECTION_FAILED", "NETWORK_ERROR")


def test_a_transport_that_does_not_come_up_ends_the_session_it_was_for(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", PREPARED), WorkFailed(error_of("TRANSPORT_ERROR", "no network path")))
    assert DeleteSession("ses_1") in life.effects
    assert life.machine.session_id is None
    assert life.settled == ["CONNECTION_FAILED"]


def test_an_adopter_never_ends_the_session(life: Life) -> None:
    assert life.take(Connect(adopt="ses_1"))[-1] == JoinSession("ses_1")
    life.take(SessionObtained("ses_1", PREPARED, owned=False), TransportUp())
    assert not [each for each in life.take(Disconnect()) if isinstance(each, DeleteSession)]


def test_a_session_that_dies_before_it_is_used_is_made_again_once_and_silently(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", PREPARED))
    assert life.take(WorkFailed(NOT_FOUND)) == [AbandonWork(), DeleteSession("ses_1"), RequestSession()]
    life.take(SessionObtained("ses_2", PREPARED), TransportUp())
    assert (life.statuses, life.machine.session_id) == ([S.READY], "ses_2")


def test_the_second_such_death_is_told(life: Life) -> None:
    life.take(
        Connect(),
        SessionObtained("ses_1", PREPARED),
        SessionOver("error"),
        SessionObtained("ses_2", PREPARED),
        SessionOver("error"),
    )
    assert (life.statuses[-1], life.settled) == (S.DISCONNECTED, ["SESSION_TERMINAL"])


def test_a_connect_that_takes_too_long_says_what_it_waited_for(life: Life) -> None:
    life.take(Connect(timeout=30.0), SessionObtained("ses_1", QUEUED), QUEUED)
    while life.machine.state is ConnectionState.PREPARING:
        if LookUpSession() in life.wake():
            life.take(QUEUED)
    assert life.now == 30.0
    (settle,) = (effect for effect in life.effects if isinstance(effect, FinishCall))
    assert settle.error is not None
    assert settle.error.message == "not ready after 30 s; last state was waiting, queued, position 4"
    assert (settle.error.code, settle.error.reason) == ("CONNECTION_FAILED", "REQUEST_TIMEOUT")
    assert DeleteSession("ses_1") in life.effects


def test_disconnect_while_connecting_aborts_the_call_without_an_error_event(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", PREPARED))
    life.take(Disconnect())
    assert (life.statuses, life.settled, life.reported) == ([S.DISCONNECTED], ["ABORTED"], [])
    assert DeleteSession("ses_1") in life.effects


def test_a_second_disconnect_does_nothing(life: Life) -> None:
    life.ready().take(Disconnect())
    assert life.take(Disconnect()) == []


def test_disconnect_tells_the_status_then_ends_the_session_then_forgets_it(life: Life) -> None:
    assert life.ready().take(Disconnect()) == [
        AbandonWork(),
        CloseTransport(),
        SetStatus(S.DISCONNECTED),
        DeleteSession("ses_1"),
        ForgetSession(),
    ]


def test_a_recoverable_disconnect_keeps_the_session_and_reconnect_takes_it_up(life: Life) -> None:
    life.ready().take(Disconnect(keep=True))
    assert life.machine.session_id == "ses_1"
    assert life.take(Reconnect()) == [SetStatus(S.CONNECTING), OpenTransport(again=True)]
    life.take(TransportUp())
    assert life.statuses == [S.READY]


def test_reconnect_while_ready_cycles_the_transport(life: Life) -> None:
    life.ready().take(Reconnect(), TransportUp())
    assert life.statuses == [S.CONNECTING, S.READY]


def test_reconnect_without_a_session_is_illegal(life: Life) -> None:
    with pytest.raises(IllegalTransitionError):
        life.take(Reconnect())


def test_connect_while_ready_is_illegal_and_changes_nothing(life: Life) -> None:
    with pytest.raises(IllegalTransitionError):
        life.ready().take(Connect())
    assert life.machine.status is S.READY


def test_reconnect_does_not_join_a_first_connect(life: Life) -> None:
    life.take(Connect(), SessionObtained("ses_1", PREPARED))
    assert not life.machine.takes(Reconnect)


def test_connect_after_a_recoverable_disconnect_leaves_the_old_session(life: Life) -> None:
    life.ready().take(Disconnect(keep=True))
    assert DeleteSession("ses_1") in life.take(Connect())


def test_a_lost_transport_is_told_once_and_the_session_kept(life: Life) -> None:
    life.ready().take(TransportLost("ice failed"))
    (report,) = (effect for effect in life.effects if isinstance(effect, ReportError))
    assert (report.error.code, report.error.recoverable, report.error.retry_after) == (
        "GPU_CONNECTION_ERROR",
        True,
        3.0,
    )
    assert (life.statuses, life.machine.session_id) == ([S.DISCONNECTED], "ses_1")


def test_a_failed_reconnect_keeps_the_session(life: Life) -> None:
    life.ready().take(TransportLost("ice failed"), Reconnect(), WorkFailed(UNREACHABLE))
    assert (life.settled, life.machine.state) == (["RECONNECTION_FAILED"], ConnectionState.KEPT)


def test_reconnect_to_a_session_that_is_gone_is_terminal_and_forgets_it(life: Life) -> None:
    life.ready().take(TransportLost("ice failed"), Reconnect())
    assert life.take(WorkFailed(NOT_FOUND)) == [LookUpSession()]
    life.take(LookupFailed(NOT_FOUND))
    assert (life.settled, life.machine.session_id) == (["SESSION_TERMINAL"], None)
    assert not [each for each in life.effects if isinstance(each, DeleteSession)]


def test_reconnect_follows_a_session_to_another_worker(life: Life) -> None:
    life.ready().take(TransportLost("ice failed"), Reconnect(), WorkFailed(NOT_FOUND))
    life.take(QUEUED)
    assert life.statuses == [S.WAITING]
    life.wake()
    assert life.take(PREPARED) == [OpenTransport(again=False)]
    life.take(TransportUp())
    assert (life.statuses, life.settled) == ([S.READY], [None])


def test_auto_reconnect_tries_by_itself_with_waits_until_the_window_closes() -> None:
    life, tries = Life(auto=True).ready(), list[float]()
    life.take(TransportLost("ice failed"))
    assert life.statuses == [S.DISCONNECTED, S.CONNECTING]
    while life.machine.state is ConnectionState.BETWEEN:
        life.wake()
        tries.append(round(life.now, 2))
        life.take(WorkFailed(UNREACHABLE))
    assert tries == [0.5, 1.5, 3.5, 7.5, 15.5, 23.5]
    assert (life.statuses, life.reported, life.machine.state) == (
        [S.DISCONNECTED],
        ["RECONNECTION_FAILED"],
        ConnectionState.KEPT,
    )


def test_auto_reconnect_stops_at_what_will_not_go_better() -> None:
    life = Life(auto=True).ready()
    life.take(TransportLost("ice failed"))
    life.wake()
    life.take(WorkFailed(error_of("UNAUTHORIZED", "token expired")))
    assert (life.machine.state, life.reported) == (ConnectionState.KEPT, ["UNAUTHORIZED"])


def test_reconnect_joins_the_attempt_that_is_being_made() -> None:
    life = Life(auto=True).ready()
    life.take(TransportLost("ice failed"))
    life.wake()
    assert life.take(Reconnect()) == []
    life.take(TransportUp())
    assert life.settled == [None]


def test_reconnect_between_two_attempts_makes_the_next_at_once() -> None:
    life = Life(auto=True).ready()
    life.take(TransportLost("ice failed"))
    assert life.take(Reconnect()) == [OpenTransport(again=True)]


def test_the_end_of_a_session_is_told_with_its_reason(life: Life) -> None:
    life.ready().take(SessionOver("max_duration"))
    assert EmitSessionEnded("max_duration") in life.effects
    assert (life.statuses, life.reported, life.machine.session_id) == ([S.DISCONNECTED], ["SESSION_TERMINAL"], None)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("worker_lost", ("WORKER_LOST", True)),
        ("error", ("MODEL_ERROR", True)),
        ("moderated", ("MODERATED", False)),
        ("displaced", ("DISPLACED", True)),
        ("max_duration", ("max_duration", False)),
    ],
)
def test_why_a_session_ended_says_whether_another_may_go_better(
    life: Life, reason: str, expected: tuple[str, bool]
) -> None:
    (report,) = (effect for effect in life.ready().take(SessionOver(reason)) if isinstance(effect, ReportError))
    assert (report.error.reason, report.error.recoverable) == expected


def test_a_silent_transport_is_probed_checked_offered_anew_and_only_then_given_up(life: Life) -> None:
    life.ready()
    told: list[tuple[float, Sequence[MachineEffect]]] = []
    while life.machine.state is ConnectionState.READY:
        effects = life.wake(heard_at=0.0)
        told.append((round(life.now, 2), effects))
    assert told[:4] == [(0.4, [SendProbe()]), (0.7, [LookUpSession()]), (1.0, [OpenTransport(again=True)]), (2.0, [])]
    assert told[-1][0] == 5.0
    assert life.reported == ["GPU_CONNECTION_ERROR"]


def test_a_second_transport_takes_the_place_of_the_silent_one_unnoticed(life: Life) -> None:
    life.ready()
    for _ in range(3):
        life.wake()
    assert life.take(TransportLost("closed by the server"), TransportUp()) == [UseTransport()]
    assert life.machine.status is S.READY


def test_when_the_second_transport_fails_and_the_first_is_gone_both_are_lost(life: Life) -> None:
    life.ready()
    for _ in range(3):
        life.wake()
    life.take(TransportLost("closed by the server"), WorkFailed(UNREACHABLE))
    assert life.reported == ["GPU_CONNECTION_ERROR"]


def test_a_silent_transport_whose_session_is_over_ends_with_its_reason(life: Life) -> None:
    life.ready()
    life.wake()
    assert life.wake() == [LookUpSession()]
    life.take(SessionOver("worker_lost"))
    assert life.effects[:3] == [AbandonWork(), EmitSessionEnded("worker_lost"), CloseTransport()]


def test_a_silent_transport_whose_session_has_to_wait_again_is_lost_at_once(life: Life) -> None:
    life.ready()
    life.wake()
    life.wake()
    life.take(QUEUED)
    assert life.reported == ["GPU_CONNECTION_ERROR"]


def test_the_parts_of_a_connect_are_timed(life: Life) -> None:
    life.take(Connect())
    life.now = 0.010
    life.take(SessionObtained("ses_1", SILENT))
    life.now = 0.250
    life.take(PREPARED)
    life.now = 0.290
    life.take(TransportUp())
    timings = life.machine.timings
    assert timings is not None
    assert (timings.session_creation_ms, timings.waiting_ms) == (10.0, 240.0)
    assert (timings.transport_connecting_ms, timings.total_ms) == (40.0, 290.0)
