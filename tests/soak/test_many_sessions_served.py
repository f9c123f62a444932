"""Sessions one after another through a coordinator on one worker: neither keeps anything of them."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.soak.visiting import PATIENCE, Used, is_back, posted, visited
from tests.tools.serving import Coordinator, livereactor_serve

MODEL = f"{Path(__file__).with_name('models.py')}:Remembers"


class Served:
    """A coordinator's door."""

    async def begin(self, http: httpx2.AsyncClient) -> str:
        session = str((await posted(http, "/sessions", {"model": {"name": "remembers"}}))["session_id"])
        while True:  # each is held until there is something to say; the one worker may still be tidying up
            state = (await http.get(f"/sessions/{session}")).raise_for_status().json()
            assert state["state"] != "CLOSED", state
            if "capabilities" in state:
                return session

    async def end(self, http: httpx2.AsyncClient, session: str) -> None:
        (await http.delete(f"/sessions/{session}")).raise_for_status()


async def around(server: Coordinator, *, warm_up: int, sessions: int) -> dict[str, tuple[Used, Used]]:
    """What coordinator and worker hold after the warm-up, and after these many more Sessions."""
    worker = server.wait_for_worker()[0]
    headers = {"Authorization": f"Bearer {server.token()}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=PATIENCE) as http:
        pids = [server.pid, worker["pid"]]
        used = await visited(Served(), http, pids, warm_up=warm_up, sessions=sessions)
    assert server.workers()[0]["worker"] == worker["worker"], "another worker took over"
    return dict(zip(("coordinator", "worker"), used, strict=True))


async def test_thirty_sessions_leave_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    with livereactor_serve([MODEL], log_path=tmp_path / "log") as server:
        used = await around(server, warm_up=5, sessions=25)
    assert all(is_back(after, before) for before, after in used.values()), used


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_thousand_sessions_leave_nothing_in_coordinator_or_worker(tmp_path: Path) -> None:
    with livereactor_serve([MODEL], log_path=tmp_path / "log") as server:
        used = await around(server, warm_up=100, sessions=900)
    print(used)
    assert all(is_back(after, before) for before, after in used.values()), used
    assert all(after.rss < before.rss * 1.05 for before, after in used.values()), used
