"""`livereactor connect` as a process, against a scripted server whose connection goes."""

import asyncio
import sys
from pathlib import Path

from tests.tools.scripted_server import scripted

LIVEREACTOR = str(Path(sys.executable).with_name("livereactor"))
PATIENCE = 60.0  # seconds


async def test_a_connection_that_goes_ends_it_with_the_reason_and_exit_1() -> None:
    async with scripted(style="local") as server:
        process = await asyncio.create_subprocess_exec(
            LIVEREACTOR,
            *("connect", "m", "--local", "--url", server.url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            async for line in process.stderr:
                if line.strip() == b"ready":
                    break
        await server.peer.aclose()
        out, log = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert b"frames" in out
    assert b"media connection lost" in log
    assert b"Traceback" not in log
    assert server.open_sessions == []
