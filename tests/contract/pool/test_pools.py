"""What every pool promises (pool/port.py)."""

from __future__ import annotations

import asyncio

from tests.contract.pool.rig import Ends, Rig, spec


async def test_a_started_worker_is_listed_with_its_model(rig: Rig) -> None:
    pool = rig.pool()
    handle = await pool.start(spec("wrk_1", model="garden"))
    assert (handle.worker, handle.model) == ("wrk_1", "garden")
    assert await pool.list() == [handle]
    await pool.stop("wrk_1", grace=0)
    assert await pool.list() == []


async def test_a_worker_that_is_asked_to_end_ends_with_its_own_code(rig: Rig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1"))
    await rig.ready("wrk_1")
    await pool.stop("wrk_1", grace=10)
    assert (await ends.of("wrk_1")).code == 0


async def test_a_worker_that_does_not_listen_is_killed_after_its_grace(rig: Rig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1", "stubborn"))
    await rig.ready("wrk_1")
    began = asyncio.get_running_loop().time()
    await pool.stop("wrk_1", grace=0.2)
    assert 0.2 <= asyncio.get_running_loop().time() - began < 2
    assert (await ends.of("wrk_1")).code == -9


async def test_a_worker_without_grace_is_killed_at_once(rig: Rig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1"))
    await pool.stop("wrk_1", grace=0)
    assert (await ends.of("wrk_1")).code == -9


async def test_stopping_a_worker_that_is_gone_or_never_was_is_no_error(rig: Rig) -> None:
    pool = rig.pool()
    await pool.start(spec("wrk_1"))
    for _ in range(2):
        await pool.stop("wrk_1", grace=0)
    await pool.stop("wrk_never", grace=1)


async def test_a_worker_that_fails_is_told_with_its_code_and_last_words(rig: Rig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1", "fails"))
    ended = await ends.of("wrk_1")
    assert ended.code == 1
    assert "no weights on this machine" in ended.last_words
    assert len(ended.last_words) <= 2000


async def test_every_end_is_told_once(rig: Rig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    workers = [f"wrk_{number}" for number in range(6)]
    await asyncio.gather(*(pool.start(spec(worker)) for worker in workers))
    await asyncio.gather(*(rig.die(pool, worker) for worker in workers[:3]))
    await asyncio.gather(*(pool.stop(worker, grace=0) for worker in workers for _ in range(2)))
    for worker in workers:
        await ends.of(worker)
    await pool.aclose()
    await ends.closed()
    assert sorted(ended.worker for ended in ends.told) == workers


async def test_workers_outlive_their_pool_and_the_next_one_finds_them(rig: Rig) -> None:
    first = rig.pool()
    handle = await first.start(spec("wrk_1"))
    await rig.ready("wrk_1")
    await first.aclose()
    second = rig.pool()
    assert await second.list() == [handle]
    ends = Ends(second)
    await rig.die(second, "wrk_1")
    assert (await ends.of("wrk_1")).code in (None, -9)
    assert await second.list() == []


async def test_an_adopted_worker_can_be_stopped(rig: Rig) -> None:
    first = rig.pool()
    await first.start(spec("wrk_1"))
    await rig.ready("wrk_1")
    await first.aclose()
    second = rig.pool()
    ends = Ends(second)
    await second.stop("wrk_1", grace=10)
    assert (await ends.of("wrk_1")).code in (None, 0)


async def test_an_end_while_no_pool_was_there_is_told_by_the_next(rig: Rig) -> None:
    first = rig.pool()
    await first.start(spec("wrk_1", "fails"))
    await first.aclose()
    ends = Ends(rig.pool())
    assert "no weights on this machine" in (await ends.of("wrk_1")).last_words


async def test_the_reader_of_ends_ends_with_the_pool(rig: Rig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.list()
    await asyncio.sleep(0)
    await pool.aclose()
    await ends.closed()
    assert ends.told == []
