"""The official Python client 0.8.0, unmodified, through `livereactor serve`; its local mode knows one port only.

It speaks JSON over connections of its own, without trickled candidates; its commands have no replies. Where it lacks a
thing, the test shows what its user gets instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools.drivers import Client, ClientError, PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve

from .keeping import keeps_what_was_asked_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
PYTHON = REPOSITORY / ".venv-client-08/bin/python"


@pytest.fixture(scope="module")
def server(network: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    log_path = tmp_path_factory.mktemp("coordinator") / "log"
    with livereactor_serve([REPOSITORY / "examples/conformance.py"], log_path=log_path, environment=SMALL) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(network: bool) -> AsyncIterator[PythonClients]:
    async with PythonClients.started("tests.tools.python08_client", python=PYTHON) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(clients: PythonClients, server: Coordinator) -> AsyncIterator[Client]:
    client = await clients.new(server.url, api_key=server.key, clip_jwt=server.token())
    await client.connect()
    yield client
    await client.ask("drop")


async def test_it_connects_and_is_ready(viewer: Client) -> None:
    state = await viewer.state()
    assert state["statuses"] == ["connecting", "waiting", "ready"]
    assert state["errors"] == []
    assert {track["name"] for track in state["tracks"]} == {"main_video", "webcam"}


async def test_frames_come_readable_and_in_order(viewer: Client) -> None:
    frames = await viewer.frames(60, timeout=8.0)
    assert frames["count"] >= 60
    assert frames["decoded"] >= 0.98 * frames["count"]
    assert frames["backwards"] == 0
    assert frames["sizes"][-1] == [640, 360]


async def test_commands_are_answered_by_messages(viewer: Client) -> None:
    await viewer.command("set_prompt", prompt="rain")
    assert await viewer.messages("prompt_changed", 1) == [{"prompt": "rain"}]
    await viewer.command("echo", value={"deep": [1.5, None, "☂"]})
    assert (await viewer.messages("echo_reply", 1))[0]["value"] == {"deep": [1.5, None, "☂"]}


async def test_a_command_changes_the_picture(viewer: Client) -> None:
    await viewer.frames(1)
    assert None not in await viewer.ask("flash_times", trials=4, phases=[0.05, 0.09])


async def test_a_change_of_size_reaches_the_picture(viewer: Client) -> None:
    await viewer.frames(1)
    await viewer.command("set_size", width=416, height=240)
    frames = await viewer.frames(45)
    assert [416, 240] in frames["sizes"]
    assert frames["backwards"] == 0


async def test_a_burst_of_1000_commands_reaches_the_model_in_order(viewer: Client) -> None:
    await viewer.ask("burst", name="echo", datas=[{"value": n} for n in range(1000)])
    replies = await viewer.messages("echo_reply", 1000, timeout=60.0)
    assert [reply["value"] for reply in replies] == list(range(1000))


async def test_10000_messages_come_in_order(viewer: Client) -> None:
    await viewer.command("send_ticks", count=10_000)
    assert [tick["n"] for tick in await viewer.messages("tick", 10_000, timeout=60.0)] == list(range(10_000))


async def test_a_large_message_goes_both_ways(viewer: Client) -> None:
    await viewer.command("echo", value="x" * 60_000)
    (reply,) = await viewer.messages("echo_reply", 1, timeout=60.0)
    assert len(reply["value"]) == 60_000


async def test_a_camera_is_published_and_seen_back(viewer: Client) -> None:
    await viewer.ask("publish")
    await viewer.ask("start_camera")
    await viewer.command("set_source", source="webcam")
    await viewer.messages("source_changed", 1)
    await viewer.frames(20)  # the first may still be the pattern's
    frames = await viewer.frames(30)
    assert frames["decoded"] >= 25
    assert frames["from_client"] == frames["decoded"]
    assert frames["backwards"] == 0
    await viewer.command("webcam_stats")
    (stats,) = await viewer.messages("webcam_stats", 1)
    assert stats["last_counter"] > 2**31


async def test_a_second_publisher_is_refused_with_the_reason(
    clients: PythonClients, viewer: Client, server: Coordinator
) -> None:
    await viewer.ask("publish")
    second = await clients.new(server.url, api_key=server.key)
    await second.connect(session_id=(await viewer.state())["session"])
    await second.ask("publish")  # it raises nothing; its `error` event tells
    (error,) = await second.ask("wait_error")
    assert error["code"] == "TRACK_PUBLISH_FAILED"
    assert "published by another connection" in error["message"]
    await second.ask("drop")


async def test_a_paused_track_is_silent_until_resumed(viewer: Client) -> None:
    await viewer.frames(10)
    await viewer.ask("pause", track="main_video")
    await viewer.ask("frames_for", seconds=0.5)
    assert (await viewer.ask("frames_for", seconds=0.7))["count"] == 0
    await viewer.ask("resume", track="main_video")
    assert (await viewer.frames(10))["count"] >= 10


async def test_a_clip_and_the_recording_become_files_that_show_what_was_asked_for(
    viewer: Client, tmp_path: Path
) -> None:
    await keeps_what_was_asked_for(viewer, tmp_path)


async def test_a_clip_of_no_length_is_refused_without_a_request(viewer: Client) -> None:
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(ClientError) as refused:
            await viewer.ask("clip", seconds=seconds)
        assert "INVALID_DURATION" in str(refused.value.code)


async def test_bad_commands_are_dropped_and_the_session_lives_on(viewer: Client) -> None:
    await viewer.command("set_prompt", prompt="before")
    bad: list[tuple[str, dict[str, object]]] = [
        ("no_such_command", {}),
        ("set_prompt", {"prompt": 3}),
        ("set_size", {"width": 63, "height": 100}),
        ("fail", {"code": "busy", "message": "no"}),
        ("crash", {}),
    ]
    for command, data in bad:
        await viewer.command(command, **data)
    await viewer.command("get_state")
    assert (await viewer.messages("model_state", 1))[0]["prompt"] == "before"
    assert (await viewer.state())["errors"] == []
    assert (await viewer.frames(5))["count"] >= 5


async def test_the_next_session_sees_nothing_of_the_last(clients: PythonClients, server: Coordinator) -> None:
    first = await clients.new(server.url, api_key=server.key)
    await first.connect()
    await first.command("set_prompt", prompt="mine")
    await first.command("set_size", width=416, height=240)
    await first.frames(5)
    await first.ask("drop")
    second = await clients.new(server.url, api_key=server.key)
    await second.connect()
    await second.command("get_state")
    (state,) = await second.messages("model_state", 1)
    assert (state["prompt"], state["source"], state["pacing"]) == ("", "pattern", "realtime")
    assert (await second.frames(10))["sizes"] == [[640, 360]]
    await second.ask("drop")


async def test_it_comes_back_on_a_new_connection_to_the_same_session(viewer: Client) -> None:
    await viewer.command("set_prompt", prompt="kept")
    await viewer.messages("prompt_changed", 1)
    before = (await viewer.state())["session"]
    assert (await viewer.ask("reconnect"))["session"] == before
    assert await viewer.ask("wait_status", status="ready")
    await viewer.command("get_state")
    assert (await viewer.messages("model_state", 1))[0]["prompt"] == "kept"
    assert (await viewer.frames(10))["count"] >= 10


async def test_a_second_one_joins_by_id_and_leaves_it_running(
    clients: PythonClients, viewer: Client, server: Coordinator
) -> None:
    session = (await viewer.state())["session"]
    second = await clients.new(server.url, api_key=server.key)
    await second.connect(session_id=session)
    assert (await second.frames(10))["count"] >= 10
    await second.ask("drop")
    assert (await viewer.frames(10))["count"] >= 10


async def test_an_upload_reaches_the_model(viewer: Client) -> None:
    await viewer.ask("upload", ref="a", size=100_000, name="a.png", mime_type="image/png")
    await viewer.ask("command", name="set_image", data={}, ref="a")
    (received,) = await viewer.messages("image_received", 1)
    assert received["size"] == 100_000


async def test_a_wrong_key_is_said_before_any_session_is_made(clients: PythonClients, server: Coordinator) -> None:
    client = await clients.new(server.url, api_key="rk_wrong")
    with pytest.raises(ClientError, match="401"):
        await client.connect()
    await client.ask("drop")
