"""The machines of Session, Worker and Slot: whatever happens to them, in whatever order.

A record moves by its table or not at all; and what is said of states that are over, of fences and of promises holds
along every path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.errors import IllegalTransitionError
from livereactor.coordinator.machines import lease, session, worker
from livereactor.coordinator.machines.lease import Standing
from livereactor.protocol.link import SlotReport
from livereactor.store.records import (
    OPEN,
    RUNNING,
    SessionRecord,
    SessionState,
    SlotRecord,
    SlotState,
    WorkerRecord,
    WorkerState,
)

R = TypeVar("R")
times = st.integers(0, 2**40)
names = st.sampled_from(["one", "two", "three"])
fences = st.integers(0, 4)

session_events: st.SearchStrategy[session.SessionEvent] = st.one_of(
    st.builds(session.Assigned, names, st.integers(0, 3), fences, times),
    st.builds(session.Accepted, times, st.none() | times),
    st.builds(session.Streaming, times, st.booleans()),
    st.builds(session.Orphaned, times),
    st.builds(session.Unassigned, times),
    st.builds(session.WorkerLost, times),
    st.builds(session.Ended, times, names),
)
worker_events: st.SearchStrategy[worker.WorkerEvent] = st.one_of(
    st.builds(worker.Registered, st.uuids().map(str), times),
    st.builds(worker.Loading),
    st.builds(worker.Loaded, times),
    st.builds(worker.DrainAsked),
    st.builds(worker.Lost),
    st.builds(worker.SaidBye),
)
slot_events: st.SearchStrategy[lease.SlotEvent] = st.one_of(
    st.builds(lease.Claimed, names),
    st.builds(lease.Released, st.booleans()),
    st.builds(lease.Emptied),
    st.builds(lease.Doubted, fences, st.none() | names),
)
phases = st.sampled_from(["free", "accepting", "waiting", "streaming", "orphaned", "closing"])
reports = st.builds(SlotReport, n=st.just(0), phase=phases, session=names, fence=fences)
slots = st.builds(
    lambda state, name, fence: SlotRecord("w", 0, state, None if state is SlotState.FREE else name, fence),
    st.sampled_from(SlotState),
    names,
    fences,
)


def made(**more: Any) -> SessionRecord:
    return SessionRecord("ses", "tests", "pond", SessionState.QUEUED, 0, 0, **more)


def walk(
    record: R, events: Sequence[Any], machine: Any, state: Callable[[R], Any], check: Callable[[R, Any, R], None]
) -> R:
    """Let it all happen; what the table has no row for is refused and changes nothing."""
    for event in events:
        target = machine.LEGAL[state(record)].get(type(event))
        if target is None:
            with pytest.raises(IllegalTransitionError):
                machine.move(record, event)
            continue
        moved = machine.move(record, event)
        assert (state(moved),) == target
        check(record, event, moved)
        record = moved
    return record


@pytest.mark.parametrize(
    ("machine", "states", "kinds"),
    [
        (session, SessionState, session.SessionEvent),
        (worker, WorkerState, worker.WorkerEvent),
        (lease, SlotState, lease.SlotEvent),
    ],
    ids=["session", "worker", "slot"],
)
def test_every_state_has_a_row_and_every_event_a_place(machine: Any, states: Any, kinds: Any) -> None:
    assert set(machine.LEGAL) == set(states)
    assert {kind for row in machine.LEGAL.values() for kind in row} == set(kinds.__args__)


@given(st.lists(session_events, max_size=40))
def test_a_session_has_a_worker_while_it_runs_and_only_then(events: list[session.SessionEvent]) -> None:
    def check(before: SessionRecord, event: session.SessionEvent, after: SessionRecord) -> None:
        seat = (after.worker, after.slot, after.fence)
        assert (after.state in RUNNING) <= (None not in seat)
        assert (after.state is SessionState.QUEUED) <= (seat == (None, None, None))
        assert (after.accepted_us is None) <= (after.state not in RUNNING - {SessionState.ASSIGNED})
        assert (after.seq, after.turn, after.created_us, after.account) == (
            before.seq,
            before.turn,
            before.created_us,
            before.account,
        )
        assert after.prio - before.prio == after.requeues - before.requeues == isinstance(event, session.WorkerLost)
        assert before.first_frame <= after.first_frame
        if before.connected_us is not None and after.state is not SessionState.QUEUED:
            assert after.connected_us == before.connected_us
        assert (after.state is SessionState.CLOSED) == (after.ended_us is not None) == (after.end_reason is not None)

    walk(made(), events, session, lambda each: each.state, check)


@given(st.lists(session_events, max_size=40), session_events)
def test_a_session_that_is_over_stays_over(events: list[session.SessionEvent], late: session.SessionEvent) -> None:
    last = walk(made(), events, session, lambda each: each.state, lambda *_: None)
    over = last if last.state is SessionState.CLOSED else session.move(last, session.Ended(1, "stopped"))
    with pytest.raises(IllegalTransitionError):
        session.move(over, late)


@pytest.mark.parametrize("state", [each for each in SessionState if each in OPEN])
def test_every_open_session_can_end(state: SessionState) -> None:
    assert session.LEGAL[state][session.Ended] == (SessionState.CLOSED,)


def test_a_session_whose_worker_is_lost_may_go_on_once_and_after_a_frame_only_by_its_models_word() -> None:
    may = session.may_go_on
    assert may(made(), {})
    assert not may(made(requeues=1), {"requeue": True})
    assert not may(made(first_frame=True), {})
    assert may(made(first_frame=True), {"requeue": True})
    assert not may(made(first_frame=True), {"requeue": False})


@given(st.none() | times, st.none() | times, times)
def test_seconds_used_are_never_less_than_none(accepted_us: int | None, ended_us: int | None, now_us: int) -> None:
    seconds = session.seconds_used(made(accepted_us=accepted_us, ended_us=ended_us), now_us)
    assert seconds >= 0.0
    if accepted_us is not None and ended_us is not None and ended_us > accepted_us:
        assert seconds == (ended_us - accepted_us) / 1e6  # whatever the time is now


@given(st.lists(worker_events, max_size=60))
def test_a_lost_worker_comes_back_only_as_a_new_one(events: list[worker.WorkerEvent]) -> None:
    def check(before: WorkerRecord, event: worker.WorkerEvent, after: WorkerRecord) -> None:
        anew = isinstance(event, worker.Registered)
        assert anew or after.incarnation == before.incarnation
        assert anew or before.state in worker.LIVE, "a lost Worker lives on"
        assert (after.state is WorkerState.READY) <= (after.ready_us is not None)
        if anew:
            assert (after.state, after.ready_us) == (WorkerState.STARTING, None)
            past = worker.past_incarnations(after)
            assert past[-1] == before.incarnation
            assert after.incarnation not in past
            assert len(past) <= worker.PAST
        if before.state is WorkerState.DRAINING:
            assert after.state is not WorkerState.READY, "a Worker that drains takes more"

    first = WorkerRecord("w", "pond", "first", "here", WorkerState.STARTING, 1, 0, 0)
    walk(first, events, worker, lambda each: each.state, check)


@pytest.mark.parametrize("word", ["starting", "ready", "draining"])
def test_a_workers_word_for_its_state_is_an_event_in_every_living_state(word: str) -> None:
    assert all(type(worker.said(word, 0)) in worker.LEGAL[state] for state in worker.LIVE)


@given(st.lists(slot_events, max_size=60))
def test_a_fence_never_shrinks_and_each_claim_has_one_of_its_own(events: list[lease.SlotEvent]) -> None:
    claims: set[int] = set()

    def check(before: SlotRecord, event: lease.SlotEvent, after: SlotRecord) -> None:
        assert after.fence >= before.fence
        assert (after.state is SlotState.HELD) <= (after.session is not None)
        assert (after.state is SlotState.FREE) <= (after.session is None)
        if isinstance(event, lease.Claimed):
            assert before.state is SlotState.FREE, "what is held is given away"
            assert after.fence not in claims
            claims.add(after.fence)

    walk(SlotRecord("w", 0), events, lease, lambda each: each.state, check)


@given(slots, reports)
def test_a_slot_is_the_workers_own_only_under_the_fence_and_for_the_session_it_was_promised(
    slot: SlotRecord, report: SlotReport
) -> None:
    match lease.standing(slot, report):
        case Standing.HOLDS:
            assert (slot.state, slot.fence, slot.session) == (SlotState.HELD, report.fence, report.session)
            assert report.phase != "free"
        case Standing.ENDING:
            assert slot.state is not SlotState.HELD
            assert (slot.fence, slot.session) == (report.fence, report.session)
            assert report.phase not in ("free", "accepting"), "what is over begins"
        case Standing.EMPTY:
            assert report.phase == "free"
            assert report.fence <= slot.fence
            # One that is older than the promise tells nothing of what was accepted under it.
            older = report.fence < slot.fence
            assert not older or slot.state is SlotState.FREE or (slot.state, slot.session) == (SlotState.CLOSING, None)
        case Standing.BEHIND:
            assert report.phase == "free"
            assert report.fence < slot.fence
        case Standing.STALE:
            assert report.phase != "free"
        case Standing.AHEAD:
            assert report.fence > slot.fence


@given(st.integers(0, 2**40), st.floats(1, 100))
def test_a_lease_runs_from_now_and_one_that_ends_later_was_given_by_another_clock(now_us: int, seconds: float) -> None:
    record = WorkerRecord("w", "pond", "first", "here", WorkerState.READY, 1, 0, 0)
    renewed = lease.renewed(record, now_us, seconds)
    assert renewed.lease_until_us == now_us + round(seconds * 1e6)
    assert not lease.is_ahead_of_time(renewed, now_us, seconds)
    assert lease.is_ahead_of_time(renewed, now_us - 1, seconds)
