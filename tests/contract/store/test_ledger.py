"""Uploads, events, remembered answers, roles; and what is thrown away once it is old."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from livereactor.coordinator.machines.worker import LIVE
from livereactor.store.port import Store, Tx
from livereactor.store.records import SessionState, SlotState, WorkerState
from tests.contract.store import records as r
from tests.contract.store.racing import WAIT, Racers


async def test_uploads_are_kept_by_session_and_forgotten_with_it(store: Store) -> None:
    first, second, other = r.upload("upl_1"), r.upload("upl_2", landed=True, link="tok_1"), r.upload("upl_3", "ses_2")
    await store.transact(lambda tx: [tx.put_upload(each) for each in (first, second, other)])
    assert await store.read(lambda tx: (tx.upload("upl_1"), tx.upload("upl_9"))) == (first, None)
    assert [each.id for each in await store.read(lambda tx: tx.uploads("ses_1"))] == ["upl_1", "upl_2"]
    landed = replace(first, landed=True)
    await store.transact(lambda tx: tx.put_upload(landed))
    assert await store.read(lambda tx: tx.upload("upl_1")) == landed
    await store.transact(lambda tx: tx.delete_upload("upl_2"))
    assert [each.id for each in await store.read(lambda tx: tx.uploads("ses_1"))] == ["upl_1"]
    await store.transact(lambda tx: tx.delete_uploads("ses_1"))
    assert await store.read(lambda tx: (list(tx.uploads("ses_1")), tx.upload("upl_3"))) == ([], other)


async def test_events_are_read_oldest_first_from_where_a_reader_stands(store: Store) -> None:
    assert await store.read(lambda tx: (tx.last_event(), list(tx.events()))) == (0, [])
    kinds = ("session.created", "worker.ready", "session.ended")
    told = [r.event(kind, session="ses_1", account="tests", data=r.TRICKY) for kind in kinds]
    await store.transact(lambda tx: [tx.add_event(each) for each in told])
    events = await store.read(lambda tx: tx.events())
    assert [replace(each, seq=0) for each in events] == told
    seqs = [each.seq for each in events]
    assert seqs == sorted(set(seqs))
    assert seqs[0] > 0
    assert await store.read(lambda tx: tx.last_event()) == seqs[-1]
    assert [each.seq for each in await store.read(lambda tx: tx.events(after_seq=seqs[0], limit=1))] == [seqs[1]]
    ended = await store.read(lambda tx: tx.events(kinds={"session.ended", "session.created"}))
    assert [each.kind for each in ended] == ["session.created", "session.ended"]
    assert list(await store.read(lambda tx: tx.events(kinds=[]))) == []


async def test_a_transaction_sees_its_own_events(store: Store) -> None:
    def work(tx: Tx) -> tuple[int, int]:
        tx.add_event(r.event())
        return len(tx.events()), tx.last_event()

    seen, last = await store.transact(work)
    assert seen == 1
    assert last > 0


async def test_a_reader_of_events_keeps_its_place(store: Store) -> None:
    assert await store.read(lambda tx: tx.cursor("webhooks")) == 0
    await store.transact(lambda tx: tx.put_cursor("webhooks", 7))
    await store.transact(lambda tx: (tx.put_cursor("webhooks", 2**40), tx.put_cursor("usage", 1)))
    assert await store.read(lambda tx: (tx.cursor("webhooks"), tx.cursor("usage"))) == (2**40, 1)


async def test_an_answer_is_remembered_for_its_account_and_key(store: Store) -> None:
    given = r.answer()
    assert await store.read(lambda tx: tx.remembered("tests", "idem")) is None
    await store.transact(lambda tx: tx.remember(given))
    assert await store.read(lambda tx: tx.remembered("tests", "idem")) == given
    assert await store.read(lambda tx: (tx.remembered("other", "idem"), tx.remembered("tests", "x"))) == (None, None)
    renewed = replace(given, status=200, created_us=r.LATE_US)
    await store.transact(lambda tx: (tx.remembered("tests", "idem"), tx.remember(renewed)))
    assert await store.read(lambda tx: tx.remembered("tests", "idem")) == renewed


async def test_one_holder_leads_until_its_time_is_over(store: Store) -> None:
    async def lead(holder: str, now_us: int, until_us: int, role: str = "sweeper") -> bool:
        return await store.transact(lambda tx: tx.lead(role, holder, now_us=now_us, until_us=until_us))

    assert await lead("one", 0, 10)
    assert not await lead("two", 9, 19)
    assert await lead("two", 9, 19, role="fleet")
    assert await lead("one", 9, 20)
    assert not await lead("two", 19, 30)
    assert await lead("two", 20, 30)
    assert not await lead("one", 21, 31)


async def test_a_term_that_a_wrong_clock_gave_does_not_last_as_long_as_the_clock_was_wrong(store: Store) -> None:
    async def lead(holder: str, now_us: int) -> bool:
        return await store.transact(lambda tx: tx.lead("sweeper", holder, now_us=now_us, until_us=now_us + 5))

    assert await lead("one", 1_000)
    assert await lead("two", 0), "nobody leads until the hour that a clock showed too early"
    assert not await lead("one", 4), "one that is a little ahead is no reason"
    assert await lead("one", 5)


async def test_uploads_that_did_not_land_in_time_are_found(store: Store) -> None:
    def some(tx: Tx) -> None:
        for name, more in {
            "upl_early": {"expires_us": 10},
            "upl_old": {"expires_us": 20},
            "upl_landed": {"expires_us": 20, "landed": True},
            "upl_older": {"expires_us": 15},
            "upl_good": {"expires_us": 30},
        }.items():
            tx.put_upload(r.upload(name, **more))

    await store.transact(some)
    found = await store.read(lambda tx: tx.unwritten_uploads(10, 30))
    assert [each.id for each in found] == ["upl_older", "upl_old"]
    assert [each.id for each in await store.read(lambda tx: tx.unwritten_uploads(0, 30, limit=1))] == ["upl_early"]


async def test_uploads_that_outlived_their_sessions_are_found(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for each in (r.closed("ses_1", ended_us=10), r.closed("ses_2", ended_us=30), r.running("ses_3")):
            tx.add_session(each)
        for n, session in enumerate(("ses_2", "ses_1", "ses_2", "ses_3")):
            tx.put_upload(r.upload(f"upl_{n}", session))
        tx.prune(before_us=20, events_before_us=20)

    await store.transact(fill)
    assert await store.read(lambda tx: tx.session("ses_1")) is None
    assert await store.read(lambda tx: tx.ended_with_uploads()) == ["ses_1", "ses_2"]
    assert await store.read(lambda tx: tx.ended_with_uploads(limit=1)) == ["ses_1"]
    await store.transact(lambda tx: tx.delete_uploads("ses_1"))
    assert await store.read(lambda tx: tx.ended_with_uploads()) == ["ses_2"]


async def test_what_is_old_is_thrown_away_and_nothing_else(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for each in (r.closed("ses_1", ended_us=10), r.closed("ses_2", ended_us=30), r.running("ses_3")):
            tx.add_session(each)
        tx.add_session(r.session("ses_4", created_us=1))
        tx.put_upload(r.upload("upl_1", expires_us=10))
        for state in WorkerState:
            tx.put_worker(r.worker(f"wrk_{state.value}", state, lease_until_us=10))
            tx.put_slot(r.slot(f"wrk_{state.value}", state=SlotState.CLOSING, fence=5))
        tx.put_worker(r.worker("wrk_new", WorkerState.LOST, lease_until_us=20))
        tx.add_event(r.event(at_us=10))
        tx.add_event(r.event(at_us=20))
        tx.remember(r.answer("old", created_us=10))
        tx.remember(r.answer("new", created_us=20))

    await store.transact(fill)
    assert await store.transact(lambda tx: tx.prune(before_us=20, events_before_us=20)) == 5
    assert await store.transact(lambda tx: tx.prune(before_us=20, events_before_us=20)) == 0
    left = await store.read(lambda tx: [each.id for each in tx.sessions()])
    assert left == ["ses_4", "ses_3", "ses_2"]
    assert await store.read(lambda tx: tx.upload("upl_1")) is not None, "its bytes are there still, and need it"
    workers = {"wrk_new", *(f"wrk_{state.value}" for state in LIVE)}
    assert {each.id for each in await store.read(lambda tx: tx.workers())} == workers
    slots = [await store.read(lambda tx, n=name: len(tx.slots(f"wrk_{n}"))) for name in ("lost", "gone", "ready")]
    assert slots == [0, 0, 1]
    assert [each.at_us for each in await store.read(lambda tx: tx.events())] == [20]
    assert await store.read(lambda tx: (tx.remembered("tests", "old"), tx.remembered("tests", "new") is not None)) == (
        None,
        True,
    )


async def test_old_records_are_thrown_away_a_few_at_a_time(store: Store) -> None:
    await store.transact(lambda tx: [tx.add_session(r.closed(f"ses_{n}", ended_us=n)) for n in range(7)])
    await store.transact(lambda tx: [tx.add_event(r.event(at_us=n)) for n in range(5)])
    await store.transact(lambda tx: [tx.remember(r.answer(f"key_{n}", created_us=n)) for n in range(3)])
    counts = [await store.transact(lambda tx: tx.prune(before_us=100, events_before_us=100, limit=4)) for _ in range(5)]
    assert counts == [4, 4, 4, 3, 0]
    assert not await store.read(lambda tx: tx.sessions(states=[SessionState.CLOSED]))


async def test_the_first_text_under_a_name_is_kept_for_good(store: Store) -> None:
    assert await store.transact(lambda tx: tx.keep("one", "first")) == "first"
    assert await store.transact(lambda tx: (tx.keep("one", "second"), tx.keep("two", "ünï ☃"))) == (
        "first",
        "ünï ☃",
    )
    await store.transact(lambda tx: tx.prune(before_us=2**60, events_before_us=2**60))
    assert await store.transact(lambda tx: tx.keep("one", "third")) == "first"


async def test_of_two_who_keep_a_text_at_once_both_hear_the_one_that_is_kept(racers: Racers, store: Store) -> None:
    racers.open(4)
    kept = {each.result(WAIT) for each in [racers.start(partial(_keep, text=f"text {n}")) for n in range(4)]}
    assert kept == {await store.transact(lambda tx: tx.keep("one", "late"))}


def _keep(tx: Tx, text: str) -> str:
    return tx.keep("one", text)
