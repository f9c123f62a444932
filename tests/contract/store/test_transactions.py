"""A transaction is seen whole or not at all, whatever its work raises and whoever runs beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from livereactor.base.errors import LivereactorError, NotFoundError
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import SlotState
from tests.contract.store import records as r
from tests.contract.store.racing import WAIT, Pause, Racers


def write_everything(tx: Tx) -> None:
    tx.put_account(r.account("second"))
    tx.put_key(r.key("key_2"))
    tx.put_model(r.model(version="v2"))
    first = tx.session("ses_1")
    assert first is not None
    tx.put_session(replace(first, prio=9))
    tx.add_session(r.session("ses_2"))
    tx.put_worker(r.worker(node="elsewhere"))
    tx.put_slot(r.slot(fence=9))
    tx.put_slot(r.slot(n=1))
    tx.put_upload(r.upload("upl_2"))
    tx.delete_uploads("ses_1")
    tx.add_event(r.event("second"))
    tx.put_cursor("webhooks", 9)
    tx.remember(r.answer("second", created_us=r.LATE_US))
    assert tx.lead("sweeper", "second", now_us=10, until_us=99)
    assert tx.prune(before_us=10_000, events_before_us=10_000) == 3
    tx.add_event(r.event("third"))


def everything(tx: Tx) -> list[object]:
    leads = [tx.lead("sweeper", holder, now_us=4, until_us=10) for holder in ("second", "first")]
    return [
        list(tx.accounts()),
        list(tx.keys()),
        list(tx.models()),
        list(tx.sessions()),
        list(tx.workers()),
        list(tx.slots("wrk_1")),
        [tx.upload(each) for each in ("upl_1", "upl_2")],
        [each.kind for each in tx.events()],
        tx.cursor("webhooks"),
        [tx.remembered("tests", each) for each in ("first", "second")],
        [tx.head(r.MODEL), tx.queue_length(r.MODEL), tx.count_open("tests", up_to=9), tx.free_slot(r.MODEL)],
        leads,
    ]


async def begin(store: Store) -> list[object]:
    def work(tx: Tx) -> list[object]:
        tx.put_account(r.account())
        tx.put_key(r.key())
        tx.put_model(r.model())
        tx.add_session(r.session("ses_1"))
        tx.add_session(r.closed("ses_0", ended_us=1))
        tx.put_worker(r.worker())
        tx.put_slot(r.slot())
        tx.put_upload(r.upload("upl_1"))
        tx.add_event(r.event("first"))
        tx.put_cursor("webhooks", 1)
        tx.remember(r.answer("first", created_us=r.LATE_US))
        assert tx.lead("sweeper", "first", now_us=0, until_us=10)
        return everything(tx)

    return await store.transact(work)


async def test_what_a_work_raises_undoes_everything_and_is_raised(store: Store) -> None:
    before = await begin(store)

    def work(tx: Tx) -> None:
        write_everything(tx)
        raise NotFoundError("changed our mind")

    with pytest.raises(NotFoundError, match="changed our mind"):
        await store.transact(work)
    assert await store.transact(everything) == before


async def test_what_a_work_writes_stays(store: Store) -> None:
    before = await begin(store)
    await store.transact(write_everything)
    after = await store.transact(everything)
    assert all(new != old for new, old in zip(after, before, strict=True))


async def test_an_error_of_ours_undoes_one_work_and_not_those_beside_it(store: Store) -> None:
    def work(n: int) -> Callable[[Tx], None]:
        def add(tx: Tx) -> None:
            tx.add_session(r.session(f"ses_{n}"))
            if n % 3 == 0:
                raise ValueError(n)

        return add

    outcomes = await asyncio.gather(*(store.transact(work(n)) for n in range(30)), return_exceptions=True)
    assert [isinstance(each, ValueError) for each in outcomes] == [n % 3 == 0 for n in range(30)]
    kept = {each.id for each in await store.read(lambda tx: tx.sessions())}
    assert kept == {f"ses_{n}" for n in range(30) if n % 3}


async def test_a_work_that_breaks_a_key_leaves_nothing_and_the_store_goes_on(store: Store) -> None:
    await store.transact(lambda tx: tx.add_session(r.session("ses_1")))

    def work(tx: Tx) -> None:
        tx.add_session(r.session("ses_2"))
        tx.add_session(r.session("ses_1"))

    with pytest.raises(LivereactorError):
        await store.transact(work)
    assert [each.id for each in await store.read(lambda tx: tx.sessions())] == ["ses_1"]
    await store.transact(lambda tx: tx.add_session(r.session("ses_3")))


async def test_a_reader_cannot_write(store: Store) -> None:
    # A bug of ours, which each adapter finds in its own way.
    with pytest.raises((RuntimeError, StoreUnavailableError)):
        await store.read(lambda tx: tx.put_account(r.account()))
    assert await store.read(lambda tx: list(tx.accounts())) == []
    await store.transact(lambda tx: tx.put_account(r.account()))


async def test_a_caller_that_goes_away_breaks_nothing(store: Store) -> None:
    gone = [asyncio.ensure_future(store.transact(lambda tx: tx.put_account(r.account("gone")))) for _ in range(20)]
    await asyncio.sleep(0)
    for each in gone:
        each.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await store.transact(lambda tx: tx.put_account(r.account()))
    assert "tests" in {each.id for each in await store.read(lambda tx: tx.accounts())}


async def test_a_record_that_is_locked_waits_for_whoever_locked_it(racers: Racers, store: Store) -> None:
    await store.transact(lambda tx: tx.put_account(r.account(max_sessions=0)))
    pause = Pause()

    def count(tx: Tx, wait: Callable[[], None] = lambda: None) -> int:
        seen = tx.account("tests", lock=True)
        assert seen is not None
        wait()
        counted = (seen.max_sessions or 0) + 1
        tx.put_account(replace(seen, max_sessions=counted))
        return counted

    first = racers.start(lambda tx: count(tx, pause))
    assert await asyncio.to_thread(pause.reached.wait, WAIT)
    second = racers.start(count)
    await asyncio.to_thread(pause.let_go_once, second)
    assert {await asyncio.wrap_future(first), await asyncio.wrap_future(second)} == {1, 2}


LOCKED: dict[str, Callable[[Tx], object]] = {
    "account": lambda tx: tx.account("tests", lock=True),
    "key": lambda tx: tx.key("key_1", lock=True),
    "model": lambda tx: tx.model(r.MODEL, lock=True),
    "session": lambda tx: tx.session("ses_1", lock=True),
    "worker": lambda tx: tx.worker("wrk_1", lock=True),
    "slot": lambda tx: tx.slot("wrk_1", 0, lock=True),
    "slots": lambda tx: tx.slots("wrk_1", lock=True),
}


@pytest.mark.parametrize("look", LOCKED.values(), ids=LOCKED)
async def test_two_that_lock_the_same_do_not_overlap(
    racers: Racers, store: Store, look: Callable[[Tx], object]
) -> None:
    await begin(store)
    inside, most = 0, 0
    guard = threading.Lock()

    def work(_tx: Tx) -> None:
        nonlocal inside, most
        look(_tx)
        with guard:
            inside, most = inside + 1, max(most, inside + 1)
        threading.Event().wait(0.005)  # long enough for another to come in, were it let
        with guard:
            inside -= 1

    await asyncio.gather(*(asyncio.wrap_future(racers.start(work)) for _ in range(4)))
    assert most == 1


async def test_a_model_is_held_together_by_those_who_share_it_and_alone_by_who_does_not(
    racers: Racers, store: Store
) -> None:
    await begin(store)
    pause = Pause()

    def share(tx: Tx) -> str:
        assert tx.model(r.MODEL, shared=True) is not None
        pause()
        return "shared"

    def take(tx: Tx) -> bool:
        tx.model(r.MODEL, lock=True)
        return pause.go_on.is_set()

    first, second = racers.start(share), racers.start(share)
    assert await asyncio.to_thread(pause.reached.wait, WAIT)
    alone = racers.start(take)
    await asyncio.to_thread(pause.let_go_once, alone)
    assert await asyncio.wrap_future(alone), "it did not wait for who shares"
    assert {await asyncio.wrap_future(first), await asyncio.wrap_future(second)} == {"shared"}


async def test_of_two_that_claim_one_slot_exactly_one_has_it(racers: Racers, store: Store) -> None:
    def prepare(tx: Tx) -> None:
        tx.put_worker(r.worker())
        for n in range(3):
            tx.put_slot(r.slot(n=n))

    await store.transact(prepare)
    together = threading.Barrier(8)

    def claim(name: str) -> Callable[[Tx], tuple[int, int] | None]:
        first_try = True

        def work(tx: Tx) -> tuple[int, int] | None:
            nonlocal first_try
            if first_try:
                first_try = False
                try:
                    together.wait(0.2)  # where transactions run beside each other, they all begin here
                except threading.BrokenBarrierError:
                    pass
            free = tx.free_slot(r.MODEL)
            if free is None:
                return None
            tx.put_slot(replace(free, state=SlotState.HELD, session=name, fence=free.fence + 1))
            return free.n, free.fence + 1

        return work

    outcomes = [racers.start(claim(f"ses_{n}")) for n in range(8)]
    claimed = [each for each in [await asyncio.wrap_future(one) for one in outcomes] if each is not None]
    assert sorted(claimed) == [(0, 1), (1, 1), (2, 1)]


async def test_of_many_that_serve_the_queue_no_two_have_one_ticket(racers: Racers, store: Store) -> None:
    await store.transact(lambda tx: [tx.add_session(r.session(f"ses_{n}")) for n in range(5)])

    def serve(tx: Tx) -> str | None:
        head = tx.head(r.MODEL)
        if head is None:
            return None
        tx.put_session(replace(head, state=r.running("").state))
        return head.id

    served: list[str] = []
    while len(served) < 5:  # one that passed over what others held may have found none
        outcomes = [racers.start(serve) for _ in range(8)]
        served += [each for each in [await asyncio.wrap_future(one) for one in outcomes] if each is not None]
    assert sorted(served) == [f"ses_{n}" for n in range(5)]


INSERTED: dict[str, tuple[Callable[[Tx, str], object], Callable[[Tx], object]]] = {
    "account": (lambda tx, who: tx.put_account(r.account(weight=len(who))), lambda tx: len(tx.accounts())),
    "model": (lambda tx, who: tx.put_model(r.model(version=who)), lambda tx: len(tx.models())),
    "worker": (lambda tx, who: tx.put_worker(r.worker(node=who)), lambda tx: len(tx.workers())),
    "slot": (lambda tx, who: tx.put_slot(r.slot(fence=len(who))), lambda tx: len(tx.slots("wrk_1"))),
    "cursor": (lambda tx, who: tx.put_cursor("webhooks", len(who)), lambda tx: int(tx.cursor("webhooks") > 0)),
}


@pytest.mark.parametrize(("insert", "count"), INSERTED.values(), ids=INSERTED)
async def test_two_that_insert_the_same_at_once_leave_one(
    racers: Racers, store: Store, insert: Callable[[Tx, str], object], count: Callable[[Tx], object]
) -> None:
    pause = Pause()

    def slow(tx: Tx) -> None:
        insert(tx, "first")
        pause()

    first = racers.start(slow)
    assert await asyncio.to_thread(pause.reached.wait, WAIT)
    second = racers.start(lambda tx: insert(tx, "second"))
    await asyncio.to_thread(pause.let_go_once, second)
    await asyncio.gather(asyncio.wrap_future(first), asyncio.wrap_future(second))
    assert await store.read(count) == 1


async def test_two_requests_with_one_idempotency_key_at_once_make_one_session(racers: Racers, store: Store) -> None:
    pause = Pause()

    def create(name: str, wait: Callable[[], None]) -> Callable[[Tx], str]:
        def work(tx: Tx) -> str:
            known = tx.remembered("tests", "idem")
            wait()
            if known is not None:
                return str(known.body["id"])
            tx.add_session(r.session(name))
            tx.remember(r.answer(body={"id": name}))
            return name

        return work

    first = racers.start(create("ses_1", pause))
    assert await asyncio.to_thread(pause.reached.wait, WAIT)
    second = racers.start(create("ses_2", lambda: None))
    await asyncio.to_thread(pause.let_go_once, second)
    answers = {await asyncio.wrap_future(first), await asyncio.wrap_future(second)}
    assert len(answers) == 1
    assert [each.id for each in await store.read(lambda tx: tx.sessions())] == list(answers)


async def test_two_that_want_to_lead_at_once_are_one_leader(racers: Racers, store: Store) -> None:
    outcomes = [
        racers.start(lambda tx, n=n: tx.lead("sweeper", f"replica-{n}", now_us=0, until_us=10)) for n in range(6)
    ]
    assert sorted([await asyncio.wrap_future(each) for each in outcomes]) == [False] * 5 + [True]


async def test_a_work_that_lost_a_race_is_run_again_from_the_start(racers: Racers, store: Store) -> None:
    """Two works lock two records crosswise; where that is a deadlock, one of them is begun anew."""
    await store.transact(lambda tx: (tx.put_account(r.account("a")), tx.put_account(r.account("b"))))
    meet = threading.Barrier(2)

    def crosswise(one: str, other: str) -> Callable[[Tx], None]:
        tries = 0

        def work(tx: Tx) -> None:
            nonlocal tries
            tries += 1
            tx.account(one, lock=True)
            if tries == 1:
                try:
                    meet.wait(0.3)
                except threading.BrokenBarrierError:
                    pass
            tx.account(other, lock=True)
            tx.add_event(r.event(one))

        return work

    both = [racers.start(crosswise("a", "b")), racers.start(crosswise("b", "a"))]
    await asyncio.gather(*(asyncio.wrap_future(each) for each in both))
    assert sorted(each.kind for each in await store.read(lambda tx: tx.events())) == ["a", "b"]
