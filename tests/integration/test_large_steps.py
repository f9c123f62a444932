"""A large step is read beside the loop, and keeps its place among the messages of its client."""

from __future__ import annotations

import asyncio
import threading

import pytest

from livereactor.protocol import messages as m
from livereactor.protocol import v1
from tests.integration.models import Plain
from tests.integration.rig import PATIENCE, Caller, next_session_works, serving

TURNS = 50  # of the loop, while a message is read
STEPS = 6


def step(caller: Caller, number: int, *, large: bool) -> None:
    size = (480, 640) if large else (8, 8)
    picture = m.MediaFrame("raw", "uint8", (*size, 3), bytes(size[0] * size[1] * 3))
    caller.say(m.RequestStep(f"data_{number}", {}, (), (m.TrackFrames("webcam", "video", (picture,), 30.0),)))


async def turning(enough: threading.Event) -> None:
    """Count turns of the loop."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
    enough.set()


async def test_the_loop_turns_while_a_large_step_is_read_and_later_messages_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(generation="stepped"))
        real, order, enough = v1.decode_client, list[int](), threading.Event()
        turns: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()

        def decode(label: str, data: bytes, *, limit: int, nodes: int) -> m.ClientMessage:
            order.append(-len(data))
            if len(data) > 100_000 and not enough.is_set():
                loop.call_soon_threadsafe(lambda: turns.append(loop.create_task(turning(enough))))
                assert enough.wait(PATIENCE), "the loop did not turn"
            order.append(len(data))
            return real(label, data, limit=limit, nodes=nodes)

        monkeypatch.setattr(v1, "decode_client", decode)
        for number in range(STEPS):
            step(caller, number, large=number % 3 == 0)
        results = [await caller.hear_of(m.StepResult) for _ in range(STEPS)]
        assert [each.request_id for each in results] == [f"data_{number}" for number in range(STEPS)]
        assert all(each.failure is None for each in results)
        # Each was read to its end before the next was begun.
        assert [-begun for begun in order[::2]] == order[1::2]
        monkeypatch.undo()
        await next_session_works(served)


async def test_a_client_that_leaves_while_its_step_is_read_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(generation="stepped"))
        real, begun, gone = v1.decode_client, asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def decode(label: str, data: bytes, *, limit: int, nodes: int) -> m.ClientMessage:
            loop.call_soon_threadsafe(begun.set)
            assert gone.wait(PATIENCE)
            return real(label, data, limit=limit, nodes=nodes)

        monkeypatch.setattr(v1, "decode_client", decode)
        step(caller, 0, large=True)
        step(caller, 1, large=False)
        await begun.wait()
        monkeypatch.undo()
        await served.http.post("/stop_session")
        await caller.gone()
        gone.set()
        await next_session_works(served)
