"""Sessions and their queues: kept whole, listed newest first, served in one order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livereactor.base.errors import ConflictError
from livereactor.coordinator.machines.queue import order
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Store, Tx
from livereactor.store.records import OPEN, RUNNING, SessionRecord, SessionState
from tests.contract.store import records as r

EXAMPLES = itertools.count()
FULL = r.closed(
    "ses_full",
    account="ünï",
    prio=-3,
    turn=1e-9,
    token="jti",
    reach="reach",
    waited=True,
    estimate_us=0,
    requeues=1,
    first_frame=True,
    connected_us=r.LATE_US,
    expires_us=r.LATE_US,
    client="js/2.9.0",
    start=r.TRICKY,
)


async def add(store: Store, *sessions: SessionRecord) -> list[SessionRecord]:
    return await store.transact(lambda tx: [tx.add_session(each) for each in sessions])


def names(sessions: Sequence[SessionRecord]) -> list[str]:
    return [each.id for each in sessions]


async def test_a_session_comes_back_as_it_was_added_with_its_seq(store: Store) -> None:
    first, second = await add(store, FULL, r.session("ses_2"))
    assert 0 < first.seq < second.seq
    assert replace(first, seq=0) == FULL
    assert await store.read(lambda tx: (tx.session("ses_full"), tx.session("ses_none"))) == (first, None)
    moved = replace(second, state=SessionState.ASSIGNED, worker="wrk_1", slot=0, fence=2**40, prio=1)
    await store.transact(lambda tx: tx.put_session(moved))
    assert await store.transact(lambda tx: tx.session("ses_2", lock=True)) == moved


async def test_a_session_is_added_once(store: Store) -> None:
    await add(store, r.session("ses_1"))
    with pytest.raises(ConflictError):
        await add(store, r.session("ses_1", model="garden"))
    assert (await store.read(lambda tx: tx.sessions()))[0].model == r.MODEL


async def test_a_seq_is_never_given_again(store: Store) -> None:
    (old,) = await add(store, r.closed("ses_1", ended_us=1))
    assert await store.transact(lambda tx: tx.prune(before_us=2, events_before_us=2)) == 1
    (new,) = await add(store, r.session("ses_2"))
    assert new.seq > old.seq


async def test_sessions_are_listed_newest_first_page_by_page(store: Store) -> None:
    await add(store, *(r.session(f"ses_{n}") for n in range(5)))
    first = await store.read(lambda tx: tx.sessions(limit=2))
    assert names(first) == ["ses_4", "ses_3"]
    rest = await store.read(lambda tx: tx.sessions(before_seq=first[-1].seq))
    assert names(rest) == ["ses_2", "ses_1", "ses_0"]


async def test_sessions_are_listed_by_account_model_and_states_together(store: Store) -> None:
    await add(
        store,
        r.session("ses_1"),
        r.running("ses_2", SessionState.WAITING),
        r.running("ses_3", account="other"),
        r.running("ses_4", SessionState.ORPHANED, model="garden"),
        r.closed("ses_5"),
    )

    async def listed(**asked: object) -> list[str]:
        return names(await store.read(lambda tx: tx.sessions(**asked)))  # pyright: ignore[reportArgumentType]

    assert await listed(account="tests") == ["ses_5", "ses_4", "ses_2", "ses_1"]
    assert await listed(model=r.MODEL) == ["ses_5", "ses_3", "ses_2", "ses_1"]
    assert await listed(states=RUNNING) == ["ses_4", "ses_3", "ses_2"]
    assert await listed(states=OPEN) == ["ses_4", "ses_3", "ses_2", "ses_1"]
    assert await listed(states=[SessionState.CLOSED]) == ["ses_5"]
    assert await listed(states=list(SessionState)) == ["ses_5", "ses_4", "ses_3", "ses_2", "ses_1"]
    assert await listed(account="tests", model=r.MODEL, states=RUNNING, limit=9) == ["ses_2"]
    assert await listed(account="tests", states=[]) == []
    await add(store, r.session("ses_6", reach="link"), r.running("ses_7", reach="link", account="other"))
    assert await listed(reach="link") == ["ses_7", "ses_6"]
    assert await listed(account="tests", reach="link", states=OPEN) == ["ses_6"]
    assert await listed(reach="", limit=1) == ["ses_5"]


async def test_what_an_account_uses_is_counted_no_further_than_asked(store: Store) -> None:
    await add(
        store,
        r.session("ses_1", created_us=10, token="jti"),
        r.running("ses_2", created_us=30),
        r.running("ses_3", created_us=20),
        r.closed("ses_4", created_us=40, token="jti"),
        r.session("ses_5", created_us=50, account="other", token="another"),
    )
    assert await store.read(lambda tx: [tx.count_open("tests", up_to=n) for n in (0, 2, 9)]) == [0, 2, 3]
    assert await store.read(lambda tx: tx.count_open("nobody", up_to=9)) == 0
    assert list(await store.read(lambda tx: tx.created_since("tests", 10, up_to=2))) == [40, 30]
    assert list(await store.read(lambda tx: tx.created_since("tests", 0, up_to=9))) == [40, 30, 20, 10]
    assert await store.read(lambda tx: [tx.count_token(each) for each in ("jti", "another", "none", "")]) == [
        2,
        1,
        0,
        0,
    ]


async def test_tickets_are_found_only_while_they_wait(store: Store) -> None:
    await add(store, r.session("ses_1", model="garden"), r.running("ses_2"), r.closed("ses_3", model="forest"))
    assert list(await store.read(lambda tx: tx.queued_models())) == ["garden"]
    assert await store.read(lambda tx: (tx.queue_length("garden"), tx.queue_length(r.MODEL))) == (1, 0)
    assert await store.read(lambda tx: (tx.head(r.MODEL), tx.last_turn(r.MODEL, "tests"))) == (None, None)


async def test_the_highest_turn_among_an_accounts_tickets(store: Store) -> None:
    turns = {"ses_1": 0.5, "ses_2": 2.5, "ses_3": 1.5}
    await add(store, *(r.session(name, turn=turn) for name, turn in turns.items()))
    await add(store, r.session("ses_4", turn=9.0, account="other"), r.running("ses_5", turn=8.0))
    assert await store.read(lambda tx: (tx.last_turn(r.MODEL, "tests"), tx.last_turn("garden", "tests"))) == (2.5, None)


async def test_silent_tickets_are_found_the_longest_silent_first(store: Store) -> None:
    polls = {"ses_1": 30, "ses_2": 10, "ses_3": 20, "ses_4": 40}
    await add(store, *(r.session(name, polled_us=polled_us) for name, polled_us in polls.items()))
    await add(store, r.running("ses_5", polled_us=1), r.closed("ses_6", polled_us=1))
    assert names(await store.read(lambda tx: tx.unpolled(40))) == ["ses_2", "ses_3", "ses_1"]
    assert names(await store.read(lambda tx: tx.unpolled(40, limit=2))) == ["ses_2", "ses_3"]


async def test_tickets_polled_in_the_future_are_found_a_few_at_a_time(store: Store) -> None:
    polls = {"ses_1": 30, "ses_2": 10, "ses_3": 20, "ses_4": 40}
    await add(store, *(r.session(name, polled_us=polled_us) for name, polled_us in polls.items()))
    await add(store, r.running("ses_5", polled_us=99), r.closed("ses_6", polled_us=99))
    assert set(names(await store.read(lambda tx: tx.polled_after(20)))) == {"ses_1", "ses_4"}
    assert len(await store.read(lambda tx: tx.polled_after(0, limit=3))) == 3


async def test_overdue_sessions_are_found_the_longest_overdue_first(store: Store) -> None:
    await add(
        store,
        r.running("ses_1", expires_us=30),
        r.running("ses_2", SessionState.WAITING, expires_us=10),
        r.running("ses_3", SessionState.ORPHANED, expires_us=20),
        r.running("ses_4", expires_us=40),
        r.running("ses_5"),
        r.closed("ses_6", expires_us=1),
    )
    assert names(await store.read(lambda tx: tx.overdue(40))) == ["ses_2", "ses_3", "ses_1"]
    assert names(await store.read(lambda tx: tx.overdue(40, limit=1))) == ["ses_2"]


async def test_estimates_are_made_of_what_ran_and_ended_last(store: Store) -> None:
    await add(
        store,
        r.closed("ses_1", ended_us=10),
        r.closed("ses_2", ended_us=30),
        r.closed("ses_3", ended_us=20),
        r.closed("ses_4", ended_us=40, accepted_us=None),
        r.closed("ses_5", ended_us=50, model="garden"),
        r.running("ses_6"),
    )
    assert names(await store.read(lambda tx: tx.recent_waits(r.MODEL))) == ["ses_2", "ses_3", "ses_1"]
    assert names(await store.read(lambda tx: tx.recent_waits(r.MODEL, limit=1))) == ["ses_2"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(-1, 2), st.sampled_from([0.0, 0.5, 1 / 3]), st.booleans()), max_size=8))
async def test_the_queue_has_one_order_and_a_place_is_how_many_are_ahead(
    store: Store, tickets: list[tuple[int, float, bool]]
) -> None:
    name = f"model-{next(EXAMPLES)}"  # of this example only
    sessions = [
        r.session(
            f"{name}-{n}", SessionState.QUEUED if waits else SessionState.CLOSED, model=name, prio=prio, turn=turn
        )
        for n, (prio, turn, waits) in enumerate(tickets)
    ]
    added = await add(store, *sessions)
    queue = sorted((each for each in added if each.state is SessionState.QUEUED), key=order)
    assert await store.read(lambda tx: [tx.ahead(each) for each in queue]) == list(range(len(queue)))
    assert await store.read(lambda tx: tx.tail(name)) == (queue[-1] if queue else None)
    assert list(await store.read(lambda tx: tx.queue(name))) == queue
    assert list(await store.read(lambda tx: tx.queue(name, limit=2))) == queue[:2]
    served = []
    while (head := await store.transact(lambda tx: tx.head(name))) is not None:
        served.append(head.id)
        await store.transact(lambda tx, head=head: tx.put_session(replace(head, state=SessionState.CLOSED)))
    assert served == names(queue)


async def test_a_memory_store_orders_a_queue_as_the_machine_does() -> None:
    store = MemoryStore()
    added = await add(store, *(r.session(f"ses_{n}", prio=n % 2, turn=n % 3 / 7) for n in range(12)))
    head = await store.read(lambda tx: tx.head(r.MODEL))
    assert head == min(added, key=order)


async def test_a_queue_is_counted_no_further_than_it_was_asked(store: Store) -> None:
    await add(store, *(r.session(f"ses_{n}") for n in range(5)), r.session("ses_other", model="garden"))

    def lengths(tx: Tx) -> list[int]:
        return [tx.queue_length(r.MODEL, up_to=most) for most in (0, 3, 5, 9)] + [tx.queue_length(r.MODEL)]

    assert await store.read(lengths) == [0, 3, 5, 5, 5]
    assert await store.read(lambda tx: list(tx.queued_models())) == sorted(["garden", r.MODEL])
