"""Commands and messages, seen by our client."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from livereactor.client.errors import CommandRejected, NotReadyError
from tests.e2e.acceptance.test_commands import (
    refused,
    test_a_broadcast_comes_to_everybody_once_and_in_order,
    test_a_command_waits_for_the_step_and_runs_before_the_next,
    test_a_reply_goes_to_the_asker_alone,
    test_a_thousand_commands_each_reach_the_model_once,
    test_a_value_out_of_range_is_refused_by_field_value_and_bound_within_50_ms,
    test_an_authors_refusal_reaches_the_caller,
    test_an_unknown_command_is_refused_with_the_nearest_name,
    test_state_uploads_and_inputs_end_with_the_session,
)
from tests.e2e.client.conftest import CONFORMANCE, SLOW_STEP, VISITS, Make
from tests.e2e.client.noting import Noted
from tests.tools.drivers import Client, ClientError
from tests.tools.fixtures import Start
from tests.tools.processes import Program
from tests.tools.serving import Coordinator
from tests.tools.trying import in_one_of_three

__all__ = [
    "test_a_broadcast_comes_to_everybody_once_and_in_order",
    "test_a_command_waits_for_the_step_and_runs_before_the_next",
    "test_a_reply_goes_to_the_asker_alone",
    "test_a_thousand_commands_each_reach_the_model_once",
    "test_a_value_out_of_range_is_refused_by_field_value_and_bound_within_50_ms",
    "test_an_authors_refusal_reaches_the_caller",
    "test_an_unknown_command_is_refused_with_the_nearest_name",
    "test_state_uploads_and_inputs_end_with_the_session",
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def targets() -> tuple[str, ...]:
    """What is needed here."""
    return CONFORMANCE, SLOW_STEP, VISITS


@in_one_of_three
async def test_the_handler_of_a_refused_command_does_not_run(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    await reactor.send_command("set_prompt", {"prompt": "before"})
    times: list[float] = []
    for _ in range(9):
        started = time.perf_counter()
        with pytest.raises(CommandRejected) as caught:
            await reactor.send_command("set_prompt", {"prompt": "after", "more": 1})
        times.append((time.perf_counter() - started) * 1e3)
        assert (caught.value.code, caught.value.recoverable) == ("invalid_command", False)
        assert "more" in caught.value.message
    assert statistics.median(times) <= 50.0
    reply = await reactor.send_command("get_state")
    assert reply is not None
    assert reply["data"]["prompt"] == "before"
    assert reactor.status == "ready"


async def test_a_bug_is_internal_error_to_the_caller_and_tells_nothing(viewer: Client, server: Program) -> None:
    error, _ = await refused(viewer, "crash")
    assert error.code == "internal_error"
    for secret in ("conformance-secret", "KeyError"):
        assert secret not in str(error.fields)
    assert (await viewer.command("echo", value=1))["data"]["value"] == 1
    if not isinstance(server, Coordinator):  # a worker's log is a file of its own
        assert server.log().count("KeyError: 'conformance-secret'") == 1


async def test_while_waiting_a_command_is_refused_and_nothing_is_queued(make: Make, server: Program) -> None:
    if not isinstance(server, Coordinator):
        pytest.skip("a runtime of its own has no queue; tests/e2e/client/test_scripted_sessions.py shows it")
    first = make(server)
    await first.connect()
    second = make(server)
    noted = Noted(second, "status_changed", "error")
    connecting = asyncio.ensure_future(second.connect())
    await noted.status("waiting")
    with pytest.raises(NotReadyError) as caught:
        await second.send_command("set_prompt", {"prompt": "queued"})
    assert (caught.value.code, caught.value.component) == ("NOT_READY", "client")
    assert "set_prompt" in caught.value.message
    assert second.last_error is caught.value
    assert noted.of("error") == [caught.value]
    await first.disconnect()
    await connecting
    reply = await second.send_command("get_state")
    assert reply is not None
    assert reply["data"]["prompt"] == ""


async def test_a_thousand_commands_reach_the_model_in_order(make: Make, start: Start) -> None:
    reactor = make(start(VISITS))
    await reactor.connect()
    answers = await asyncio.gather(*(reactor.send_command("note", {"number": n}) for n in range(1000)))
    assert answers == [None] * 1000
    reply = await reactor.send_command("seen")
    assert reply is not None
    assert reply["data"]["notes"] == list(range(1000))


async def test_commands_that_nobody_waits_for_keep_their_order(make: Make, start: Start) -> None:
    reactor = make(start(VISITS))
    await reactor.connect()
    for number in range(200):
        assert await reactor.send_command("note", {"number": number}, wait=False) is None
    reply = await reactor.send_command("seen")
    assert reply is not None
    assert reply["data"]["notes"] == list(range(200))


async def test_arguments_that_are_none_raise_at_the_call(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    wrong: list[tuple[Any, type[Exception]]] = [
        ([1, 2], TypeError),
        ("text", TypeError),
        ({"value": float("nan")}, ValueError),
        ({"value": float("inf")}, ValueError),
        ({"value": object()}, TypeError),
    ]
    for data, error in wrong:
        with pytest.raises(error):
            await reactor.send_command("echo", data)
    assert reactor.status == "ready"


async def test_values_go_to_the_model_and_back_unchanged(join: Callable[..., Any]) -> None:
    client = await join()
    value = {"text": "ünïcode ☂", "list": [1.5, None, True, {"deep": []}], "whole": 3}
    assert (await client.command("echo", value=value))["data"]["value"] == value
    with pytest.raises(ClientError) as caught:
        await client.command("set_prompt", prompt=None)
    assert caught.value.code == "invalid_command"
    assert "prompt" in caught.value.message


async def test_commands_that_are_awaited_meet_no_bound(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()

    async def ask(number: int) -> Any:
        reply: Any = await reactor.send_command("echo", {"value": number})
        return reply["data"]["value"]

    # More than an owner may send at once, and faster than `message_rate`: what has been answered does not count.
    for start in range(0, 6000, 100):
        numbers = list(range(start, start + 100))
        assert await asyncio.gather(*map(ask, numbers)) == numbers
