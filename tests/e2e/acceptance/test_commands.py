"""Commands and messages, as a runtime shows them to the official Python client."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest

from tests.tools.drivers import Client, ClientError
from tests.tools.fixtures import Start
from tests.tools.processes import Program
from tests.tools.trying import in_one_of_three

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODELS = "tests/e2e/acceptance/models"


async def refused(client: Client, command: str, /, **data: Any) -> tuple[ClientError, float]:
    """The refusal and the milliseconds it took."""
    started = time.perf_counter()
    with pytest.raises(ClientError) as caught:
        await client.command(command, **data)
    return caught.value, (time.perf_counter() - started) * 1e3


@in_one_of_three
async def test_a_value_out_of_range_is_refused_by_field_value_and_bound_within_50_ms(viewer: Client) -> None:
    times: list[float] = []
    for _ in range(9):
        error, took = await refused(viewer, "set_size", width=9, height=100)
        assert error.code == "invalid_command"
        for part in ("width", "9", "64"):
            assert part in error.message
        times.append(took)
    assert statistics.median(times) <= 50.0
    assert (await viewer.frames(3))["sizes"] == [[640, 360]]


async def test_an_authors_refusal_reaches_the_caller(viewer: Client) -> None:
    error, _ = await refused(viewer, "fail", code="busy", message="the pond is full")
    assert error.code == "busy"
    assert "the pond is full" in error.message


async def test_a_bug_is_internal_error_to_the_caller_and_one_traceback_in_the_log(
    viewer: Client, server: Program
) -> None:
    before = server.log().count("conformance-secret")
    error, _ = await refused(viewer, "crash")
    assert error.code == "internal_error"
    assert "conformance-secret" not in str(error.fields)
    assert "KeyError" not in str(error.fields)
    await viewer.command("echo", value=1)
    after = server.log()
    assert after.count("KeyError: 'conformance-secret'") == 1
    assert after.count("conformance-secret") - before >= 1


async def test_a_thousand_commands_each_reach_the_model_once(viewer: Client) -> None:
    # In order they are shown by the JavaScript client, which sends them in order (tests/e2e/official).
    answers = await viewer.ask("burst", name="echo", datas=[{"value": n} for n in range(1000)])
    assert [answer["data"]["value"] for answer in answers] == list(range(1000))


async def test_a_reply_goes_to_the_asker_alone(join: Any) -> None:
    first = await join()
    second = await join(session_id=(await first.state())["session"])
    await first.command("set_prompt", prompt="only mine")
    await first.command("send_ticks", count=1)  # what both get, after it
    await second.messages("tick", 1)
    assert await second.messages("prompt_changed", 0, timeout=0.0) == []
    assert await first.messages("prompt_changed", 1) == [{"prompt": "only mine"}]


async def test_a_broadcast_comes_to_everybody_once_and_in_order(join: Any) -> None:
    first = await join(watch=None)
    session = (await first.state())["session"]
    clients = [first, await join(session_id=session, watch=None), await join(session_id=session, watch=None)]
    await clients[1].command("send_ticks", count=500)
    await clients[1].command("send_ticks", count=1)
    for client in clients:
        ticks = [tick["n"] for tick in await client.messages("tick", 501)]
        assert ticks == [*range(500), 0]


async def test_a_command_waits_for_the_step_and_runs_before_the_next(join: Any, start: Start) -> None:
    slow = start(f"{MODELS}/slow_step.py")
    client = await join(at=slow)
    await client.frames(2)
    ran: list[float] = []
    for _ in range(3):
        reply = (await client.command("look"))["data"]
        ran.append(reply["handler_at"])
        ended = max(end for _, end in reply["steps"])
        assert reply["handler_at"] >= ended
        # Only the steps of the last seconds are kept; none of them may have been running then.
        assert all(not began < reply["handler_at"] < end for began, end in reply["steps"])
    later = (await client.command("look"))["data"]["steps"]
    assert all(not began < at < end for began, end in later for at in ran)


async def test_an_unknown_command_is_refused_with_the_nearest_name(viewer: Client) -> None:
    error, _ = await refused(viewer, "set_promt", prompt="x")
    assert error.code == "invalid_command"
    assert "set_prompt" in error.message


async def test_state_uploads_and_inputs_end_with_the_session(join: Any) -> None:
    first = await join()
    await first.command("set_prompt", prompt="private")
    upload = await first.ask("upload", ref="mine", size=10, name="a.png", mime_type="image/png")
    await first.ask("publish")
    await first.ask("start_camera")
    await first.command("set_source", source="webcam")
    await first.frames(3)
    await first.disconnect()
    second = await join()
    assert (await second.command("get_state"))["data"]["prompt"] == ""
    assert (await second.command("webcam_stats"))["data"]["frames"] == 0
    await second.ask("know_ref", ref="stolen", upload_id=upload["upload_id"])
    with pytest.raises(ClientError) as caught:
        await second.ask("command", name="set_image", ref="stolen")
    assert caught.value.code == "unresolved_upload"
