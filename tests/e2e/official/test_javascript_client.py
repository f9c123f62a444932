"""The official JavaScript client 2.9.0, unmodified, in Chromium, against `livereactor run` and `livereactor serve`.

It speaks the JSON wire over one flat connection: commands have no replies, there is no pause and no second viewer.
Where it lacks a thing, the test shows what its user gets instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.tools.browser import BrowserClient, BrowserClients
from tests.tools.fixtures import credentials
from tests.tools.processes import Program
from tests.tools.serving import Coordinator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(network: bool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserClients]:
    async with BrowserClients.started(tmp_path_factory.mktemp("page")) as clients:
        yield clients


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(page: BrowserClients, server: Program) -> AsyncIterator[BrowserClient]:
    """A connected official JavaScript client in a fresh session."""
    client = await page.new(server.url, **credentials(server, jwt=True))
    await client.connect()
    yield client
    await client.ask("drop")


async def test_it_connects_and_is_ready(viewer: BrowserClient) -> None:
    state = await viewer.state()
    assert state["statuses"] == ["connecting", "waiting", "ready"]
    assert state["errors"] == []
    assert {(track["name"], track["kind"], track["direction"]) for track in state["tracks"]} == {
        ("main_video", "video", "recvonly"),
        ("webcam", "video", "sendonly"),
    }


async def test_frames_come_without_being_asked_for(viewer: BrowserClient) -> None:
    frames = await viewer.frames(90, timeout=8.0)
    assert frames["count"] >= 90
    assert frames["decoded"] >= 0.98 * frames["count"]
    assert frames["backwards"] == 0
    assert frames["sizes"][-1] == (640, 360)


async def test_commands_are_answered_by_messages(viewer: BrowserClient) -> None:
    value = {"text": "ünïcode ☂", "list": [1.5, None, True, {"deep": []}]}
    assert (await viewer.command("echo", value=value))["data"]["value"] == value
    assert await viewer.command("set_prompt", prompt="rain") == {"type": "prompt_changed", "data": {"prompt": "rain"}}
    assert (await viewer.command("set_pacing", pacing="backpressure"))["data"] == {"pacing": "backpressure"}
    state = (await viewer.command("get_state"))["data"]
    assert (state["prompt"], state["pacing"]) == ("rain", "backpressure")
    assert state["emitted"] > 0


async def test_a_command_has_no_reply_of_its_own(viewer: BrowserClient) -> None:
    await viewer.ask("send", name="set_prompt", data={"prompt": "a"})
    assert await viewer.messages("prompt_changed", 1) == [{"prompt": "a"}]


async def test_a_command_changes_the_picture(viewer: BrowserClient) -> None:
    await viewer.frames(1)
    assert None not in await viewer.ask("flash_times", trials=4, phases=[0.05, 0.09])


async def test_a_change_of_size_reaches_the_picture(viewer: BrowserClient) -> None:
    await viewer.frames(1)
    await viewer.command("set_size", width=416, height=240)
    frames = await viewer.frames(45)
    assert (416, 240) in frames["sizes"]
    assert frames["backwards"] == 0


async def test_a_burst_of_1000_commands_reaches_the_model_in_order(viewer: BrowserClient) -> None:
    await viewer.ask("send_many", name="echo", datas=[{"value": n} for n in range(1000)])
    replies = await viewer.messages("echo_reply", 1000)
    assert [reply["value"] for reply in replies] == list(range(1000))


async def test_10000_messages_come_in_order(viewer: BrowserClient) -> None:
    await viewer.send("send_ticks", count=10_000)
    assert [tick["n"] for tick in await viewer.messages("tick", 10_000, timeout=30.0)] == list(range(10_000))


@pytest.mark.parametrize("size", [120_000, 262_000])
async def test_a_large_message_goes_both_ways(viewer: BrowserClient, size: int) -> None:
    await viewer.ask("send_bytes", name="echo", size=size)
    (reply,) = await viewer.messages("echo_reply", 1)
    assert len(reply["value"]) == size


async def test_a_message_over_the_limit_is_dropped_by_this_client_with_a_warning(
    page: BrowserClients, viewer: BrowserClient
) -> None:
    page.warnings.clear()
    await viewer.ask("send_bytes", name="echo", size=300 * 1024)
    assert (await viewer.command("echo", value=1))["data"]["value"] == 1
    assert any("Failed to send message" in warning for warning in page.warnings)


async def test_an_upload_reaches_the_model(viewer: BrowserClient) -> None:
    size = 300_000
    await viewer.ask("upload", ref="photo", size=size, name="photo.png", mime_type="image/png")
    await viewer.ask("send", name="set_image", ref="photo")
    (received,) = await viewer.messages("image_received", 1)
    content = (np.arange(size) % 251).astype(np.uint8).tobytes()
    assert received == {
        "filename": "photo.png",
        "mime_type": "image/png",
        "size": size,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


async def test_a_camera_is_published_and_seen_back(viewer: BrowserClient) -> None:
    await viewer.ask("start_camera")
    await viewer.command("set_source", source="webcam")
    await viewer.frames(20)  # the first may still be the pattern's
    frames = await viewer.frames(30)
    assert frames["decoded"] >= 25
    assert frames["from_client"] == frames["decoded"]
    assert frames["backwards"] == 0
    stats = (await viewer.command("webcam_stats"))["data"]
    assert stats["frames"] >= 40
    assert stats["last_counter"] > 2**31


async def test_a_reconnect_keeps_session_and_state(viewer: BrowserClient) -> None:
    await viewer.frames(5)
    await viewer.command("set_prompt", prompt="kept")
    session = (await viewer.state())["session"]
    assert (await viewer.ask("reconnect"))["session"] == session
    assert (await viewer.frames(10))["count"] >= 10
    assert (await viewer.command("get_state"))["data"]["prompt"] == "kept"


async def test_statistics_are_there(viewer: BrowserClient) -> None:
    stats = await viewer.ask("stats")
    assert stats["framesPerSecond"] > 20
    assert stats["connectionTimings"]["totalMs"] > 0
    assert stats["packetLossRatio"] == 0


async def test_bad_commands_are_dropped_and_the_session_lives_on(viewer: BrowserClient) -> None:
    await viewer.command("set_prompt", prompt="before")
    bad: list[tuple[str, dict[str, Any]]] = [
        ("no_such_command", {}),
        ("set_prompt", {}),
        ("set_prompt", {"prompt": 3}),
        ("set_prompt", {"prompt": "x", "more": 1}),
        ("set_size", {"width": 63, "height": 100}),
        ("set_size", {"width": "100", "height": 100}),
        ("send_ticks", {"count": 10_001}),
        ("fail", {"code": "busy", "message": "no"}),
        ("crash", {}),
    ]
    for command, data in bad:
        await viewer.send(command, **data)
    state = (await viewer.command("get_state"))["data"]
    assert state["prompt"] == "before"
    after = await viewer.state()
    assert after["errors"] == []
    assert after["runtime_messages"] == []
    assert (await viewer.frames(5))["count"] >= 5


async def test_pause_resume_and_adopting_do_not_exist_in_this_client(viewer: BrowserClient) -> None:
    for method in ("pauseTrack", "resumeTrack", "requestClip", "requestSchema"):
        assert await viewer.ask("has", method=method) is False


async def test_a_second_page_gets_the_same_session_and_takes_it_over(
    page: BrowserClients, viewer: BrowserClient, server: Program
) -> None:
    if isinstance(server, Coordinator):
        pytest.skip("local mode only: a coordinator gives each client a session of its own")
    await viewer.frames(5)
    await viewer.command("set_prompt", prompt="shared")
    second = await page.new(server.url, **credentials(server, jwt=True))
    await second.connect()
    try:
        assert (await second.state())["session"] == (await viewer.state())["session"]
        assert (await second.frames(10))["count"] >= 10
        assert (await second.command("get_state"))["data"]["prompt"] == "shared"
    finally:
        await second.ask("drop")


async def test_the_next_session_sees_nothing_of_the_last(page: BrowserClients, server: Program) -> None:
    first = await page.new(server.url, **credentials(server, jwt=True))
    await first.connect()
    await first.command("set_prompt", prompt="mine")
    await first.command("set_size", width=416, height=240)
    await first.command("flash", color="ff0000")
    await first.frames(5)
    await first.disconnect()
    second = await page.new(server.url, **credentials(server, jwt=True))
    await second.connect()
    try:
        state = (await second.command("get_state"))["data"]
        assert (state["prompt"], state["source"], state["pacing"]) == ("", "pattern", "realtime")
        assert (await second.frames(10))["sizes"] == [(640, 360)]
    finally:
        await second.ask("drop")
