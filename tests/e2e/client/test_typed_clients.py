"""Typed clients that `livereactor codegen` writes of a served model, used against that server."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
import structlog

from livereactor.client.codegen import client_of
from livereactor.client.errors import CommandRejected, NotSupportedError
from livereactor.protocol import types as t
from livereactor.protocol.schema import CommandSchema, ModelSchema, TrackSchema
from tests.e2e.cli.command import ended
from tests.e2e.client.conftest import BOTH_DOORS
from tests.tools.processes import Program
from tests.tools.serving import Coordinator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def written(server: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client of the conformance model, written from what its server says."""
    file = tmp_path_factory.mktemp("client") / "conformance_client.py"
    asked = ("--model", server.model, "--key", server.key) if isinstance(server, Coordinator) else ()
    done = await ended("codegen", server.url, *asked, "-o", file)
    assert (done.code, done.out) == (0, ""), done.log
    return file


@pytest.fixture
def module(written: Path) -> Iterator[ModuleType]:
    yield from imported(written)


def imported(file: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[file.stem]


def where(server: Program) -> dict[str, Any]:
    if isinstance(server, Coordinator):
        return {"api_url": server.url, "api_key": server.key}
    return {"local": server.url}


async def schema_of(client: Any) -> None:
    """Until the client has compared the server's contract with its own."""
    there = asyncio.Event()
    client.on("schema_received", lambda _: there.set(), replay=True)
    await asyncio.wait_for(there.wait(), 10)


@BOTH_DOORS
async def test_it_calls_the_model_and_gets_its_messages_as_classes(server: Program, module: ModuleType) -> None:
    ticks: asyncio.Queue[Any] = asyncio.Queue()
    with structlog.testing.capture_logs() as logs:
        async with module.ConformanceModel(**where(server)) as client:
            client.on_tick(ticks.put_nowait)
            assert await client.set_prompt("a fox") == module.PromptChanged(prompt="a fox")
            state = await client.get_state_()
            assert (state.prompt, state.source, type(state.emitted)) == ("a fox", "pattern", int)
            ref = await client.upload_file(b"12345", name="five.txt")
            assert (await client.set_image(ref)).size == 5
            assert await client.send_ticks(2) is None
            assert [await asyncio.wait_for(ticks.get(), 10) for _ in range(2)] == [module.Tick(n=0), module.Tick(n=1)]
            assert client.track(module.TrackName.MAIN_VIDEO).kind == "video"
            await schema_of(client)
    assert [each for each in logs if each["log_level"] == "warning"] == []


async def test_it_refuses_by_itself_what_the_server_would_refuse(server: Program, module: ModuleType) -> None:
    async with module.ConformanceModel(**where(server)) as client:
        with pytest.raises(CommandRejected) as here:
            await client.set_size(width=9999, height=360)
        with pytest.raises(CommandRejected) as there:
            await client.send_command("set_size", {"width": 9999, "height": 360})
        assert (here.value.code, here.value.message) == (there.value.code, there.value.message)
        assert (here.value.component, there.value.component) == ("client", "gpu")


async def test_the_blocking_client_does_the_same(server: Program, module: ModuleType) -> None:
    def blocking() -> tuple[Any, Any]:
        with module.SyncConformanceModel(**where(server)) as client:
            return client.set_prompt("a hare"), client.get_state_().prompt

    assert await asyncio.to_thread(blocking) == (module.PromptChanged(prompt="a hare"), "a hare")


async def test_a_client_of_an_older_model_says_once_what_changed(server: Program, tmp_path: Path) -> None:
    older = ModelSchema(
        server.model if isinstance(server, Coordinator) else "conformance",
        tracks=(TrackSchema("main_video", "video", "out"), TrackSchema("depth", "video", "out")),
        commands=(CommandSchema("dim", (t.Field("by", t.FloatType()),)), CommandSchema("crash")),
    )
    file = tmp_path / "older_client.py"
    file.write_text(client_of(older), encoding="utf-8")
    for module in imported(file):
        with structlog.testing.capture_logs() as logs:
            async with module.ConformanceModel(**where(server)) as client:
                await schema_of(client)
                with pytest.raises(NotSupportedError, match="server has no command `dim`") as caught:
                    await client.dim(0.5)
                assert (caught.value.code, caught.value.recoverable) == ("NOT_SUPPORTED", False)
        (warning,) = [each for each in logs if each["log_level"] == "warning"]
        assert warning["removed"] == ["command dim", "track depth"]
        assert "command set_prompt" in warning["added"]
        assert "message tick" in warning["added"]
        assert "command 'dim' is gone" in warning["breaking"]


async def test_commands_are_methods_of_any_client(server: Program, make: Any) -> None:
    reactor = make(server)
    await reactor.connect()
    await schema_of(reactor)
    assert "set_prompt" in dir(reactor.commands)
    assert await reactor.commands.set_prompt(prompt="a fox") == {"type": "prompt_changed", "data": {"prompt": "a fox"}}
    with pytest.raises(CommandRejected, match=r"set_prompt\.prompt: expected str, got int$") as caught:
        await reactor.commands.set_prompt(prompt=3)
    assert caught.value.component == "client"
    with pytest.raises(AttributeError, match="did you mean 'set_prompt'"):
        _ = reactor.commands.set_promt
