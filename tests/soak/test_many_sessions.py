"""Sessions one after another on one process, over libwebrtc: nothing of them is left."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.soak.visiting import PATIENCE, Used, is_back, posted, visited
from tests.tools.processes import Program, livereactor_run

MODEL = f"{Path(__file__).with_name('models.py')}:Remembers"


class Alone:
    """A runtime's own door."""

    async def begin(self, http: httpx2.AsyncClient) -> str:
        return str((await posted(http, "/start_session"))["session_id"])

    async def end(self, http: httpx2.AsyncClient, session: str) -> None:
        await posted(http, "/stop_session")


async def around(program: Program, *, warm_up: int, sessions: int) -> tuple[Used, Used]:
    """What the server holds after the warm-up, and after these many more Sessions."""
    async with httpx2.AsyncClient(base_url=program.url, timeout=PATIENCE) as http:
        return (await visited(Alone(), http, [program.pid], warm_up=warm_up, sessions=sessions))[0]


async def test_fifteen_sessions_leave_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    with livereactor_run(MODEL, log_path=tmp_path / "log") as program:
        before, after = await around(program, warm_up=3, sessions=12)
    assert is_back(after, before), f"{before} before, {after} after"


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_thousand_sessions_leave_nothing(tmp_path: Path) -> None:
    with livereactor_run(MODEL, log_path=tmp_path / "log") as program:
        before, after = await around(program, warm_up=100, sessions=900)
    assert is_back(after, before), f"{before} before, {after} after"
    assert after.rss < before.rss * 1.05, f"{before} before, {after} after"
