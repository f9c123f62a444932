"""The official Python client 1.13.0, unmodified, against `livereactor run` and `livereactor serve`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tools.drivers import Client, ClientError
from tests.tools.fixtures import Start, ours_only
from tests.tools.processes import Program

from .keeping import keeps_what_was_asked_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refusal(client: Client, command: str, /, **data: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await client.command(command, **data)
    return caught.value


async def test_it_connects_and_is_ready(viewer: Client) -> None:
    state = await viewer.state()
    assert state["statuses"] == ["connecting", "waiting", "ready"]
    assert state["errors"] == []
    assert {(track["name"], track["kind"], track["direction"]) for track in state["tracks"]} == {
        ("main_video", "video", "recvonly"),
        ("webcam", "video", "sendonly"),
    }


async def test_frames_come_readable_and_in_order(viewer: Client) -> None:
    frames = await viewer.frames(90, timeout=8.0)
    assert frames["count"] >= 90
    assert frames["decoded"] >= 0.98 * frames["count"]
    assert frames["backwards"] == 0
    assert frames["sizes"][-1] == [640, 360]
    assert frames["from_client"] == 0


async def test_every_command_is_answered_as_documented(viewer: Client) -> None:
    value = {"text": "ünïcode ☂", "list": [1.5, None, True, {"deep": []}]}
    echo = await viewer.command("echo", value=value)
    assert echo["type"] == "echo_reply"
    assert echo["data"]["value"] == value
    assert await viewer.command("set_prompt", prompt="rain") == {"type": "prompt_changed", "data": {"prompt": "rain"}}
    assert (await viewer.command("set_source", source="webcam"))["data"] == {"source": "webcam"}
    assert (await viewer.command("set_source", source="pattern"))["data"] == {"source": "pattern"}
    assert (await viewer.command("set_pacing", pacing="backpressure"))["data"] == {"pacing": "backpressure"}
    flashed = await viewer.command("flash", color="ff8800")
    assert flashed["type"] == "flashed"
    assert flashed["data"]["color"] == "ff8800"
    state = (await viewer.command("get_state"))["data"]
    assert state["prompt"] == "rain"
    assert state["pacing"] == "backpressure"
    assert state["emitted"] > 0
    assert await viewer.command("send_ticks", count=1) is None


async def test_a_command_changes_the_picture(viewer: Client) -> None:
    await viewer.frames(1)
    times = await viewer.ask("flash_times", trials=4, phases=[0.05, 0.09])
    assert None not in times


async def test_a_change_of_size_reaches_the_picture(viewer: Client) -> None:
    await viewer.frames(1)
    assert (await viewer.command("set_size", width=416, height=240))["data"] == {"width": 416, "height": 240}
    frames = await viewer.frames(45)
    assert [416, 240] in frames["sizes"]
    assert frames["backwards"] == 0
    assert frames["decoded"] >= frames["count"] - 3


async def test_a_burst_of_1000_commands_is_answered_one_by_one(viewer: Client) -> None:
    answers = await viewer.ask("burst", name="echo", datas=[{"value": n} for n in range(1000)])
    # This client hands concurrent sends to several threads, so it alone decides their order; the JavaScript client
    # keeps it, and its test shows that we do too.
    assert [answer["data"]["value"] for answer in answers] == list(range(1000))


async def test_commands_that_are_awaited_meet_no_bound(viewer: Client) -> None:
    # More than an owner may send at once, and faster than `message_rate`: what has been answered does not count.
    for start in range(0, 6000, 100):
        answers = await viewer.ask("burst", name="echo", datas=[{"value": n} for n in range(start, start + 100)])
        assert [answer["data"]["value"] for answer in answers] == list(range(start, start + 100))


async def test_10000_messages_come_in_order(viewer: Client) -> None:
    assert await viewer.command("send_ticks", count=10_000) is None
    ticks = await viewer.messages("tick", 10_000)
    assert [tick["n"] for tick in ticks] == list(range(10_000))


@pytest.mark.parametrize("size", [120_000, 262_000])
async def test_a_large_message_goes_both_ways(viewer: Client, size: int) -> None:
    assert (await viewer.ask("command_bytes", name="echo", size=size))["length"] == size
    assert (await viewer.command("echo", value=1))["data"]["value"] == 1


@pytest.mark.parametrize("size", [1_000_000, 67_200_000])
async def test_a_message_over_the_limit_is_refused_and_the_connection_lives_on(viewer: Client, size: int) -> None:
    with pytest.raises(ClientError) as caught:
        await viewer.ask("command_bytes", name="echo", size=size)
    assert caught.value.code == "MESSAGE_TOO_LARGE"
    assert (await viewer.command("echo", value=1))["data"]["value"] == 1


async def test_an_upload_reaches_the_model(viewer: Client) -> None:
    size = 300_000
    await viewer.ask("upload", ref="photo", size=size, name="photo.png", mime_type="image/png")
    reply = (await viewer.ask("command", name="set_image", ref="photo"))["reply"]
    content = (np.arange(size) % 251).astype(np.uint8).tobytes()
    assert reply["type"] == "image_received"
    assert reply["data"] == {
        "filename": "photo.png",
        "mime_type": "image/png",
        "size": size,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@ours_only  # the official runtime waits for the bytes until this client gives up
async def test_an_upload_that_does_not_exist_is_unresolved(viewer: Client) -> None:
    await viewer.ask("know_ref", ref="ghost")
    with pytest.raises(ClientError) as caught:
        await viewer.ask("command", name="set_image", ref="ghost")
    assert caught.value.code == "unresolved_upload"


async def test_a_camera_is_published_and_seen_back(viewer: Client) -> None:
    await viewer.ask("publish")
    await viewer.command("set_source", source="webcam")
    await viewer.ask("start_camera")
    await viewer.frames(20)  # the first may still be the pattern's
    frames = await viewer.frames(45)
    assert frames["from_client"] == frames["decoded"]
    assert frames["decoded"] >= 40
    assert frames["backwards"] == 0
    assert frames["sizes"] == [[640, 360]]
    stats = (await viewer.command("webcam_stats"))["data"]
    assert stats["frames"] >= 60
    assert stats["decoded"] >= 0.9 * stats["frames"]
    assert stats["last_counter"] > 2**31
    assert (stats["width"], stats["height"]) == (640, 360)


async def test_a_second_publisher_is_refused_until_the_first_leaves(join: Any) -> None:
    first = await join()
    second = await join(session_id=(await first.state())["session"])
    await first.ask("publish")
    with pytest.raises(ClientError) as caught:
        await second.ask("publish")
    assert caught.value.code == "publish_refused"
    await first.ask("unpublish")
    await second.ask("publish")


async def test_pushing_before_publishing_is_refused(viewer: Client) -> None:
    with pytest.raises(ClientError) as caught:
        await viewer.ask("push_unpublished")
    assert caught.value.code == "INVALID_STATE"


async def test_a_paused_track_is_silent_until_resumed(viewer: Client) -> None:
    await viewer.frames(10)
    await viewer.ask("pause", track="main_video")
    await viewer.ask("frames_for", seconds=0.3)
    assert (await viewer.ask("frames_for", seconds=0.7))["count"] == 0
    assert (await viewer.command("echo", value=1))["data"]["value"] == 1
    await viewer.ask("resume", track="main_video")
    frames = await viewer.frames(10, timeout=5.0)
    assert frames["count"] >= 10
    assert frames["backwards"] == 0


async def test_a_second_viewer_sees_the_same_and_leaves_without_harm(join: Any) -> None:
    first = await join()
    session = (await first.state())["session"]
    second = await join(session_id=session)
    assert (await second.state())["session"] == session
    assert (await second.frames(10))["decoded"] > 5
    await first.command("send_ticks", count=50)
    for client in (first, second):
        assert [tick["n"] for tick in await client.messages("tick", 50)] == list(range(50))
    await second.disconnect()
    assert (await first.frames(30))["count"] >= 30
    assert (await first.command("echo", value=2))["data"]["value"] == 2


async def test_a_reconnect_keeps_session_and_state(viewer: Client) -> None:
    await viewer.frames(5)
    await viewer.command("set_prompt", prompt="kept")
    session = (await viewer.state())["session"]
    assert await reconnected(viewer) == session
    assert (await viewer.frames(10))["count"] >= 10
    assert (await viewer.command("get_state"))["data"]["prompt"] == "kept"


async def reconnected(viewer: Client) -> str:
    """The session after `reconnect()`, which is asked again where the client took its old connection for the new.

    It closes the old one first, and on a busy machine (one of 30 there) hears that only while it waits for the new
    one: "peer connection state: Closed", which libwebrtc says of a connection that its own side closed, never its
    peer. As with any server, its application asks again.
    """
    try:
        return (await viewer.ask("reconnect"))["session"]
    except ClientError as error:
        if "peer connection state: Closed" not in error.message:
            raise
        return (await viewer.ask("reconnect"))["session"]


async def test_statistics_are_there(viewer: Client) -> None:
    await viewer.frames(30)
    await viewer.ask("stats")
    began = time.monotonic()
    came = (await viewer.frames(15))["count"]
    stats = await viewer.ask("stats")
    assert stats["incoming_bitrate_bps"] > 50_000
    # As many as really came: 30, or fewer on a machine that is busy.
    assert stats["frames_per_second"] == pytest.approx(came / (time.monotonic() - began), rel=0.5)
    assert stats["candidate_type"] == "host"
    assert stats["packets_lost"] == 0


async def test_the_schema_lists_every_command(viewer: Client) -> None:
    schema = await viewer.ask("schema")
    commands = {path.removeprefix("/events/") for path in schema["paths"]}
    assert commands >= {
        "echo", "set_prompt", "set_source", "set_pacing", "set_size", "flash", "set_image", "send_ticks", "fail",
        "crash", "webcam_stats", "get_state",
    }  # fmt: skip


@ours_only
async def test_keys_and_gamepad_in_the_schema_are_no_hindrance(join: Callable[..., Any], start: Start) -> None:
    viewer = await join(at=start("tests/e2e/page/models/walk.py"))
    jump = (await viewer.ask("schema"))["paths"]["/events/jump"]["post"]
    assert jump["x-livereactor-input"] == {"keys": ["space"], "gamepad": "a"}
    assert await viewer.command("set_forward", forward=1) is None


async def test_every_kind_of_bad_command_is_refused_and_changes_nothing(viewer: Client) -> None:
    await viewer.command("set_prompt", prompt="before")
    bad: list[tuple[str, dict[str, Any]]] = [
        ("no_such_command", {}),
        ("set_prompt", {}),
        ("set_prompt", {"prompt": 3}),
        ("set_prompt", {"prompt": "x", "more": 1}),
        ("set_source", {"source": "elsewhere"}),
        ("set_size", {"width": 63, "height": 100}),
        ("set_size", {"width": 100.5, "height": 100}),
        ("set_size", {"width": "100", "height": 100}),
        ("send_ticks", {"count": 10_001}),
        ("set_image", {"image": "not a file"}),
    ]
    for command, data in bad:
        assert (await refusal(viewer, command, **data)).code == "invalid_command", (command, data)
    state = (await viewer.command("get_state"))["data"]
    assert state["prompt"] == "before"
    assert (await viewer.frames(5))["count"] >= 5


async def test_an_authors_refusal_comes_unchanged_and_a_bug_without_its_text(viewer: Client) -> None:
    refused = await refusal(viewer, "fail", code="busy", message="come back later")
    assert refused.code == "busy"
    assert "come back later" in refused.message
    crashed = await refusal(viewer, "crash")
    assert crashed.code == "internal_error"
    assert "conformance-secret" not in crashed.message
    assert (await viewer.command("echo", value=1))["data"]["value"] == 1


@ours_only
async def test_a_clip_and_the_recording_become_files_that_show_what_was_asked_for(
    viewer: Client, tmp_path: Path
) -> None:
    await keeps_what_was_asked_for(viewer, tmp_path)


@ours_only
async def test_a_clip_of_no_length_is_refused_without_a_request(viewer: Client) -> None:
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(ClientError) as refused:
            await viewer.ask("clip", seconds=seconds)
        assert "BAD_REQUEST" in str(refused.value.code)


async def test_the_next_session_sees_nothing_of_the_last(join: Any) -> None:
    first = await join()
    await first.command("set_prompt", prompt="mine")
    await first.command("set_pacing", pacing="backpressure")
    await first.command("set_size", width=416, height=240)
    await first.command("flash", color="ff0000")
    await first.ask("upload", ref="mine", size=10, name="a.bin", mime_type="application/octet-stream")
    await first.ask("publish")
    await first.ask("start_camera")
    await first.command("set_source", source="webcam")
    await first.frames(5)
    await first.disconnect()
    second = await join()
    state = (await second.command("get_state"))["data"]
    assert (state["prompt"], state["source"], state["pacing"]) == ("", "pattern", "realtime")
    assert (await second.command("webcam_stats"))["data"] == {
        "frames": 0, "decoded": 0, "last_counter": -1, "width": 0, "height": 0,
    }  # fmt: skip
    frames = await second.frames(10)
    assert frames["sizes"] == [[640, 360]]
    assert frames["from_client"] == 0
    assert await second.ask("wait_color", color="ff0000", timeout=0.3) is None


async def test_twenty_sessions_one_after_another(join: Any, server: Program) -> None:
    for number in range(20):
        client = await join(watch=None)
        assert (await client.command("get_state"))["data"]["prompt"] == ""
        await client.command("set_prompt", prompt=str(number))
        await client.disconnect()
    status, _ = server.get("/health")
    assert status == 200


@pytest.fixture(scope="module")
def stepped_server(start: Start, server: Program) -> Program:
    """Ours steps with the same server; the official runtime needs a model without a loop of its own."""
    from tests.tools.fixtures import OFFICIAL_SERVER, SMALL

    return start("examples/conformance.py", environment=SMALL, stepped=True) if OFFICIAL_SERVER else server


async def test_a_stepped_session_makes_one_frame_a_request(join: Any, stepped_server: Program) -> None:
    client = await join(at=stepped_server, watch=None, generation="stepped")
    first = await client.ask(
        "step", state={"prompt": "stepped"}, commands=[{"command": "flash", "data": {"color": "00ff00"}}]
    )
    assert first["error"] is None
    assert first["step"] == 1
    (frame,) = first["tracks"]["main_video"]
    assert frame["shape"] == [360, 640, 3]
    second = await client.ask("step")
    assert second["step"] == 2
    assert second["tracks"]["main_video"][0]["counter"] == frame["counter"] + 1
    assert (await client.command("get_state"))["data"]["prompt"] == "stepped"


async def test_a_stepped_session_takes_frames_of_the_client(join: Any, stepped_server: Program) -> None:
    client = await join(at=stepped_server, watch=None, generation="stepped")
    await client.ask("publish")
    result = await client.ask("step", state={"source": "webcam"}, media_counters=[7, 8])
    (frame,) = result["tracks"]["main_video"]
    assert (frame["counter"], frame["client"]) == (8, True)
    assert (await client.command("webcam_stats"))["data"]["frames"] == 2


async def test_a_bad_step_is_refused_and_nothing_is_applied(join: Any, stepped_server: Program) -> None:
    client = await join(at=stepped_server, watch=None, generation="stepped")
    with pytest.raises(ClientError) as caught:
        await client.ask(
            "step", state={"prompt": "no"}, commands=[{"command": "set_size", "data": {"width": 1, "height": 1}}]
        )
    assert caught.value.code == "step_refused"
    assert (await client.command("get_state"))["data"]["prompt"] == ""
    with pytest.raises(ClientError) as failed:
        await client.ask("step", commands=[{"command": "fail", "data": {"code": "busy", "message": "no"}}])
    assert failed.value.code == "step_command_failed"
    assert failed.value.fields["command_code"] == "busy"
    assert (await client.ask("step"))["step"] == 1
