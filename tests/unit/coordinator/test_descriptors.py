"""The descriptor of a session: what official clients insist on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from livereactor.coordinator import descriptors
from livereactor.protocol.http import QueueBody, SessionDescriptor
from livereactor.store.records import ModelRecord, SessionRecord, SessionState
from tests.unit.coordinator.service_rig import CAPABILITIES

SESSION = SessionRecord("ses_1", "acme", "pond", SessionState.QUEUED, 1_000_000, 1_000_000)
MODEL = ModelRecord("pond", "1.0", {"capabilities": CAPABILITIES})
QUEUE = QueueBody(position=2, length=3, estimated_wait=4.5)


def described(state: SessionState, *, listed: bool = False, **changed: Any) -> SessionDescriptor:
    session = replace(SESSION, state=state, **changed)
    return descriptors.described(session, MODEL, reconnection_window=30.0, queue=QUEUE, listed=listed)


def test_the_first_answer_has_all_that_the_javascript_client_checks() -> None:
    body = descriptors.created(SESSION, MODEL, reconnection_window=30.0).to_body()
    assert body["state"] == "CREATED"
    assert body["cluster"] == "local"
    assert body["model"] == {"name": "pond", "version": "1.0"}
    assert body["server_info"]["server_version"]
    assert body["created_at"] == 1.0


def test_a_session_is_recorded_where_its_models_workers_record_and_it_is_not_stepped() -> None:
    recorded = {"enabled": True, "chunk_seconds": 1.0}
    model = replace(MODEL, spec={**MODEL.spec, "recording": recorded})
    stepped = replace(SESSION, start={"generation": "stepped"})
    assert descriptors.created(SESSION, model, reconnection_window=1.0).to_body()["recording"] == recorded
    assert descriptors.created(stepped, model, reconnection_window=1.0).to_body()["recording"] == {"enabled": False}
    assert descriptors.created(SESSION, MODEL, reconnection_window=1.0).to_body()["recording"] == {"enabled": False}


@pytest.mark.parametrize("state", list(SessionState))
def test_nothing_in_a_descriptor_is_null(state: SessionState) -> None:
    def nulls(value: Any) -> bool:
        if isinstance(value, dict):
            return any(nulls(each) for each in value.values())
        return value is None or (isinstance(value, list) and any(map(nulls, value)))

    assert not nulls(described(state).to_body())
    assert not nulls(descriptors.created(replace(SESSION, state=state), MODEL, reconnection_window=1.0).to_body())


@pytest.mark.parametrize("state", list(SessionState))
def test_capabilities_and_transport_come_together_and_only_while_signalling_works(state: SessionState) -> None:
    body = described(state).to_body()
    accepted = state in (SessionState.WAITING, SessionState.ACTIVE, SessionState.ORPHANED)
    assert ("capabilities" in body) is ("selected_transport" in body) is accepted
    if accepted:
        assert body["capabilities"]["tracks"] == CAPABILITIES["tracks"]
        assert body["selected_transport"] == {"protocol": "webrtc", "version": "1.0"}


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (SessionState.QUEUED, "SUSPENDED"),
        (SessionState.ASSIGNED, "PENDING"),
        (SessionState.WAITING, "WAITING"),
        (SessionState.ACTIVE, "ACTIVE"),
        (SessionState.ORPHANED, "WAITING"),
        (SessionState.CLOSED, "CLOSED"),
    ],
)
def test_states_have_the_words_of_the_protocol_and_never_inactive_for_who_waits(state: SessionState, word: str) -> None:
    assert described(state).state == word


def test_a_list_may_say_inactive() -> None:
    assert described(SessionState.ORPHANED, listed=True).state == "INACTIVE"


def test_a_ticket_is_told_its_place_and_nobody_else_is() -> None:
    assert described(SessionState.QUEUED).queue == QUEUE
    assert described(SessionState.WAITING).queue is None


def test_an_end_has_its_reason_and_nothing_else_has_one() -> None:
    assert described(SessionState.CLOSED, end_reason="worker_lost").end_reason == "worker_lost"
    assert described(SessionState.ACTIVE).end_reason is None


def test_expiry_is_told_in_unix_seconds_and_the_shorter_window_counts() -> None:
    view = described(SessionState.ACTIVE, expires_us=5_500_000, start={"reconnection_window": 10.0})
    assert (view.expires_at, view.reconnection_window) == (5.5, 10.0)
    assert described(SessionState.ACTIVE, start={"reconnection_window": 99.0}).reconnection_window == 30.0


def test_a_model_that_nobody_serves_any_more_leaves_the_session_without_capabilities() -> None:
    view = descriptors.described(replace(SESSION, state=SessionState.WAITING), None, reconnection_window=1.0)
    assert view.capabilities is None
    assert view.selected_transport is None


def test_the_version_moves_with_what_a_client_waits_for_and_not_with_estimates() -> None:
    def version(**changed: Any) -> str | None:
        return descriptors.described(
            SESSION, MODEL, reconnection_window=1.0, queue=QUEUE.model_copy(update=changed)
        ).version

    assert version() == version(estimated_wait=3.9, estimate_error=1.0)
    assert len({version(), version(position=1), version(length=4), version(loading=0.5)}) == 4
    assert described(SessionState.WAITING).version != described(SessionState.ACTIVE).version
