"""Our client is served by the official runtimes: 3.10 (binary, connections of its own), 2.10 (JSON, the flat routes).

They live in environments of their own (`bench/official/setup.sh 3`, which `scripts/setup.sh test` runs, and `2`), with
the same model as ours.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from livereactor import Reactor
from livereactor.client.errors import CommandRejected, UnresolvedUploadError
from livereactor.client.types import FileRef
from livereactor.probes.watching import Barcode, draw_barcode, read_barcode
from tests.e2e.client.noting import Noted
from tests.tools.fixtures import SMALL
from tests.tools.official import VERSIONS, official_run, python_of
from tests.tools.processes import Program

pytestmark = pytest.mark.asyncio(loop_scope="module")
TIMEOUT = 15.0


@pytest.fixture(scope="module", params=list(VERSIONS), ids=list(VERSIONS.values()))
def version(request: pytest.FixtureRequest) -> int:
    if not python_of(request.param).exists():
        pytest.skip(f"bench/official/setup.sh {request.param} installs it")
    return request.param


@pytest.fixture(scope="module")
def runtime(version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with official_run(version, log_path=tmp_path_factory.mktemp("official") / "log", environment=SMALL) as program:
        yield program


@pytest_asyncio.fixture(loop_scope="module")
async def reactor(runtime: Program, version: int) -> AsyncIterator[Reactor]:
    if version == 3:  # it refuses a session while the last one is closing
        runtime.wait_until(lambda: runtime.get("/health")[1]["state"] == "available", timeout=20.0)
    client = Reactor("conformance", local=runtime.url)
    await client.connect(timeout=TIMEOUT)
    yield client
    await client.disconnect()
    client.close()


async def answered(reactor: Reactor, wanted: str, command: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the model says to a command: its reply, or, where there are none, the next message of that type."""
    noted = Noted(reactor, "message")
    reply = await reactor.send_command(command, data)
    if reply is None:
        await noted.until(lambda: wanted in [message["type"] for message in noted.of("message")])
        reply = next(message for message in noted.of("message") if message["type"] == wanted)
    assert reply["type"] == wanted
    return reply["data"]


async def test_it_connects_shows_frames_in_order_and_ends_its_session(
    reactor: Reactor, runtime: Program, version: int
) -> None:
    assert reactor.status == "ready"
    declared = {track.name: track.direction for track in reactor.tracks}
    assert declared == {"main_video": "recvonly", "webcam": "sendonly"}
    counters: list[int] = []
    async with asyncio.timeout(TIMEOUT):
        async for frame in reactor.track("main_video").frames():
            code = read_barcode(frame)
            if code is not None:
                counters.append(code.counter)
            if len(counters) == 30:
                break
    assert counters == sorted(set(counters))
    await reactor.disconnect()
    idle = "available" if version == 3 else "READY"
    runtime.wait_until(lambda: runtime.get("/health")[1]["state"] == idle, timeout=10.0)


async def test_commands_reach_the_model_and_its_messages_come_back(reactor: Reactor) -> None:
    assert (await answered(reactor, "echo_reply", "echo", {"value": 1.5}))["value"] == 1.5
    assert await answered(reactor, "prompt_changed", "set_prompt", {"prompt": "ünïcode ☂"}) == {"prompt": "ünïcode ☂"}
    state = await answered(reactor, "model_state", "get_state")
    assert state["prompt"] == "ünïcode ☂"


async def test_a_refused_command_is_refused_by_its_code(reactor: Reactor, version: int) -> None:
    if version == 2:
        pytest.skip("2.10 answers no command")
    for command, data in (("no_such", {}), ("set_prompt", {"prompt": 3}), ("set_size", {"width": 1, "height": 100})):
        with pytest.raises(CommandRejected) as caught:
            await reactor.send_command(command, data)
        assert caught.value.code == "invalid_command"
    with pytest.raises(CommandRejected) as refused:
        await reactor.send_command("fail", {"code": "busy", "message": "later"})
    assert (refused.value.code, refused.value.message) == ("busy", "later")


async def test_an_output_pauses_and_resumes(reactor: Reactor) -> None:
    track = reactor.track("main_video")
    assert await track.read(timeout=5.0) is not None
    await track.pause()
    await asyncio.sleep(0.5)  # what is under way
    before = track.stats.received
    await asyncio.sleep(0.5)
    assert track.stats.received == before
    await track.resume()
    assert await track.read(timeout=5.0) is not None


async def test_a_published_camera_reaches_the_model_and_comes_back(reactor: Reactor) -> None:
    camera = await reactor.publish_track("webcam")
    await answered(reactor, "source_changed", "set_source", {"source": "webcam"})
    seen = asyncio.Event()

    def look(frame: np.ndarray) -> None:
        code = read_barcode(frame)
        if code is not None and code.client:
            loop.call_soon_threadsafe(seen.set)

    loop = asyncio.get_running_loop()
    reactor.track("main_video").on_frame(look)
    async with asyncio.timeout(TIMEOUT):
        number = 0
        while not seen.is_set():
            number += 1
            pixels = np.full((360, 640, 3), 90, np.uint8)
            draw_barcode(pixels, Barcode(counter=number, clock_us=0, client=True))
            camera.push_frame(pixels)
            await asyncio.sleep(1 / 30)
    await reactor.unpublish_track("webcam")
    assert not camera.published


async def test_an_upload_reaches_the_model(reactor: Reactor, version: int) -> None:
    data = bytes(range(256)) * 1000
    ref = await reactor.upload_file(data, name="photo.png")
    told = await answered(reactor, "image_received", "set_image", {"image": ref})
    assert (told["filename"], told["mime_type"]) == ("photo.png", "image/png")
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    if version == 3:
        with pytest.raises(UnresolvedUploadError):
            await reactor.send_command("set_image", {"image": FileRef("0" * 32, "no.png", "image/png", 10)}, timeout=30)


async def test_a_reconnect_keeps_the_session(reactor: Reactor, version: int) -> None:
    session = reactor.session_id
    await answered(reactor, "prompt_changed", "set_prompt", {"prompt": "kept"})
    await reactor.disconnect(recoverable=True)
    await reactor.reconnect()
    assert reactor.session_id == session
    assert await reactor.track("main_video").read(timeout=5.0) is not None
    if version == 3:  # 2.10's model starts afresh with each connection
        assert (await answered(reactor, "model_state", "get_state"))["prompt"] == "kept"


async def test_a_second_client_joins_the_running_session_and_leaves_it_alone(
    reactor: Reactor, runtime: Program, version: int
) -> None:
    if version == 2:
        pytest.skip("2.10 hands its one connection over")
    second = Reactor("conformance", local=runtime.url)
    await second.connect(timeout=TIMEOUT)
    assert second.session_id == reactor.session_id
    assert await second.track("main_video").read(timeout=5.0) is not None
    await second.disconnect()
    second.close()
    assert (await answered(reactor, "echo_reply", "echo", {"value": 2}))["value"] == 2


async def test_the_schema_lists_the_commands(reactor: Reactor) -> None:
    schema = await reactor.request_schema()
    commands = {path.removeprefix("/events/") for path in schema["paths"]}
    assert commands >= {"echo", "set_prompt", "set_source", "flash", "set_image"}


async def test_a_clip_is_made_and_downloaded(reactor: Reactor, version: int, tmp_path: Any) -> None:
    if version == 2:
        pytest.skip("as 3.10, with its encoder in another process: nothing of ours differs")
    async with asyncio.timeout(TIMEOUT):
        async for _ in reactor.track("main_video").frames():
            if reactor.track("main_video").stats.received >= 60:
                break
    clip = await reactor.request_clip(2.0)
    assert clip.kind == "snap"
    assert 0.5 <= clip.duration <= 3.0
    path = await reactor.download_clip(clip, tmp_path / "clip.mp4", ready_timeout=20.0)
    assert path is not None
