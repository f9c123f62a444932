"""Workers and their Slots: kept whole, found by state and lease, given away one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from livereactor.base.errors import ConflictError
from livereactor.store.port import Store, Tx
from livereactor.store.records import SlotState, WorkerRecord, WorkerState
from tests.contract.store import records as r

_FULL = {"pooled": True, "ready_us": 0, "used_us": r.LATE_US, "slots": 256, "info": r.TRICKY}


async def put(store: Store, *workers: WorkerRecord, slots: int = 1, state: SlotState = SlotState.FREE) -> None:
    def work(tx: Tx) -> None:
        for each in workers:
            tx.put_worker(each)
            for n in range(slots):
                tx.put_slot(r.slot(each.id, n, state))

    await store.transact(work)


async def test_a_worker_comes_back_as_it_was_put(store: Store) -> None:
    plain, full = r.worker("wrk_1"), r.worker("wrk_2", WorkerState.DRAINING, **_FULL)
    await put(store, plain, full, slots=0)
    assert await store.read(lambda tx: (tx.worker("wrk_1"), tx.worker("wrk_2"), tx.worker("wrk_3"))) == (
        plain,
        full,
        None,
    )
    renewed = replace(plain, lease_until_us=r.LATE_US, info={"load": {"sessions": 1.0}})
    await store.transact(lambda tx: tx.put_worker(renewed))
    assert await store.transact(lambda tx: tx.worker("wrk_1", lock=True)) == renewed


async def test_workers_are_listed_by_model_and_states_oldest_first(store: Store) -> None:
    await put(store, r.worker("wrk_3", started_us=3, model="garden"))
    await put(store, r.worker("wrk_1", started_us=2), r.worker("wrk_2", WorkerState.STARTING, started_us=1))

    async def listed(**asked: object) -> list[str]:
        found = await store.read(lambda tx: tx.workers(**asked))  # pyright: ignore[reportArgumentType]
        return [each.id for each in found]

    assert await listed() == ["wrk_2", "wrk_1", "wrk_3"]
    assert await listed(model=r.MODEL) == ["wrk_2", "wrk_1"]
    assert await listed(states=[WorkerState.READY]) == ["wrk_1", "wrk_3"]
    assert await listed(model=r.MODEL, states={WorkerState.READY, WorkerState.LOST}) == ["wrk_1"]
    assert await listed(states=[]) == []


async def test_only_living_workers_lose_their_lease_the_longest_silent_first(store: Store) -> None:
    until_us = {WorkerState.DRAINING: 10, WorkerState.READY: 12, WorkerState.STARTING: 11}
    await put(
        store, *(r.worker(f"wrk_{each.value}", each, lease_until_us=until_us.get(each, 1)) for each in WorkerState)
    )
    await put(store, r.worker("wrk_later", lease_until_us=20))
    expired = await store.read(lambda tx: tx.expired_workers(20))
    assert [each.id for each in expired] == ["wrk_draining", "wrk_starting", "wrk_ready"]
    assert len(await store.read(lambda tx: tx.expired_workers(10))) == 0


async def test_slots_come_back_by_number(store: Store) -> None:
    held = r.slot("wrk_1", 255, SlotState.HELD, session="ses_1", fence=2**40)
    await store.transact(lambda tx: (tx.put_slot(held), tx.put_slot(r.slot("wrk_1", 2)), tx.put_slot(r.slot("wrk_2"))))
    assert list(await store.read(lambda tx: tx.slots("wrk_1"))) == [r.slot("wrk_1", 2), held]
    assert await store.read(lambda tx: (tx.slot("wrk_1", 255), tx.slot("wrk_1", 0))) == (held, None)
    closing = replace(held, state=SlotState.CLOSING)
    await store.transact(lambda tx: tx.put_slot(closing))
    assert await store.transact(lambda tx: tx.slot("wrk_1", 255, lock=True)) == closing
    assert list(await store.transact(lambda tx: tx.slots("wrk_1", lock=True)))[-1] == closing


async def test_no_two_slots_hold_one_session(store: Store) -> None:
    await store.transact(lambda tx: tx.put_slot(r.slot("wrk_1", 0, SlotState.HELD, session="ses_1", fence=1)))
    with pytest.raises(ConflictError):
        await store.transact(lambda tx: tx.put_slot(r.slot("wrk_2", 0, SlotState.HELD, session="ses_1", fence=1)))
    # One that closes may still name it.
    await store.transact(lambda tx: tx.put_slot(r.slot("wrk_1", 0, SlotState.CLOSING, session="ses_1", fence=1)))
    await store.transact(lambda tx: tx.put_slot(r.slot("wrk_2", 0, SlotState.HELD, session="ses_1", fence=1)))
    assert await store.read(lambda tx: [tx.slots(each)[0].state for each in ("wrk_1", "wrk_2")]) == [
        SlotState.CLOSING,
        SlotState.HELD,
    ]


async def test_a_free_slot_is_one_of_the_ready_worker_used_longest_ago(store: Store) -> None:
    await put(
        store, r.worker("wrk_1", used_us=30), r.worker("wrk_2", used_us=20), r.worker("wrk_3", used_us=10), slots=2
    )
    await put(store, r.worker("wrk_4", model="garden", used_us=0))
    await put(store, r.worker("wrk_5", WorkerState.STARTING), r.worker("wrk_6", WorkerState.DRAINING))
    await put(store, r.worker("wrk_7", WorkerState.LOST), r.worker("wrk_8"), slots=1, state=SlotState.CLOSING)
    taken = []
    while (free := await store.transact(lambda tx: tx.free_slot(r.MODEL))) is not None:
        taken.append(free.worker)
        claimed = replace(free, state=SlotState.HELD, session=f"ses_{len(taken)}", fence=1)
        await store.transact(lambda tx, claimed=claimed: tx.put_slot(claimed))
    assert taken == ["wrk_3", "wrk_3", "wrk_2", "wrk_2", "wrk_1", "wrk_1"]
