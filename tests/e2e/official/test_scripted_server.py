"""The stand-in of the protocol (`tests/tools/scripted_server`) is one: official clients take it for a server."""

from __future__ import annotations

from typing import Any

import pytest

from livereactor.protocol import messages as m
from livereactor.protocol.messages import WireFormat
from tests.tools.drivers import ClientError, PythonClients
from tests.tools.processes import REPOSITORY
from tests.tools.script import refuses
from tests.tools.scripted_server import ScriptedServer, scripted

OLDER = REPOSITORY / ".venv-client-08/bin/python"


async def steered(server: ScriptedServer, clients: PythonClients, **options: Any) -> None:
    client = await clients.new(server.url, **options)
    await client.connect()
    assert (await client.frames(5))["count"] >= 5
    await client.ask("drop")
    assert server.open_sessions == []


async def test_python_1_13_is_served_by_a_coordinator_and_hears_answers() -> None:
    async with scripted() as server, PythonClients.started() as clients:
        client = await clients.new(server.url, api_key="rk_1")
        await client.connect()
        assert (await client.command("echo", value=3))["data"] == {"value": 3}
        assert await client.command("anything") is None
        with pytest.raises(ClientError) as caught:
            await client.command("refuse")
        assert caught.value.code == "busy"
        assert (await client.frames(5))["count"] >= 5
        await client.ask("drop")
        assert server.steps()[:4] == ["T", "S1", "S2", "W1"]
        assert server.steps()[-1] == "S5"
        assert server.peer.garbled == []
        assert [message.name for message in server.peer.of(m.ResumeTrack)] == ["main_video"]


async def test_python_1_13_is_served_by_a_runtime_that_hands_answers_out_once() -> None:
    async with scripted(style="local", answer_once=True) as server, PythonClients.started() as clients:
        await steered(server, clients)
        assert server.steps()[0] == "L1"


async def test_python_0_8_is_served_in_json() -> None:
    if not OLDER.exists():
        pytest.skip("scripts/setup.sh test installs it")
    started = PythonClients.started("tests.tools.python08_client", python=OLDER)
    async with scripted(wire=WireFormat.V0) as server, started as clients:
        await steered(server, clients, api_key="rk_1")
        assert server.peer.format is WireFormat.V0


async def test_a_fault_is_what_the_client_meets() -> None:
    async with scripted(faults={"W2": refuses(503)}) as server, PythonClients.started() as clients:
        client = await clients.new(server.url, api_key="rk_1")
        with pytest.raises(ClientError) as caught:
            await client.connect()
        assert (caught.value.code, caught.value.fields["status"]) == ("SERVER_ERROR", 503)
        await client.ask("drop")
