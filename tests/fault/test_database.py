"""The database is away for 10 s beneath a whole service: who streams streams on, who waits waits on, who asks is told.

Longer than the lease and a Ticket's grace here: a coordinator that judged anybody's silence by what the database had
heard would end everything once it is back.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.fault.services import Service, service
from tests.fault.test_coordinator_killed import lost, watching
from tests.tools.drivers import OWN, Client, PythonClients
from tests.tools.postgres import PostgresServer, postgres_server

AWAY = 10.0  # seconds
HOLD = 20.0  # seconds that a poll is held
GRACES = {"COORDINATOR__LEASE": "5", "COORDINATOR__TICKET_GRACE": "6"}


@pytest.mark.timeout(240)
async def test_sessions_stream_on_and_nobody_loses_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres_server() as postgres:
        url = postgres.url(postgres.create_database())
        monkeypatch.setenv("LIVEREACTOR_STORE__URL", url)  # also of what this process itself does to the records
        with service(tmp_path, "Numbered", arguments=("--max-workers", "2"), STORE__URL=url, **GRACES) as served:
            async with PythonClients.started(OWN) as viewers:
                await goes_through_an_outage(postgres, served, viewers)
            assert served.at.end() == 0


async def goes_through_an_outage(postgres: PostgresServer, served: Service, viewers: PythonClients) -> None:
    clients = await asyncio.gather(*(watching(viewers, served, "numbered") for _ in range(2)))
    sessions = [str((await client.state())["session"]) for client in clients]
    for session in sessions:
        served.state_of(session, "ACTIVE")
    ticket = served.at.create("numbered")["session_id"]
    assert served.session(ticket, wait=0)["queue"]["position"] == 1
    before = {worker["worker"]: (worker["pid"], worker["sessions"]) for worker in served.workers()}
    marks = [await client.ask("mark") for client in clients]
    poll, held_until = served.poll(ticket), time.monotonic() + HOLD

    postgres.stop()
    back_at = time.monotonic() + AWAY
    await asyncio.to_thread(is_told, served, sessions[0])
    await talks(clients[0])
    while time.monotonic() < back_at:
        # Frames go on, and are not counted before the end.
        assert (await clients[0].frames(4, timeout=10.0))["count"] >= 4
    assert not poll.done() or time.monotonic() > held_until, "a poll that was held was let go"
    postgres.start()

    served.at.wait_until(lambda: served.at.call("GET", f"/sessions/{ticket}?wait=0")[0] == 200, timeout=20.0)
    assert served.session(ticket, wait=0)["queue"]["position"] == 1
    # Two rounds of beats and sweeps later all is as it was.
    await asyncio.gather(*(client.frames(20, timeout=60.0) for client in clients))
    assert {worker["worker"]: (worker["pid"], worker["sessions"]) for worker in served.workers()} == before
    assert [await lost(client, mark) for client, mark in zip(clients, marks, strict=True)] == [
        {"missing": 0, "backwards": 0, "unread": 0}
    ] * 2
    assert "worker lost" not in served.at.log()
    for session in sessions:
        assert "end_reason" not in served.state_of(session, "ACTIVE")
    await is_served_next(served, ticket, sessions[1], clients)
    await asyncio.wrap_future(poll)  # answered, whether it was held until then or to its end


def is_told(served: Service, session: str) -> None:
    """Whoever asks, and cannot be held, is told to come again."""
    wanted = {"model": {"name": "numbered"}}
    for method, path, body in (
        ("POST", "/sessions", wanted),
        ("GET", f"/sessions/{session}?wait=0", None),
        ("GET", "/sessions", None),
        ("DELETE", f"/sessions/{session}", None),
    ):
        began = time.monotonic()
        status, retry_after, problem = ask(served, method, path, body)
        assert status == 503, (method, path, problem)
        assert retry_after is not None, (method, path)
        assert float(retry_after) > 0
        assert problem["code"] == "store_unavailable"
        assert problem["detail"]
        assert time.monotonic() - began < 10.0, (method, path)


def ask(served: Service, method: str, path: str, body: object) -> tuple[int, str | None, dict[str, Any]]:
    """One request: status, `Retry-After`, and the problem."""
    headers = {"Authorization": f"Bearer {served.at.key}", "Content-Type": "application/json"}
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(served.at.url + path, data=raw, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30.0) as answer:
            return answer.status, None, {}
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"], json.loads(error.read())


async def talks(client: Client) -> None:
    """Commands need no database."""
    assert (await client.command("note", text="still here"))["data"] == {"before": ""}


async def is_served_next(served: Service, ticket: str, ended: str, clients: list[Client]) -> None:
    """What frees a Slot now serves the Ticket that kept its place."""
    assert served.at.call("DELETE", f"/sessions/{ended}")[0] == 204
    assert served.until(ticket, lambda view: "capabilities" in view)
    for client in clients:
        await client.ask("leave")
    assert served.at.call("DELETE", f"/sessions/{ticket}")[0] == 204
