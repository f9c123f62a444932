"""kill -9 of a worker: whoever polls is told at once, what can go on goes on, and nobody else notices anything.

The promises are in docs/architecture.md, "What happens when something dies".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fault.services import PATIENCE, Service, is_unbroken, kill, service, worker_elsewhere
from tests.tools.drivers import OWN, Client, PythonClients

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
AT_ONCE = 3.0  # seconds; promised are 0.3, which a machine under test does not always give


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with service(folder, "Numbered", "GoesOn", arguments=("--max-workers", "2")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def viewers() -> AsyncIterator[PythonClients]:
    async with PythonClients.started(OWN) as clients:
        yield clients


async def watching(clients: PythonClients, served: Service, model: str = "numbered") -> tuple[Client, str]:
    """A client that has seen frames, of a session of its own."""
    client = await clients.new(served.at.url, model=model, api_key=served.at.key)
    await client.connect()
    assert (await client.frames(3, timeout=PATIENCE))["count"] >= 3
    session = str((await client.state())["session"])
    served.state_of(session, "ACTIVE")
    return client, session


async def test_who_watched_is_told_at_once_and_nobody_else_notices(viewers: PythonClients, served: Service) -> None:
    other, other_session = await watching(viewers, served)
    mark = await other.ask("mark")
    async with PythonClients.started() as official:
        _, session = await watching(official, served)
        poll = served.poll(session)
        killed = kill(served.worker_of(session))
        view, told = await asyncio.wrap_future(poll)
        assert (view["state"], view["end_reason"]) == ("CLOSED", "worker_lost")
        assert told - killed < AT_ONCE
        again, second = await watching(official, served)
        assert second != session
        await again.ask("drop")
    await other.frames(2, timeout=PATIENCE)
    seen = await other.ask("since", start=mark)
    assert is_unbroken(seen), seen
    assert served.session(other_session, wait=0)["state"] == "ACTIVE"
    await other.ask("drop")


async def test_before_its_first_frame_a_session_goes_on_under_the_same_id_once(served: Service) -> None:
    session = served.ready("numbered")
    first = served.worker_of(session)
    poll = served.poll(session)
    killed = kill(first)
    view, told = await asyncio.wrap_future(poll)
    assert view["session_id"] == session
    assert told - killed < AT_ONCE
    assert served.until(session, lambda view: "capabilities" in view)["state"] == "WAITING"
    second = served.worker_of(session)
    assert second["worker"] != first["worker"]
    kill(second)
    view = served.until(session, lambda view: view["state"] == "CLOSED")
    assert view["end_reason"] == "worker_lost"


async def test_a_model_that_says_so_goes_on_after_its_first_frame(viewers: PythonClients, served: Service) -> None:
    watcher, session = await watching(viewers, served, "goes-on")
    first = served.worker_of(session)
    poll = served.poll(session)
    killed = kill(first)
    _, told = await asyncio.wrap_future(poll)
    assert told - killed < AT_ONCE
    served.until(session, lambda view: "capabilities" in view)
    assert served.worker_of(session)["worker"] != first["worker"]
    again = await viewers.new(served.at.url, model="goes-on", api_key=served.at.key)
    await again.connect(session_id=session)
    assert (await again.frames(3, timeout=PATIENCE))["count"] >= 3
    for client in (watcher, again):
        await client.ask("leave")
    served.at.call("DELETE", f"/sessions/{session}")


async def test_one_that_nobodys_pool_started_is_told_dead_by_its_keeper(served: Service, tmp_path: Path) -> None:
    with worker_elsewhere(served, "Pair", log_path=tmp_path / "worker.log") as keeper:
        keeper.wait_until(lambda: len(served.workers("pair", state="ready")) == 1, timeout=PATIENCE)
        first, second = served.ready("pair"), served.ready("pair")
        polls = [served.poll(first), served.poll(second)]
        worker = served.worker_of(first)
        assert served.worker_of(second) == worker
        killed = kill(worker)
        for poll in polls:
            _, told = await asyncio.wrap_future(poll)
            assert told - killed < AT_ONCE
        for session in (first, second):
            served.until(session, lambda view: "capabilities" in view)
            assert served.worker_of(session)["worker"] != worker["worker"]
            served.at.call("DELETE", f"/sessions/{session}")
        assert keeper.end() == 0
    assert served.workers("pair") == []  # it has said goodbye, so no lease has to run out
