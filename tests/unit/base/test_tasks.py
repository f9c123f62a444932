"""Tasks in the background, and waiting for an event at most so long."""

from __future__ import annotations

import asyncio
import time

from livereactor.base.tasks import TaskSet, set_within


async def test_a_task_is_kept_until_it_has_ended() -> None:
    tasks, go = TaskSet(), asyncio.Event()
    task = tasks.start(go.wait(), name="waits")
    assert (len(tasks), task.get_name()) == (1, "waits")
    go.set()
    assert await tasks.wait() == set()
    assert (len(tasks), task.result()) == (0, True)


async def test_waiting_ends_at_its_timeout_and_leaves_what_is_late_running() -> None:
    tasks = TaskSet()
    late = tasks.start(asyncio.Event().wait())
    assert await tasks.wait(0.01) == {late}
    assert not late.done()
    await tasks.aclose()
    assert late.cancelled()


async def test_finishing_cancels_what_is_late() -> None:
    tasks = TaskSet()
    late = tasks.start(asyncio.Event().wait())
    await tasks.finish(0.01)
    await tasks.wait()
    assert late.cancelled()


async def test_a_task_that_waits_for_the_others_does_not_wait_for_itself() -> None:
    tasks = TaskSet()

    async def last() -> str:
        await tasks.wait()
        return "done"

    tasks.start(asyncio.sleep(0))
    async with asyncio.timeout(5):
        assert await tasks.start(last()) == "done"


async def test_an_empty_set_is_waited_for_and_closed_at_once() -> None:
    tasks = TaskSet()
    assert await tasks.wait() == set()
    await tasks.finish(60.0)
    await tasks.aclose()


async def test_an_error_of_a_task_does_not_reach_who_waits_for_all() -> None:
    async def fails() -> None:
        raise ValueError("x")

    tasks = TaskSet()
    task = tasks.start(fails())
    await tasks.wait()
    assert isinstance(task.exception(), ValueError)


async def test_an_event_is_waited_for_at_most_so_long() -> None:
    event = asyncio.Event()
    assert not await set_within(event, 0.01)
    event.set()
    assert await set_within(event, 60.0)
    assert await set_within(event, None)


async def test_an_event_that_comes_with_the_timeout_is_seen() -> None:
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.call_later(0.002, event.set)
    loop.call_soon(time.sleep, 0.01)  # both timers are due in the same turn: the timeout's, then the event's
    assert await set_within(event, 0.001)
