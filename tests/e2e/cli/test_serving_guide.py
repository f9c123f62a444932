"""What the README says of serving, typed literally: a service, key and token, the official client, a worker."""

import asyncio
import json
import re
import shlex
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.tools.processes import REPOSITORY, free_port

from .command import LIVEREACTOR, PATIENCE, ended, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
SECRET = "tests-only-worker-0123456789-0123456789"


def blocks(kind: str, port: int) -> list[str]:
    """The section's blocks of one language, with this test's port, host and secret."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## For many people") : text.index("## What is here")]
    here = section.replace("first-machine:8080", f"127.0.0.1:{port}").replace("localhost:8080", f"localhost:{port}")
    return [found["text"] for found in BLOCK.finditer(here) if found["kind"] == kind]


def typed(line: str) -> list[str]:
    """What comes after `livereactor` on a line; its comment is none of it."""
    program, *arguments = shlex.split(line, comments=True)
    assert program == "livereactor", line
    return arguments


def variable(line: str) -> str:
    """The name that a line exports."""
    found = re.match(r"export (\w+)=…", line)
    assert found is not None, line
    return found[1]


@asynccontextmanager
async def program(*command: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """One that prints no address; ended with the block."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), PATIENCE)


@pytest.mark.timeout(300)
async def test_the_guide_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    serve, operate, first_machine, other_machine = (block.splitlines() for block in blocks("sh", port))
    snippet = blocks("python", port)[0]
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    monkeypatch.setenv(variable(first_machine[0]), SECRET)
    assert typed(first_machine[1])[-2:] == ["--host", "0.0.0.0"]  # this machine's address will do here

    async with serving(*typed(serve[0]), "--port", str(port), folder=tmp_path) as service:
        create, token, workers = (typed(line) for line in operate)
        key = (await ended(*create, folder=tmp_path)).out.strip()
        assert key.startswith("rk_")
        assert (await ended(*token, folder=tmp_path)).out.count(".") == 2

        lines = [
            *snippet.replace("rk_…", key).splitlines(),
            "print(await reactor.send_command('drop', {'x': 0, 'y': 0}))",
        ]
        body = textwrap.indent("\n".join([*lines, "await reactor.disconnect()"]), "    ")
        (tmp_path / "client.py").write_text(
            f"import asyncio\nfrom reactor_sdk import Reactor\n\nasync def main():\n{body}\n\nasyncio.run(main())\n"
        )
        client = await asyncio.create_subprocess_exec(
            sys.executable, "client.py", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(client.communicate(), PATIENCE)
        assert client.returncode == 0
        assert b"dropped" in out

        monkeypatch.setenv(variable(other_machine[0]), SECRET)
        async with program(LIVEREACTOR, *typed(other_machine[1]), folder=tmp_path) as worker:
            async with asyncio.timeout(PATIENCE):
                listed: list[dict[str, object]] = []
                while len([each for each in listed if each["model"] == "pond" and each["state"] == "ready"]) < 2:
                    assert worker.returncode is None
                    told = await ended(*workers, "--json", folder=tmp_path)
                    listed = [json.loads(line) for line in told.out.splitlines()]
        assert await service.ends(signal.SIGINT) == 0
