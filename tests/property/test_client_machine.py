"""Whatever happens to a client's connection, in any order: what its user sees stays true."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.errors import IllegalTransitionError
from livereactor.client.errors import error_of
from livereactor.client.lifecycle.machine import ConnectionMachine
from livereactor.client.lifecycle.messages import (
    Connect,
    DeadlineReached,
    DeleteSession,
    Disconnect,
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
    SessionObtained,
    SessionOver,
    SessionSeen,
    SetStatus,
    TransportLost,
    TransportUp,
    WorkFailed,
)
from livereactor.client.lifecycle.states import LEGAL, STATUS, ConnectionState
from livereactor.client.types import Status

S = Status
# Statuses as docs/behaviour.md lists them.
MOVES = {
    S.DISCONNECTED: {S.CONNECTING},
    S.CONNECTING: {S.WAITING, S.READY, S.DISCONNECTED},
    S.WAITING: {S.READY, S.DISCONNECTED},
    S.READY: {S.CONNECTING, S.DISCONNECTED},
}
CODES = ("NETWORK_ERROR", "NOT_FOUND", "UNAUTHORIZED", "SERVER_ERROR", "TRANSPORT_ERROR", "CONFLICT")

errors = st.sampled_from(CODES).map(lambda code: error_of(code, "no"))
seen = st.builds(SessionSeen, st.booleans(), st.sampled_from(["", "queued"]), st.booleans(), st.none() | st.just(30.0))
events = st.one_of(
    st.builds(Connect, st.none() | st.just("ses_9"), st.none() | st.just(5.0)),
    st.builds(Reconnect),
    st.builds(Disconnect, st.booleans()),
    st.builds(SessionObtained, st.sampled_from(["ses_1", "ses_2"]), seen, st.booleans()),
    seen,
    st.builds(LookupFailed, errors),
    st.builds(WorkFailed, errors),
    st.builds(TransportUp),
    st.builds(TransportLost, st.just("gone")),
    st.builds(SessionOver, st.sampled_from(["worker_lost", "max_duration"])),
    st.builds(DeadlineReached, st.just(0.0)),
)
histories = st.lists(st.tuples(events, st.floats(0.0, 4.0)), max_size=60)


History: TypeAlias = list[tuple[MachineEvent, float]]


def live(history: History, *, auto: bool) -> Iterator[tuple[ConnectionMachine, MachineEvent, list[MachineEffect]]]:
    """All that is taken of a history, with what came of it."""
    machine, now = ConnectionMachine(auto_reconnect=auto, chance=lambda: 0.5), 0.0
    for event, later in history:
        now += later
        if machine.takes(type(event)):
            yield machine, event, machine.handle(event, now)
            continue
        before = machine.state, machine.deadline()
        with suppress(IllegalTransitionError):
            assert machine.handle(event, now) == []
        assert (machine.state, machine.deadline()) == before


@given(histories, st.booleans())
def test_only_the_legal_moves_of_the_status_are_ever_seen(history: History, auto: bool) -> None:
    status = S.DISCONNECTED
    for _, _, effects in live(history, auto=auto):
        for effect in effects:
            if isinstance(effect, SetStatus):
                assert effect.status in MOVES[status]
                status = effect.status


@given(histories, st.booleans())
def test_a_call_that_waits_gets_exactly_one_outcome(history: History, auto: bool) -> None:
    waiting = False
    for machine, event, effects in live(history, auto=auto):
        waiting = waiting or isinstance(event, Connect | Reconnect)
        settled = sum(isinstance(effect, FinishCall) for effect in effects)
        assert settled <= 1
        waiting = waiting and not settled
        if machine.state in (ConnectionState.IDLE, ConnectionState.KEPT, ConnectionState.READY):
            assert not waiting or isinstance(event, Disconnect)
            waiting = False


@given(histories, st.booleans())
def test_the_status_told_last_is_the_status(history: History, auto: bool) -> None:
    status = S.DISCONNECTED
    for machine, _, effects in live(history, auto=auto):
        told = [effect.status for effect in effects if isinstance(effect, SetStatus)]
        status = told[-1] if told else status
        assert status is machine.status


@given(histories, st.booleans())
def test_every_session_that_was_made_is_ended_unless_its_server_did(history: History, auto: bool) -> None:
    open_sessions = set[str]()
    for _, event, effects in live([*history, (Disconnect(), 0.0)], auto=auto):
        if isinstance(event, SessionObtained) and event.owned:
            open_sessions.add(event.session_id)
        if isinstance(event, SessionOver | LookupFailed):
            open_sessions.clear()
        open_sessions -= {effect.session_id for effect in effects if isinstance(effect, DeleteSession)}
    assert not open_sessions


@given(histories, st.booleans())
def test_what_waits_has_work_under_way_or_a_deadline(history: History, auto: bool) -> None:
    working = False
    for machine, event, effects in live(history, auto=auto):
        begun = any(
            isinstance(effect, RequestSession | JoinSession | LookUpSession | OpenTransport) for effect in effects
        )
        working = begun or (
            working
            and not isinstance(
                event, SessionObtained | SessionSeen | LookupFailed | WorkFailed | TransportUp | SessionOver
            )
        )
        if STATUS[machine.state] in (S.CONNECTING, S.WAITING):
            assert working or machine.deadline() is not None


@given(histories)
def test_an_error_is_fired_for_every_failure_and_for_nothing_the_user_asked_for(
    history: History,
) -> None:
    for _, event, effects in live(history, auto=False):
        reports = [effect.error for effect in effects if isinstance(effect, ReportError)]
        raised = [effect.error for effect in effects if isinstance(effect, FinishCall) and effect.error is not None]
        assert len(reports) <= 1
        if isinstance(event, Disconnect):
            assert not reports
        else:
            assert all(error in reports for error in raised)


@given(histories, st.booleans())
def test_a_session_is_forgotten_when_its_id_goes(history: History, auto: bool) -> None:
    known: str | None = None
    for machine, _, effects in live(history, auto=auto):
        if known is not None and machine.state is ConnectionState.IDLE:
            assert ForgetSession() in effects
        known = machine.session_id


def test_every_phase_has_a_status_and_a_row() -> None:
    assert set(LEGAL) == set(STATUS) == set(ConnectionState)


def test_a_disconnect_is_taken_in_every_phase() -> None:
    assert all(Disconnect in row for row in LEGAL.values())
