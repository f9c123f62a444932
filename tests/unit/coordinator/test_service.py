"""What the Service does between HTTP, Workers and decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from livereactor.base.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PeerError,
    QuotaError,
    TooLargeError,
    UnavailableError,
)
from livereactor.coordinator.auth.caller import ALL_SCOPES, Caller
from livereactor.coordinator.creation import KeyReusedError
from livereactor.coordinator.decisions.effects import FleetChanged, NotifyAssigned, SessionClosed
from livereactor.coordinator.options import CoordinatorOptions, Quotas, TurnOptions
from livereactor.protocol import link
from livereactor.protocol.http import CreateSession, SessionDescriptor
from livereactor.store.port import StoreUnavailableError
from livereactor.store.records import SessionState
from tests.unit.coordinator.service_rig import ALICE, UNLIMITED, Rig, settle

T = TypeVar("T")
BOB = Caller("bob")
VIEWER = replace(ALICE, scopes=frozenset({"view"}))
SHORT = CoordinatorOptions(quotas=UNLIMITED, hold=0.05)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def held(call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """The call, which does not answer yet."""
    task = asyncio.create_task(call)
    await settle()
    assert not task.done()
    return task


async def asked(rig: Rig, key: str | None, model: str = "pond", **more: Any) -> SessionDescriptor:
    body = CreateSession.model_validate({"model": {"name": model}, **more})
    return await rig.service.create(ALICE, body, idempotency_key=key)


# --- making one --------------------------------------------------------------------------------------------------


async def test_a_session_with_a_free_slot_is_assigned_at_once_and_its_worker_is_told_all_it_needs() -> None:
    turn = TurnOptions(stun=("stun:stun.example:3478",), urls=("turn:turn.example:3478",), secret="s" * 16)
    rig = Rig(CoordinatorOptions(quotas=UNLIMITED, turn=turn))
    await rig.model()
    await rig.worker()
    view = await rig.create(
        extra_args={"seed": 7},
        starting_input={"state": {"rain": 0.5}},
        steps=9,
        max_duration=60,
        session_id="mine",
        ice_servers=[{"uris": ["stun:evil.example:1"]}],
        account="somebody-else",
    )
    assert view.state == "CREATED"
    (assign,) = rig.links.frames(link.Assign)
    assert (assign.session, assign.slot) == (view.session_id, 0)
    start = assign.start
    assert start["session_id"] == view.session_id != "mine"
    assert start["extra_args"] == {"seed": 7}
    assert start["starting_input"]["state"] == {"rain": 0.5}
    assert (start["steps"], start["max_duration"]) == (9, 60)
    assert start["reconnection_window"] == 30.0
    assert start["unclaimed_window"] == 60.0
    assert start["account"] == (await rig.record(view.session_id)).account
    uris = [each["uris"][0] for each in start["ice_servers"]]
    assert uris == ["stun:stun.example:3478", "turn:turn.example:3478"]
    assert view.session_id in start["ice_servers"][1]["credentials"]["username"]


@pytest.mark.parametrize(
    ("asked_for", "token", "granted"), [(None, None, 1200), (60, None, 60), (9999, 300, 300), (0, None, 1200)]
)
async def test_the_shortest_duration_counts(rig: Rig, asked_for: Any, token: Any, granted: float) -> None:
    await rig.model()
    caller = replace(ALICE, max_duration=token)
    view = await rig.create(caller=caller, **({} if asked_for is None else {"max_duration": asked_for}))
    assert (await rig.record(view.session_id)).start["max_duration"] == granted


@pytest.mark.parametrize("name", ["pond", "reactor/pond", "pond@1.0", "reactor/pond@v1.0"])
async def test_a_model_is_known_with_and_without_owner_and_version(rig: Rig, name: str) -> None:
    await rig.model()
    assert (await rig.create(name)).model.name == "pond"


async def test_an_unknown_model_is_told_the_nearest(rig: Rig) -> None:
    await rig.model()
    with pytest.raises(NotFoundError, match="no model named 'pnod'; did you mean 'pond'"):
        await rig.create("pnod")
    with pytest.raises(NotFoundError, match="served: pond"):
        await rig.create("zebra")


async def test_another_version_than_the_one_served_is_not_found(rig: Rig) -> None:
    await rig.model()
    with pytest.raises(NotFoundError, match=r"no version '2\.0'.*'1\.0' is served"):
        await rig.create("pond@2.0")


async def test_a_token_for_other_models_is_refused_with_theirs(rig: Rig) -> None:
    await rig.model()
    with pytest.raises(ForbiddenError, match="not for the model 'pond'; it is for garden"):
        await rig.create(caller=replace(ALICE, models=frozenset({"garden"})))
    await rig.create(caller=replace(ALICE, models=frozenset({"reactor/pond"})))


async def test_who_may_only_watch_creates_nothing(rig: Rig) -> None:
    await rig.model()
    with pytest.raises(ForbiddenError, match="`control`"):
        await rig.create(caller=VIEWER)


async def test_a_refused_session_leaves_nothing_behind() -> None:
    rig = Rig(CoordinatorOptions(quotas=Quotas(concurrent_sessions=1, sessions_per_minute=0)))
    await rig.model()
    first = await rig.create()
    with pytest.raises(QuotaError):
        await rig.create()
    assert [each.id for each in await rig.service.queries.sessions(ALICE)] == [first.session_id]


async def test_polls_use_up_no_quota() -> None:
    rig = Rig(CoordinatorOptions(quotas=Quotas(0, sessions_per_minute=2, session_burst=2)))
    await rig.model()
    view = await rig.create()
    for _ in range(5):
        await rig.service.queries.describe(ALICE, view.session_id)
    await rig.create()


async def test_a_model_that_nobody_serves_and_nobody_starts_is_no_capacity(rig: Rig) -> None:
    await rig.model(max_workers=0)
    with pytest.raises(UnavailableError) as caught:
        await rig.create()
    assert (caught.value.code, caught.value.http_status) == ("NO_CAPACITY", 503)
    assert caught.value.retry_after > 0
    await rig.worker(state="starting")
    await rig.create()


async def test_a_model_whose_workers_keep_failing_is_no_capacity_until_one_is_ready(rig: Rig) -> None:
    await rig.model()
    rig.service.capacity = lambda model: f"{model} failed 3 times"
    await rig.worker(state="starting")
    with pytest.raises(UnavailableError, match="pond failed 3 times"):
        await rig.create()
    await rig.beat(link.SlotReport(n=0))
    await rig.create()


async def test_the_same_idempotency_key_makes_one_session(rig: Rig) -> None:
    await rig.model()
    first, again = await asked(rig, "k1"), await asked(rig, "k1")
    other = await asked(rig, "k2")
    assert first.to_body() == again.to_body()
    assert other.session_id != first.session_id
    assert len(await rig.service.queries.sessions(ALICE)) == 2


async def test_an_idempotency_key_with_another_body_is_refused(rig: Rig) -> None:
    await rig.model()
    await asked(rig, "k1")
    with pytest.raises(KeyReusedError, match="used with another body") as caught:
        await asked(rig, "k1", steps=3)
    assert caught.value.http_status == 422


async def test_visitors_who_may_not_reach_each_other_do_not_share_idempotency_keys(rig: Rig) -> None:
    await rig.model()
    body = CreateSession.model_validate({"model": {"name": "pond"}})
    one, two = (replace(ALICE, reach=reach) for reach in ("one", "two"))
    made = [await rig.service.create(caller, body, idempotency_key="k") for caller in (one, two, one)]
    assert made[0].session_id == made[2].session_id != made[1].session_id
    assert (await rig.service.queries.describe(two, made[1].session_id)).session_id == made[1].session_id


async def test_wishes_for_the_model_that_no_list_could_carry_are_refused(rig: Rig) -> None:
    await rig.model()
    with pytest.raises(TooLargeError, match="65536"):
        await rig.create(extra_args={"text": "x" * 65_536})
    await rig.create(extra_args={"text": "x" * 60_000})


async def test_an_idempotency_key_is_forgotten_after_a_day(rig: Rig) -> None:
    await rig.model()
    first = await asked(rig, "k1")
    rig.advance(24 * 3600 + 1)
    assert (await asked(rig, "k1", steps=3)).session_id != first.session_id


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_an_idempotency_key_that_is_none_is_refused(rig: Rig, key: str) -> None:
    await rig.model()
    with pytest.raises(PeerError, match="Idempotency-Key"):
        await asked(rig, key)


# --- looking and waiting -----------------------------------------------------------------------------------------


async def test_a_session_is_ready_once_its_worker_accepted_and_not_before(rig: Rig) -> None:
    await rig.model()
    await rig.worker()
    view = await rig.create()
    pending = await rig.service.queries.describe(ALICE, view.session_id)
    assert (pending.state, pending.capabilities) == ("PENDING", None)
    renewed = await rig.accept()
    assert renewed.held == [0]
    ready = await rig.service.queries.describe(ALICE, view.session_id)
    assert ready.state == "WAITING"
    assert ready.capabilities is not None
    assert ready.expires_at == pytest.approx(rig.now_us / 1e6 + 1200)


async def test_what_belongs_to_another_account_is_not_there(rig: Rig) -> None:
    session = await rig.ready()
    for call in (
        rig.service.queries.describe(BOB, session),
        rig.service.queries.watch(BOB, session),
        rig.service.end(BOB, session),
        rig.service.running(BOB, session),
        rig.service.relay(BOB, session, "GET", "/session"),
        rig.service.queries.describe(ALICE, "ses_never"),
    ):
        with pytest.raises(NotFoundError, match="for this account"):
            await call


async def test_a_poll_is_held_until_the_session_is_ready(rig: Rig) -> None:
    await rig.model()
    view = await rig.create()
    poll = await held(rig.service.queries.watch(ALICE, view.session_id))
    await rig.worker()
    await settle()
    assert not poll.done()
    await rig.accept()
    assert (await poll).capabilities is not None


async def test_a_poll_is_held_until_the_session_is_over(rig: Rig) -> None:
    await rig.model()
    view = await rig.create()
    poll = await held(rig.service.queries.watch(ALICE, view.session_id))
    await rig.service.end(ALICE, view.session_id)
    told = await poll
    assert (told.state, told.end_reason) == ("CLOSED", "stopped")


async def test_a_ready_session_is_told_at_once(rig: Rig) -> None:
    session = await rig.ready()
    assert (await rig.service.queries.watch(ALICE, session)).state == "WAITING"


async def test_a_poll_that_names_a_version_is_answered_at_the_next_change(rig: Rig) -> None:
    session = await rig.ready()
    view = await rig.service.queries.describe(ALICE, session)
    poll = await held(rig.service.queries.watch(ALICE, session, version=view.version))
    await rig.report(session, "streaming")
    told = await poll
    assert told.state == "ACTIVE"
    assert told.version != view.version
    assert await rig.service.queries.watch(ALICE, session, version="older") == told


async def test_a_place_in_the_queue_is_told_and_its_moves_are(rig: Rig) -> None:
    running = await rig.ready()
    first, second = await rig.create(), await rig.create()
    view = await rig.service.queries.describe(ALICE, second.session_id)
    assert view.state == "SUSPENDED"
    assert view.queue is not None
    assert (view.queue.position, view.queue.length) == (2, 2)
    poll = await held(rig.service.queries.watch(ALICE, second.session_id, version=view.version))
    await rig.service.end(ALICE, first.session_id)
    told = await poll
    assert told.queue is not None
    assert (told.queue.position, told.queue.length) == (1, 1)
    assert (await rig.service.queries.describe(ALICE, running)).queue is None


async def test_the_moves_of_a_queue_do_not_use_up_the_polls_of_official_clients(rig: Rig) -> None:
    await rig.ready()
    first, second = await rig.create(), await rig.create()
    poll = await held(rig.service.queries.watch(ALICE, second.session_id))
    await rig.service.end(ALICE, first.session_id)
    await settle()
    assert not poll.done()
    poll.cancel()


async def test_a_worker_on_its_way_is_told_to_those_who_wait(rig: Rig) -> None:
    await rig.model()
    view = await rig.create()
    await rig.worker(state="starting")
    before = await rig.service.queries.describe(ALICE, view.session_id)
    poll = await held(rig.service.queries.watch(ALICE, view.session_id, version=before.version))
    await rig.beat(link.SlotReport(n=0), state="starting", progress=0.4, text="text encoder")
    told = await poll
    assert told.queue is not None
    assert (told.queue.loading, told.queue.loading_text) == (0.4, "text encoder")


async def test_a_poll_is_answered_when_its_hold_is_over() -> None:
    rig = Rig(SHORT)
    await rig.model()
    view = await rig.create()
    told = await rig.service.queries.watch(ALICE, view.session_id)
    assert told.state == "SUSPENDED"
    assert (
        await rig.service.queries.watch(ALICE, view.session_id, version=told.version, wait=99)
    ).version == told.version
    assert (
        await rig.service.queries.watch(ALICE, view.session_id, version=told.version, wait=0)
    ).version == told.version


async def test_a_poll_outlasts_a_store_that_is_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livereactor.coordinator.queries.RETRY", 0.01)
    await rig.model()
    view = await rig.create()
    rig.store.away = True
    poll = await held(rig.service.queries.watch(ALICE, view.session_id))
    with pytest.raises(StoreUnavailableError):
        await rig.service.queries.describe(ALICE, view.session_id)
    rig.store.away = False
    await rig.worker()
    await rig.accept()
    assert (await poll).capabilities is not None


async def test_a_store_that_stays_away_is_told_when_the_hold_is_over() -> None:
    rig = Rig(SHORT)
    await rig.model()
    view = await rig.create()
    rig.store.away = True
    with pytest.raises(StoreUnavailableError) as caught:
        await rig.service.queries.watch(ALICE, view.session_id)
    assert (caught.value.http_status, caught.value.retry_after) == (503, 1.0)


async def test_closing_answers_every_held_poll(rig: Rig) -> None:
    await rig.model()
    view = await rig.create()
    polls = [await held(rig.service.queries.watch(ALICE, view.session_id)) for _ in range(3)]
    await rig.service.aclose()
    assert [each.state for each in await asyncio.gather(*polls)] == ["SUSPENDED"] * 3


async def test_a_held_poll_costs_the_store_nothing_while_nothing_happens(rig: Rig) -> None:
    await rig.model()
    views = [await rig.create() for _ in range(100)]
    polls = [asyncio.create_task(rig.service.queries.watch(ALICE, each.session_id)) for each in views]
    await settle()
    before = rig.store.calls
    await settle()
    assert rig.store.calls == before
    await rig.service.aclose()
    await asyncio.gather(*polls)


async def test_whoever_polls_keeps_its_place(rig: Rig) -> None:
    await rig.model()
    view = await rig.create()
    rig.advance(40)
    await rig.service.queries.describe(ALICE, view.session_id)
    assert (await rig.record(view.session_id)).polled_us == rig.now_us


async def test_a_list_says_inactive_where_a_poll_says_waiting(rig: Rig) -> None:
    session = await rig.ready()
    await rig.report(session, "streaming")
    await rig.report(session, "orphaned")
    assert (await rig.service.queries.describe(ALICE, session)).state == "WAITING"
    assert (await rig.service.queries.describe(ALICE, session, listed=True)).state == "INACTIVE"


# --- ends --------------------------------------------------------------------------------------------------------


async def test_ending_twice_is_no_error_and_the_worker_is_told(rig: Rig) -> None:
    session = await rig.ready()
    await rig.service.end(ALICE, session, reason="enough")
    await rig.service.end(ALICE, session)
    told = rig.links.frames(link.End)
    assert [(each.session, each.reason, each.moderate) for each in told] == [(session, "enough", False)]
    assert (await rig.record(session)).end_reason == "enough"


async def test_a_moderated_end_is_recorded_and_told_as_one_until_the_slot_is_empty(rig: Rig) -> None:
    session = await rig.ready()
    await rig.service.end(ALICE, session, reason="evicted", moderate=True)
    assert (await rig.record(session)).end_reason == "moderated"
    slot = link.SlotReport(n=0, fence=1, session=session, phase="streaming")
    await rig.beat(slot)  # it has not heard
    told = rig.links.frames(link.End)
    assert [(each.reason, each.moderate) for each in told] == [("moderated", True)] * 2
    assert SessionClosed(session) in rig.effects


async def test_who_may_only_watch_ends_nothing(rig: Rig) -> None:
    session = await rig.ready()
    with pytest.raises(ForbiddenError):
        await rig.service.end(VIEWER, session)
    assert (await rig.record(session)).state is SessionState.WAITING


async def test_a_listener_that_fails_keeps_nobody_from_what_happened(rig: Rig) -> None:
    def fails(effect: object) -> None:
        raise RuntimeError("a bug of its own")

    heard: list[object] = []
    rig.service.decider.subscribe(fails)
    rig.service.decider.subscribe(heard.append)
    await rig.model()
    await rig.worker()
    await rig.create()
    assert any(isinstance(each, NotifyAssigned) for each in heard)
    assert FleetChanged("pond") in heard


# --- the relay ---------------------------------------------------------------------------------------------------


async def test_a_request_goes_to_the_sessions_worker_with_fence_slot_and_role(rig: Rig) -> None:
    session = await rig.ready()
    reply = await rig.service.relay(VIEWER, session, "POST", f"/sessions/{session}/x", '{"a":1}')
    assert reply.status == 200
    (request,) = rig.links.frames(link.Request)
    assert (request.slot, request.fence, request.role) == (0, 1, "viewer")
    assert (request.method, request.path, request.body) == ("POST", f"/sessions/{session}/x", '{"a":1}')


async def test_a_session_without_worker_has_nobody_to_relay_to(rig: Rig) -> None:
    await rig.model()
    view = await rig.create()
    with pytest.raises(ConflictError, match="no worker yet"):
        await rig.service.relay(ALICE, view.session_id, "GET", "/session")


async def test_a_session_that_is_over_is_not_found_by_the_relay(rig: Rig) -> None:
    session = await rig.ready()
    await rig.service.end(ALICE, session)
    with pytest.raises(NotFoundError, match=r"has ended \(stopped\)"):
        await rig.service.relay(ALICE, session, "GET", "/session")


async def test_a_worker_that_is_away_for_a_moment_is_waited_for_and_its_hello_wakes_who_waits(rig: Rig) -> None:
    session = await rig.ready()
    rig.links.here.clear()
    waiting = await held(rig.service.relay(ALICE, session, "GET", "/session"))
    rig.links.here.add("w1")
    record = await rig.record(session)
    report = link.SlotReport(n=0, phase="waiting", session=session, fence=record.fence or 0)
    await rig.beat(report)
    assert (await waiting).status == 200


async def test_a_worker_that_stays_away_is_said_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livereactor.coordinator.cluster.forwarding.RETURN", 0.02)
    session = await rig.ready()
    rig.links.here.clear()
    with pytest.raises(UnavailableError, match="not connected now"):
        await rig.service.relay(ALICE, session, "GET", "/session")


async def test_no_more_than_so_many_requests_wait_for_workers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livereactor.coordinator.cluster.forwarding.WAITING", 1)
    session = await rig.ready()
    rig.links.here.clear()
    waiting = await held(rig.service.relay(ALICE, session, "GET", "/session"))
    with pytest.raises(UnavailableError):
        await rig.service.relay(ALICE, session, "GET", "/session")
    waiting.cancel()


async def test_a_refused_fence_of_a_session_that_ended_meanwhile_is_not_found(rig: Rig) -> None:
    session = await rig.ready()
    ends: list[asyncio.Task[None]] = []

    def refuse(request: link.Request) -> link.Reply:
        ends.append(asyncio.ensure_future(rig.service.end(ALICE, session)))
        return link.Reply(id=1, status=409, body="{}")

    async def ask(worker: str, request: link.Request, *, timeout: float) -> link.Reply:
        reply = refuse(request)
        await ends[0]
        return reply

    rig.links.ask = ask
    with pytest.raises(NotFoundError):
        await rig.service.relay(ALICE, session, "GET", "/session")


async def test_a_refusal_of_the_runtime_itself_reaches_the_client(rig: Rig) -> None:
    session = await rig.ready()
    rig.links.reply = lambda request: link.Reply(id=1, status=409, body='{"error":"taken"}')
    assert (await rig.service.relay(ALICE, session, "POST", "/x")).status == 409


# --- workers -----------------------------------------------------------------------------------------------------


async def test_a_worker_hears_nothing_of_a_beat_that_could_not_be_written_down(rig: Rig) -> None:
    await rig.ready()
    rig.store.away = True
    assert await rig.beat(link.SlotReport(n=0)) is None
    answer = await rig.service.hello(
        link.Hello(worker="w2", incarnation="another1", model="pond", slots=[link.SlotReport(n=0)])
    )
    assert isinstance(answer, link.Refused)
    assert answer.code == "unavailable"


async def test_a_worker_that_died_gives_its_session_to_another(rig: Rig) -> None:
    session = await rig.ready()
    await rig.worker("w2")
    poll = await held(
        rig.service.queries.watch(ALICE, session, version=(await rig.service.queries.describe(ALICE, session)).version)
    )
    await rig.service.worker_died("w1", reason="exited with code -9")
    assert (await poll).state == "PENDING"
    record = await rig.record(session)
    assert (record.worker, record.requeues) == ("w2", 1)
    await rig.accept("w2")
    assert (await rig.service.running(ALICE, session)).worker == "w2"


async def test_a_worker_that_died_after_the_first_frame_ends_its_session_worker_lost(rig: Rig) -> None:
    session = await rig.ready()
    await rig.report(session, "streaming", first_frame=True)
    await rig.service.worker_died("w1", reason="exited with code -9")
    view = await rig.service.queries.describe(ALICE, session)
    assert (view.state, view.end_reason) == ("CLOSED", "worker_lost")


async def test_a_worker_that_says_goodbye_or_drains_gets_nothing_more(rig: Rig) -> None:
    await rig.model(max_workers=2)
    await rig.worker("w1")
    await rig.worker("w2")
    await rig.service.drain("w1")
    assert [each.grace for each in rig.links.frames(link.Drain)] == [30.0]
    await rig.service.bye("w2", "incarnation")
    assert (await rig.record((await rig.create()).session_id)).state is SessionState.QUEUED
    with pytest.raises(NotFoundError):
        await rig.service.drain("nobody")


async def test_a_free_slot_goes_to_whoever_waits_when_a_session_is_reported_closed(rig: Rig) -> None:
    first = await rig.ready()
    second = await rig.create()
    await rig.report(first, "closed", reason="idle")
    assert (await rig.record(first)).end_reason == "idle"
    assert (await rig.record(second.session_id)).state is SessionState.ASSIGNED
    (_, assign) = rig.links.frames(link.Assign)
    assert assign.session == second.session_id
    assert assign.start["unclaimed_window"] == rig.options.admission_grace


# --- lists -------------------------------------------------------------------------------------------------------


async def test_a_caller_sees_its_own_within_its_reach_and_an_operator_sees_all(rig: Rig) -> None:
    await rig.model()
    unscoped = await rig.create()
    scoped = await rig.create(caller=replace(ALICE, reach="r"))
    theirs = await rig.create(caller=BOB)

    async def seen(caller: Caller, **asked: Any) -> list[str]:
        return [each.id for each in await rig.service.queries.sessions(caller, **asked)]

    assert await seen(ALICE) == [scoped.session_id, unscoped.session_id]
    assert await seen(replace(ALICE, reach="r")) == [scoped.session_id]
    assert await seen(replace(ALICE, reach="r"), limit=1) == [scoped.session_id]
    assert await seen(replace(ALICE, reach="q", bound=frozenset({unscoped.session_id})), limit=1) == [
        unscoped.session_id
    ]
    for _ in range(30):
        await rig.create(caller=replace(ALICE, reach="busy"))
    both = replace(ALICE, reach="r", bound=frozenset({unscoped.session_id}))
    assert await seen(both, limit=2) == [scoped.session_id, unscoped.session_id], "however many others made since"
    first = await rig.record(scoped.session_id)
    assert await seen(both, before_seq=first.seq) == [unscoped.session_id]
    assert (await seen(Caller("root", ALL_SCOPES)))[30:] == [theirs.session_id, scoped.session_id, unscoped.session_id]
    assert await seen(ALICE, states=[SessionState.CLOSED]) == []


async def test_operators_see_the_queue_in_order_and_may_put_one_first(rig: Rig) -> None:
    await rig.ready()
    first, second = await rig.create(), await rig.create(caller=BOB)
    rig.advance(3)
    rows = await rig.queue()
    assert [(row["session_id"], row["position"], row["length"]) for row in rows] == [
        (first.session_id, 1, 2),
        (second.session_id, 2, 2),
    ]
    assert (rows[1]["account"], rows[1]["model"], rows[1]["waiting_s"]) == ("bob", "pond", 3.0)
    await rig.service.prefer(second.session_id)
    assert [row["session_id"] for row in await rig.queue("pond")] == [second.session_id, first.session_id]
    assert await rig.queue("garden") == []


async def test_quotas_are_told_with_their_use(rig: Rig) -> None:
    await rig.model()
    await rig.create()
    rows = {row["quota_type"]: row for row in await rig.service.queries.quotas(ALICE)}
    assert rows["concurrent_sessions"]["current"] == 1
    assert rows["connections"]["limit"] == rig.options.limits.max_connections


# --- metrics -----------------------------------------------------------------------------------------------------


async def test_what_happened_is_counted_without_naming_anybody(rig: Rig) -> None:
    session = await rig.ready()
    await rig.service.relay(ALICE, session, "GET", "/session")
    await rig.create()
    rig.service.metrics.request("GET", "/sessions/{sid}", 200)
    rig.advance(12)
    await rig.report(session, "closed", reason="idle")
    await rig.service.metrics.count_ended()
    text = (await rig.service.metrics.render()).decode()
    for line in (
        'livereactor_new_sessions_total{model="pond"} 2.0',
        'livereactor_sessions_total{reason="idle"} 1.0',
        "livereactor_session_seconds_sum 12.0",
        "livereactor_relay_seconds_count 1.0",
        'livereactor_workers{model="pond",state="ready"} 1.0',
        'livereactor_queue_length{model="pond"} 0.0',
        'livereactor_requests_total{method="GET",route="/sessions/{sid}",status="200"} 1.0',
        "livereactor_store_up 1.0",
    ):
        assert line in text, line
    assert session not in text
    assert "alice" not in text


async def test_metrics_are_served_while_the_store_is_away(rig: Rig) -> None:
    session = await rig.ready()
    await rig.service.end(ALICE, session)
    rig.store.away = True
    text = (await rig.service.metrics.render()).decode()
    assert "livereactor_store_up 0.0" in text
    with pytest.raises(StoreUnavailableError):
        await rig.service.metrics.count_ended()
    rig.store.away = False
    await rig.service.metrics.count_ended()
    assert 'livereactor_sessions_total{reason="stopped"} 1.0' in (await rig.service.metrics.render()).decode()


async def test_a_service_starts_sweeping_and_ends(rig: Rig) -> None:
    await rig.service.start()
    await rig.service.aclose()
    await rig.service.aclose()


async def test_a_queue_that_was_crowded_and_is_empty_keeps_nobody_from_a_free_slot() -> None:
    rig = Rig()
    await rig.model()
    waiting = [(await rig.create()).session_id for _ in range(2)]
    assert [(await rig.record(each)).state for each in waiting] == [SessionState.QUEUED] * 2
    await rig.worker(slots=3)
    assert [(await rig.record(each)).state for each in waiting] == [SessionState.ASSIGNED] * 2
    view = await rig.create()
    assert (await rig.record(view.session_id)).state is SessionState.ASSIGNED
    last = await rig.create()
    assert (await rig.record(last.session_id)).state is SessionState.QUEUED
