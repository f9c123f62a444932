"""Run `livereactor run` with a model of the tests, and open a page of it."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest_asyncio
from playwright.async_api import Browser, Page

from .conftest import opened
from .screen import PATIENCE, on_screen

MODELS = Path(__file__).parent / "models"
BOARD = MODELS / "board.py"
STARTING = 60.0  # seconds for a process that starts in one and a half on an idle machine
LIVEREACTOR = Path(sys.executable).parent / "livereactor"


@dataclass
class Running:
    """A `livereactor run` of a model."""

    process: asyncio.subprocess.Process
    url: str

    async def session_state(self) -> str:
        """ "ready": it has none."""
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{self.url}/session", timeout=PATIENCE)).json()["state"]

    async def until(self, state: str, *, patience: float = PATIENCE) -> None:
        """Wait for a state of the session; `patience` in seconds."""
        async with asyncio.timeout(patience):
            while await self.session_state() != state:  # noqa: ASYNC110  another process's
                await asyncio.sleep(0.05)

    async def end_session(self) -> None:
        async with httpx.AsyncClient() as client:
            (await client.post(f"{self.url}/stop_session", timeout=PATIENCE)).raise_for_status()

    async def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


async def run_board(port: int = 0, model: Path = BOARD, *options: str) -> Running:
    command = [LIVEREACTOR, "run", model, "--port", str(port), *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), STARTING)).decode()
    found = re.search(r"http://\S+", line)
    assert found, f"`livereactor run` printed no address: {line!r}"
    return Running(process, found.group())


def runtime_of(model: Path = BOARD) -> tuple[Any, Any]:
    """Return two fixtures for a module: one `livereactor run`, to be named `shared`, and the same without a session."""

    @pytest_asyncio.fixture(loop_scope="module", scope="module")
    async def shared() -> AsyncIterator[Running]:
        running = await run_board(model=model)
        yield running
        assert await running.stop() == 0

    @pytest_asyncio.fixture(loop_scope="module")
    async def without_session(shared: Running) -> AsyncIterator[Running]:
        yield shared
        await shared.end_session()

    return shared, without_session


@asynccontextmanager
async def live(browser: Browser, board: Running, **settings: object) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page of the board with its video on screen."""
    async with opened(browser, bypass_csp=True, **settings) as (page, complaints):
        await page.goto(board.url)
        await page.get_by_role("button", name="Start").click()
        await on_screen(page)
        yield page, complaints
