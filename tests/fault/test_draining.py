"""SIGTERM: what runs may finish for `drain_timeout`, nothing new is begun, codes are 0, and no process is left.

The promises are in docs/operating.md.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.fault.services import PATIENCE, Service, is_there, is_unbroken, service
from tests.tools.drivers import OWN, Client, PythonClients
from tests.tools.serving import operate

pytestmark = pytest.mark.timeout(300)  # a dozen processes begin, which takes its time on a busy machine


async def watching(viewers: PythonClients, served: Service) -> tuple[Client, str]:
    client = await viewers.new(served.at.url, model="numbered", api_key=served.at.key)
    await client.connect()
    await client.frames(3, timeout=PATIENCE)
    session = str((await client.state())["session"])
    served.state_of(session, "ACTIVE")
    return client, session


async def test_a_worker_that_is_told_to_end_finishes_its_session_and_gets_no_other(tmp_path: Path) -> None:
    settings = {"COORDINATOR__DRAIN_TIMEOUT": "60"}
    with service(tmp_path, "Numbered", arguments=("--max-workers", "2"), **settings) as served:
        async with PythonClients.started(OWN) as viewers:
            client, session = await watching(viewers, served)
            mark, worker = await client.ask("mark"), served.worker_of(session)
            os.kill(worker["pid"], signal.SIGTERM)
            served.at.wait_until(lambda: served.worker_of(session)["state"] == "draining", timeout=PATIENCE)
            os.kill(worker["pid"], signal.SIGTERM)  # as where a service manager asks every process, and its pool too
            other = await asyncio.to_thread(served.ready, "numbered")
            assert served.worker_of(other)["worker"] != worker["worker"]
            await client.frames(4, timeout=PATIENCE)
            seen = await client.ask("since", start=mark)
            assert is_unbroken(seen), seen
            await client.ask("drop")
            served.at.wait_until(lambda: not is_there(worker["pid"]), timeout=PATIENCE)
            served.at.wait_until(lambda: ended_with_0(served, worker["worker"]), timeout=PATIENCE)
            served.at.call("DELETE", f"/sessions/{other}")


def ended_with_0(served: Service, worker: str) -> bool:
    return any("worker ended" in line and "code=0 " in line and worker in line for line in served.at.log().splitlines())


async def test_a_coordinator_that_is_told_to_end_lets_sessions_finish_and_leaves_nothing(tmp_path: Path) -> None:
    settings = {"COORDINATOR__DRAIN_TIMEOUT": "4"}
    with service(tmp_path, "Numbered", arguments=("--max-workers", "2"), **settings) as served:
        async with PythonClients.started(OWN) as viewers:
            client, session = await watching(viewers, served)
            unseen = await asyncio.to_thread(served.ready, "numbered")
            pids = [worker["pid"] for worker in served.workers()]
            assert len(pids) == 2
            served.at.process.send_signal(signal.SIGTERM)
            served.at.wait_until(lambda: "worker drains" in served.at.log(), timeout=PATIENCE)
            assert (await client.frames(4, timeout=PATIENCE))["count"] >= 4
            assert served.at.call("DELETE", f"/sessions/{unseen}")[0] == 204
            assert await asyncio.to_thread(served.at.process.wait, 30) == 0, served.at.log()
            assert not any(map(is_there, pids))
            await client.ask("leave")
        ends = {row["session_id"]: row.get("end_reason") for row in operate(served.data_dir, "sessions", "list")}
        assert ends == {session: "evicted", unseen: "stopped"}
