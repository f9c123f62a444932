"""The installed `livereactor` command as a process: what it prints is waited for, and it ends by its own id."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.tools.processes import request

LIVEREACTOR = str(Path(sys.executable).with_name("livereactor"))
PATIENCE = 60.0  # seconds; starting Python and the engine on a machine that is busy
EXIT = 10.0  # seconds from a signal to the end (acceptance 60)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    log: str


@dataclass
class Serving:
    """A command that serves; stderr is read as it comes."""

    process: asyncio.subprocess.Process
    url: str = ""
    lines: list[str] = field(default_factory=list[str])
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._more:
                self.lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line.decode()))
                self._more.notify_all()

    async def said(self, text: str, *, timeout: float = PATIENCE) -> str:
        """Wait for a line with `text` in it."""
        try:
            async with asyncio.timeout(timeout), self._more:
                await self._more.wait_for(lambda: any(text in line for line in self.lines))
        except TimeoutError:
            raise AssertionError(f"no {text!r} in {timeout} s:\n{''.join(self.lines)}") from None
        return next(line for line in self.lines if text in line)

    async def address(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            async for line in self.process.stdout:
                if found := re.search(r"http://[\w.:]+", line.decode()):
                    return found.group().replace("localhost", "127.0.0.1")
        raise AssertionError(f"no address:\n{''.join(self.lines)}")

    async def health(self) -> tuple[int, dict[str, object]]:
        return await asyncio.to_thread(request, f"{self.url}/health")

    async def ends(self, how: signal.Signals, *, within: float = EXIT) -> int:
        """Send the signal; the exit code. Fails where it takes longer."""
        os.killpg(self.process.pid, how)  # as Ctrl-C in a terminal does
        return await asyncio.wait_for(self.process.wait(), within)


@asynccontextmanager
async def serving(
    *arguments: str | Path, command: tuple[str, ...] = (LIVEREACTOR,), folder: Path | None = None
) -> AsyncIterator[Serving]:
    """A command that prints its address and serves until it is ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        *map(str, arguments),
        cwd=folder,
        env={**os.environ, "BROWSER": "true"},  # `dev` opens a page: here in a program that does nothing
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    running = Serving(process)
    reading = asyncio.create_task(running.read())
    try:
        running.url = await running.address()
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        reading.cancel()


async def ended(*arguments: str | Path, folder: Path | None = None) -> Ended:
    """Run a command that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        LIVEREACTOR,
        *map(str, arguments),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, log = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), log.decode())


def written(folder: Path, body: str, name: str = "model.py") -> Path:
    """A model's file: one grey video track, and whatever `body` adds to the class or replaces."""
    file = folder / name
    stream = "" if "def stream" in body else STREAM
    file.write_text(HEAD + body + stream, encoding="utf-8")
    return file


HEAD = """import time
import numpy as np
import livereactor as lr


class Grey(lr.Model):
    main_video = lr.VideoOut(width=320, height=180, fps=30)
"""
STREAM = """
    def stream(self):
        tick = 0
        while True:
            tick += 1
            yield np.full((180, 320, 3), 40 + tick % 100, np.uint8)
"""
