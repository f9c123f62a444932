"""`livereactor stats` against a coordinator with a worker, and against a runtime by itself, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from livereactor.runtime.http import create_app
from tests.e2e.cli.command import LIVEREACTOR
from tests.integration import rig
from tests.integration.coordinator.test_with_a_worker import connected
from tests.integration.coordinator.test_with_a_worker import serving as serving_many
from tests.integration.models import Plain

PATIENCE = 60.0


async def stats(*arguments: str, key: str = "", out: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    environment = {**os.environ, "LIVEREACTOR_API_KEY": key, "COLUMNS": "120", "TERM": "xterm"}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        LIVEREACTOR, "stats", *arguments, stdout=out, stderr=pipe, env=environment
    )


async def ended(*arguments: str, key: str = "") -> tuple[int | None, str, str]:
    """Exit code, stdout, stderr."""
    process = await stats(*arguments, key=key)
    async with asyncio.timeout(PATIENCE):
        out, log = await process.communicate()
    return process.returncode, out.decode(), log.decode()


@asynccontextmanager
async def listening(served: rig.Served) -> AsyncIterator[str]:
    """The URL of a runtime of this process."""
    config = uvicorn.Config(create_app(served.runtime), port=0, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]  # they are the test runner's
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await serving


async def test_the_one_session_of_a_runtime_is_shown_by_itself_once_where_no_terminal_is() -> None:
    async with rig.serving(Plain) as served, listening(served) as url:
        code, _, log = await ended(url)
        assert code == 2
        assert log == "livereactor: no session is running there; start one on the page or with `livereactor connect`\n"
        sid = await served.start_session()
        caller = await served.client(sid, resume=["main_video"])
        await caller.command("echo", text="a")
        code, out, _ = await ended(url)
        assert code == 0
        assert out.startswith(sid)
        assert re.search(r"^command +1 ", out, re.MULTILINE)
        code, out, _ = await ended(url, "--json")
        assert (code, json.loads(out)["session_id"]) == (0, sid)


async def test_a_coordinators_sessions_are_shown_by_name_to_whoever_may_see_them() -> None:
    async with serving_many() as (served, engine):
        session = await served.session("plain")
        side = await connected(served, engine, session)
        code, out, _ = await ended(served.url, session, "--json", key=served.key)
        assert (code, json.loads(out)["session_id"]) == (0, session)
        code, out, _ = await ended(served.url, key=served.key)
        assert (code, out.split()[0]) == (0, session)
        code, _, log = await ended(served.url, session)
        assert code == 1
        assert "--key or LIVEREACTOR_API_KEY" in log
        await side.aclose()


async def test_in_a_terminal_it_goes_on_until_the_session_ends() -> None:
    async with rig.serving(Plain) as served, listening(served) as url:
        sid = await served.start_session()
        await served.client(sid, resume=["main_video"])
        screen, terminal = pty.openpty()
        process = await stats(url, out=terminal)
        os.close(terminal)
        shown = bytearray()
        with os.fdopen(screen, "rb", buffering=0) as reading:
            while len(re.findall(rb"step +\d+ +\d+\.\d\d +\d", bytes(shown))) < 2:  # with a NOW, twice
                async with asyncio.timeout(PATIENCE):
                    shown += await asyncio.to_thread(reading.read, 65_536)
            await served.http.post("/stop_session")
            async with asyncio.timeout(PATIENCE):
                assert process.stderr is not None
                log = await process.stderr.read()
                assert await process.wait() == 0
        assert log == b"The session has ended.\n"
