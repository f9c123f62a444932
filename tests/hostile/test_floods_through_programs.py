"""A visitor that may only watch floods a real process, over each engine: the owner's session goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
import pytest_asyncio

from livereactor.base.errors import EngineError
from livereactor.engine.aiortc.channel import AiortcChannel, MessageLimits
from livereactor.engine.port import Engine
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from tests.hostile.watching import PROGRAMS, Stage, Watcher, conformance_program, engine_of, on_stage
from tests.tools.processes import Program
from tests.tools.serving import Coordinator

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
MANY = 250  # messages: a viewer may send 100 at once, and is put out when 200 more are dropped within a second
LARGE = 200_000  # bytes: fits a plain message of SCTP
HUGE = 4_000_000  # bytes: aiortc puts no more than some megabytes a second through SCTP


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    log_path = tmp_path_factory.mktemp("program") / "log"
    with conformance_program(request.param, log_path, {"MAX_CONNECTIONS": "16"}) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(program: Program) -> AsyncIterator[Stage]:
    async with on_stage(program) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def libwebrtc() -> AsyncIterator[Engine]:
    async with engine_of("libwebrtc") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aiortc() -> AsyncIterator[Engine]:
    async with engine_of("aiortc") as made:
        yield made


async def test_a_large_frame_is_refused_by_its_size(stage: Stage, libwebrtc: Engine) -> None:
    for codec in (v0, v1):
        watcher = await stage.watcher(libwebrtc, codec, chunking=False)
        numbers = json.dumps({"scope": "application", "data": {"type": "x", "data": {"a": [1] * (LARGE // 3)}}})
        watcher.side.send("data", numbers if codec is v0 else b"\x52" + numbers.encode())
        await watcher.until(lambda watcher=watcher: watcher.refusals("MESSAGE_TOO_LARGE") == 1)
        assert not watcher.is_closed
        await watcher.side.aclose()
    await stage.owner_is_served(20)


async def test_a_frame_of_megabytes_in_chunks_is_never_put_together(stage: Stage, aiortc: Engine) -> None:
    watcher = await stage.watcher(aiortc, v1)
    channel = watcher.side.channels["data"]
    assert isinstance(channel, AiortcChannel)
    channel.negotiated(MessageLimits(chunked_bytes=HUGE))  # as if the server had said that it puts them together
    channel.send(b"\x52" * HUGE, text=False)
    # The chunks are messages of their own, larger than a viewer's: none is read, and it is told so or shown out.
    await watcher.until(lambda: watcher.refusals("MESSAGE_TOO_LARGE") > 0 or watcher.is_closed)
    await stage.owner_is_served(20)


async def test_a_frame_of_megabytes_in_one_piece_is_never_read(stage: Stage, aiortc: Engine) -> None:
    watcher = await stage.watcher(aiortc, v1)
    channel = watcher.side.channels["data"]
    assert isinstance(channel, AiortcChannel)
    channel.negotiated(MessageLimits(plain_bytes=HUGE))  # as if the server had said that it takes them
    channel.send(b"\x52" * HUGE, text=False)
    # libwebrtc ends an association that sends more than its answer said; with aiortc the message arrives.
    await watcher.until(lambda: watcher.refusals("MESSAGE_TOO_LARGE") > 0 or watcher.is_closed)
    await stage.owner_is_served(20)


async def test_a_flood_is_told_once_and_who_goes_on_is_disconnected(stage: Stage, libwebrtc: Engine) -> None:
    watcher = await stage.watcher(libwebrtc, v1)
    for _ in range(MANY):
        watcher.say(m.Ping())
    await watcher.until(lambda: watcher.refusals("RATE_LIMITED") == 1)
    await stage.owner_is_served(20)
    async with asyncio.timeout(60):
        while not watcher.is_closed:
            with suppress(EngineError):  # it is being closed
                for _ in range(100):
                    watcher.say(m.Ping())
            await asyncio.sleep(0.02)
    assert watcher.refusals("RATE_LIMITED") == 1


async def test_commands_of_a_visitor_are_refused_and_bounded(stage: Stage, libwebrtc: Engine) -> None:
    watcher = await stage.watcher(libwebrtc, v1)
    for number in range(MANY):
        watcher.say(m.Command("echo", {"value": number}, request_id=f"data_{number}"))
    serves = isinstance(stage.program, Coordinator)
    # Answered commands are repaid where commands have no rate of their own: a slow flood is answered each time.
    await watcher.until(
        lambda: watcher.refusals("RATE_LIMITED") == 1 or (not serves and len(_answered(watcher)) == MANY)
    )
    assert {each.code for each in _answered(watcher)} == {"FORBIDDEN"}
    assert not serves or len(_answered(watcher)) < 200
    await stage.owner_is_served(20)


def _answered(watcher: Watcher) -> list[m.Failure]:
    return [each for each in watcher.heard if isinstance(each, m.Failure) and each.request_id is not None]


async def test_pauses_and_resumes_of_a_visitor_are_bounded(stage: Stage, libwebrtc: Engine) -> None:
    watcher = await stage.watcher(libwebrtc, v1)
    for _ in range(40):
        watcher.say(m.ResumeTrack("main_video"))
        watcher.say(m.PauseTrack("main_video"))
    await watcher.until(lambda: watcher.refusals("RATE_LIMITED") >= 1)
    told = [each for each in watcher.heard if isinstance(each, m.Failure) and each.code == "RATE_LIMITED"]
    assert "pause_rate" in told[0].message
    await stage.owner_is_served(20)
