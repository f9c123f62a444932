"""A worker that is frozen until its lease was given away: nobody waits for it, and when it wakes it serves nobody.

Nobody may serve one session twice (a split brain), whatever wakes up late.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fault.services import PATIENCE, Service, is_there, is_unbroken, service, worker_elsewhere
from tests.tools.drivers import OWN, Client, PythonClients

pytestmark = pytest.mark.timeout(300)  # a dozen processes begin, which takes its time on a busy machine

LEASE = 5.0  # seconds, instead of 15; beats come every two


async def watching(viewers: PythonClients, served: Service, session: str | None = None) -> Client:
    client = await viewers.new(served.at.url, model="goes-on", api_key=served.at.key)
    await client.connect(session_id=session)
    assert (await client.frames(3, timeout=PATIENCE))["count"] >= 3
    return client


async def waiting(served: Service, condition: Callable[[], Any]) -> None:
    await asyncio.to_thread(served.at.wait_until, lambda: bool(condition()), timeout=PATIENCE)


async def test_a_frozen_worker_loses_its_session_for_good(tmp_path: Path) -> None:
    settings = {"COORDINATOR__LEASE": str(LEASE)}
    with (
        service(tmp_path, "GoesOn", arguments=("--min-ready", "0"), **settings) as served,
        worker_elsewhere(served, "GoesOn", log_path=tmp_path / "worker.log", arguments=("--id", "sleeper")) as keeper,
    ):
        await waiting(served, lambda: served.workers(state="ready"))
        async with PythonClients.started(OWN) as viewers:
            old = await watching(viewers, served)
            session = str((await old.state())["session"])
            served.state_of(session, "ACTIVE")
            sleeper = served.worker_of(session)
            assert sleeper["worker"] == "sleeper"
            os.kill(sleeper["pid"], signal.SIGSTOP)
            try:
                await waiting(served, lambda: owners(served, session) not in ([], ["sleeper"]))
                await asyncio.to_thread(served.until, session, lambda view: "capabilities" in view)
                new = await watching(viewers, served, session)
                assert (await new.command("note", text="mine"))["data"] == {"before": ""}
                owner, mark = owners(served, session), await new.ask("mark")
            finally:
                os.kill(sleeper["pid"], signal.SIGCONT)

            await waiting(served, lambda: awake(served, sleeper))
            stopped = await old.ask("mark")
            await new.frames(4, timeout=PATIENCE)
            assert await old.ask("mark") == stopped, "it still shows its old session"
            seen = await new.ask("since", start=mark)
            assert is_unbroken(seen), seen
            assert (await new.command("note", text="")) == {"type": "noted", "data": {"before": "mine"}}
            assert owners(served, session) == owner
            assert "sleeper" not in owner

            frozen = served.worker_of(session)
            for client in (old, new):
                await client.ask("leave")
            served.at.call("DELETE", f"/sessions/{session}")
            await is_killed_where_it_is_of_the_pool(served, frozen)
        assert keeper.end() == 0


def owners(served: Service, session: str) -> list[str]:
    return [worker["worker"] for worker in served.workers() if session in worker["sessions"]]


def awake(served: Service, sleeper: dict[str, Any]) -> bool:
    """It has come back in another incarnation, the same process, with nothing."""
    found = [each for each in served.workers(state="ready") if each["worker"] == sleeper["worker"]]
    return bool(found) and found[0]["pid"] == sleeper["pid"] and bool(found[0].get("past")) and not found[0]["sessions"]


async def is_killed_where_it_is_of_the_pool(served: Service, frozen: dict[str, Any]) -> None:
    """The next two sessions get a worker each; the pool's freezes, and is killed; its session goes to whom is free."""
    both = [served.ready("goes-on"), served.ready("goes-on")]
    assert {owners(served, session)[0] for session in both} == {frozen["worker"], "sleeper"}
    both.sort(key=lambda session: owners(served, session)[0] == "sleeper")
    os.kill(frozen["pid"], signal.SIGSTOP)
    await waiting(served, lambda: not is_there(frozen["pid"]))
    await asyncio.to_thread(served.until, both[0], lambda view: "capabilities" in view)
    assert owners(served, both[0])[0] not in ("sleeper", frozen["worker"])
    assert owners(served, both[1]) == ["sleeper"]
    for session in both:
        served.at.call("DELETE", f"/sessions/{session}")
