"""Servers that do several things wrong at once, drawn by chance: a connect succeeds or says why, and leaves nothing."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from livereactor.client.errors import ReactorError
from livereactor.protocol.messages import WireFormat
from tests.e2e.client.scripting import met
from tests.tools.script import Fault, Step, says

SERVERS: tuple[dict[str, Any], ...] = (
    {},
    {"wire": WireFormat.V0},
    {"flat": True, "wire": WireFormat.V0},
    {"style": "local"},
    {"style": "local", "answer_once": True},
    {"style": "local", "wire": WireFormat.V0, "flat": True},
)
STEPS: tuple[Step, ...] = ("S1", "S2", "L1", "L2", "W1", "W2", "W3", "W4", "W5", "F3", "F4", "F5")
STATUSES = (200, 201, 202, 204, 301, 304, 400, 401, 403, 404, 405, 409, 410, 429, 500, 503)
BODIES: tuple[Any, ...] = (
    b"",
    b"{}",
    b"[1]",
    b"nope",
    {"session_id": 3},
    {"sdp_answer": "v=0"},
    {"connection_id": "x"},
)
LIMIT = 1.0  # seconds for the whole connect


def fault(chance: random.Random) -> Fault:
    times, skip = chance.choice((None, 1, 2)), chance.choice((0, 0, 1))
    match chance.randrange(4):
        case 0:
            return Fault(hangs=True, times=times, skip=skip)
        case 1:
            return Fault(delay=chance.uniform(0.0, 0.4), times=times, skip=skip)
        case 2:
            return says(chance.choice(BODIES), chance.choice((200, 201, 202)))
        case _:
            return Fault(chance.choice(STATUSES), chance.choice(BODIES), times=times, skip=skip)


@pytest.mark.parametrize("seed", range(60))
async def test_whatever_goes_wrong_a_connect_is_bounded_and_leaves_nothing(seed: int) -> None:
    chance = random.Random(seed)
    faults = {step: fault(chance) for step in chance.sample(STEPS, chance.randint(1, 4))}
    script = {**chance.choice(SERVERS), "doomed": chance.choice((0, 0, 1)), "pending": chance.choice((0, 1))}
    async with met(faults=faults, **script) as them:
        started = time.monotonic()
        (outcome,) = await asyncio.gather(them.reactor.connect(timeout=LIMIT), return_exceptions=True)
        if outcome is None:
            assert them.reactor.status == "ready"
            assert them.noted.of("error") == []
            await them.reactor.send_command("echo", {"value": seed})
            await them.reactor.disconnect()
        else:
            assert isinstance(outcome, ReactorError)
            assert them.reactor.status == "disconnected"
            assert them.noted.of("error") == [outcome]
            assert them.reactor.session_id is None
        assert time.monotonic() - started <= LIMIT + 2.0
        assert them.server.open_sessions == []
        if them.noted.statuses:
            assert them.noted.statuses[0] == "connecting"
            assert them.noted.statuses[-1] == "disconnected"
    names = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not [name for name in names if "livereactor" in name or "link" in name], names
