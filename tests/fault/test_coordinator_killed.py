"""kill -9 of the coordinator while four sessions stream: no frame is lost, and the next run knows and serves them all.

WebRTC is direct, beats go on with the next run, living workers are adopted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fault.services import PATIENCE, Service, is_there, kill, service
from tests.tools.drivers import OWN, Client, PythonClients

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(300),
]  # a dozen processes begin, which takes its time on a busy machine

ALONE, TOGETHER = 2, 2  # sessions with a process of their own, and in one process
NONE_LOST = [{"missing": 0, "backwards": 0, "unread": 0}]
ATTEMPTS = 3  # a busy machine skips a frame now and then; one that a restart loses is lost each time


async def watching(viewers: PythonClients, served: Service, model: str) -> Client:
    client = await viewers.new(served.at.url, model=model, api_key=served.at.key)
    await client.connect()
    assert (await client.frames(3, timeout=PATIENCE))["count"] >= 3
    return client


async def lost(client: Client, mark: int) -> dict[str, Any]:
    """What came since the mark; at least two frames more come before this answers."""
    assert (await client.frames(2, timeout=PATIENCE))["count"] >= 2
    seen = await client.ask("since", start=mark)
    return {name: seen[name] for name in ("missing", "backwards")} | {"unread": seen["count"] - seen["decoded"]}


async def lost_by_a_restart(served: Service, clients: Sequence[Client]) -> list[dict[str, Any]]:
    """Kill it, let frames come without it, start it again, let more come: what of them is not there."""
    marks = [await client.ask("mark") for client in clients]
    served.kill()
    without = await asyncio.gather(*(client.frames(4, timeout=PATIENCE) for client in clients))
    assert all(seen["count"] >= 4 for seen in without)
    await asyncio.to_thread(served.start)
    return [await lost(client, mark) for client, mark in zip(clients, marks, strict=True)]


async def test_four_sessions_stream_on_and_are_known_to_the_next_run(tmp_path: Path) -> None:
    with service(tmp_path, "Numbered", "Pair", arguments=("--max-workers", str(ALONE))) as served:
        async with PythonClients.started(OWN) as viewers:
            models = ["numbered"] * ALONE + ["pair"] * TOGETHER
            clients = await asyncio.gather(*(watching(viewers, served, model) for model in models))
            sessions = [str((await client.state())["session"]) for client in clients]
            for session in sessions:
                served.state_of(session, "ACTIVE")
            before = {worker["worker"]: worker["pid"] for worker in served.workers()}

            found = [await lost_by_a_restart(served, clients)]
            while found[-1] != NONE_LOST * len(clients) and len(found) < ATTEMPTS:
                found.append(await lost_by_a_restart(served, clients))
            assert found[-1] == NONE_LOST * len(clients), found

            for session in sessions:
                assert "end_reason" not in served.state_of(session, "ACTIVE")
            served.wait_for_workers(len(before))
            assert {worker["worker"]: worker["pid"] for worker in served.workers()} == before
            assert served.at.log().count("worker adopted") == len(before)

            await talks_and_grows(viewers, served, clients[0], sessions[0])
            await is_lost_with_its_worker(served, sessions[1])
            for session in sessions:
                assert served.at.call("DELETE", f"/sessions/{session}")[0] == 204
                assert served.until(session, lambda view: view["state"] == "CLOSED")
            for client in clients:
                await client.ask("leave")
        assert served.at.end() == 0
    assert not any(is_there(pid) for pid in before.values())


async def talks_and_grows(viewers: PythonClients, served: Service, client: Client, session: str) -> None:
    """Its client is answered, and one more can join: signalling finds the worker."""
    assert (await client.command("note", text="still here"))["data"] == {"before": ""}
    other = await viewers.new(served.at.url, model="numbered", api_key=served.at.key)
    await other.connect(session_id=session)
    assert (await other.frames(3, timeout=PATIENCE))["count"] >= 3
    await other.ask("leave")


async def is_lost_with_its_worker(served: Service, session: str) -> None:
    """The end of a worker that was adopted is told as that of one's own child."""
    poll = served.poll(session)
    killed = kill(served.worker_of(session))
    view, told = await asyncio.wrap_future(poll)
    assert (view["state"], view["end_reason"]) == ("CLOSED", "worker_lost")
    assert told - killed < 3.0
