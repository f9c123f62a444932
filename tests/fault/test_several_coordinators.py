"""Two coordinators on one Postgres behind a load balancer that knows nothing of them: whichever is asked, it is one.

In order, on one service: all of its calls at the one or the other, both replaced one after another, and one killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from livereactor.pool.subprocess.processes import Records, is_living, kill_group
from tests.fault.services import MODELS, PATIENCE
from tests.tools.balancer import balanced
from tests.tools.drivers import OWN, Client, PythonClients
from tests.tools.postgres import PostgresServer, postgres_server
from tests.tools.processes import REPOSITORY, ProcessFailedError, free_port, request
from tests.tools.serving import Coordinator, livereactor_serve, operate
from tests.tools.webhooks import Receiver, receiving

pytestmark = pytest.mark.timeout(300)

SECRET = "whsec_dGhpcy1pcy1mb3ItdGVzdHMtb25seS0wMTIzNDU2Nzg="
NAMES = ("a", "b")
ENDED = ["session.created", "session.assigned", "session.accepted", "session.connected", "session.ended"]


@dataclass(slots=True)
class Several:
    """Two coordinators and what stands before them.

    Attributes:
        url: of the load balancer.
        at: those that run, by name.
        key: of the account `tests`, without quotas; admin: an operator's.
        receiver: hears the webhooks.
    """

    folder: Path
    url: str
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    receiver: Receiver
    at: dict[str, Coordinator] = field(default_factory=dict[str, Coordinator])
    stacks: dict[str, ExitStack] = field(default_factory=dict[str, ExitStack])
    runs: int = 0
    admin: str = ""

    @property
    def key(self) -> str:
        return next(iter(self.at.values())).key

    def start(self, name: str) -> None:
        """Begin, with this name's port and data folder."""
        self.runs += 1
        port = self.ports[name]
        stack = self.stacks[name] = ExitStack()
        serve = livereactor_serve(
            [f"{MODELS}:Numbered"],
            log_path=self.folder / f"{name}-{self.runs}.log",
            environment={**self.environment, "LIVEREACTOR_COORDINATOR__PEER_URL": f"http://127.0.0.1:{port}"},
            arguments=("--max-workers", "3"),
            data_dir=self.folder / name,
            port=port,
        )
        self.at[name] = stack.enter_context(serve)

    def end(self, name: str) -> int:
        """SIGTERM, and wait: its exit code."""
        return self.at.pop(name).end()

    def call(self, method: str, path: str, body: object = None, **asked: Any) -> tuple[int, Any]:
        """One request to the load balancer."""
        raw = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {asked.pop('token', self.key)}", "Content-Type": "application/json"}
        return request(self.url + path, method=method, body=raw, headers=headers, timeout=40.0)

    def overview(self) -> dict[str, Any]:
        status, body = self.call("GET", "/admin/overview", token=self.admin)
        assert status == 200, body
        return body

    def ready(self) -> list[dict[str, Any]]:
        return [each for each in self.overview()["workers"] if each["state"] == "ready"]

    def until(self, condition: Callable[[], bool], *, timeout: float = PATIENCE) -> None:
        """Looked at ten times a second."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise ProcessFailedError("\n".join(each.log()[-6000:] for each in self.at.values()))
            time.sleep(0.1)

    def close(self) -> None:
        for name in self.stacks:
            self.stacks[name].close()
        for name in NAMES:
            for record in Records(self.folder / name / "workers").read():
                if is_living(record):
                    kill_group(record)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def several(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    folder = tmp_path_factory.mktemp("several")
    ports = {name: free_port() for name in NAMES}
    with balanced(folder / "balancer", list(ports.values())) as url, receiving(SECRET) as receiver:
        given = {
            "STORE__URL": postgres.url(postgres.create_database()),
            "BLOBS__URL": str(folder / "blobs"),
            "COORDINATOR__SECRET": os.urandom(16).hex(),
            "COORDINATOR__WORKER_URL": url,
            "COORDINATOR__DRAIN_TIMEOUT": "1",
            "COORDINATOR__TICKET_GRACE": "4",
            "POOL__MIN_READY": "2",
            "WEBHOOKS__URLS": json.dumps([receiver.url]),
            "WEBHOOKS__SECRETS": json.dumps([SECRET]),
        }
        environment = {"PYTHONPATH": str(REPOSITORY), **{f"LIVEREACTOR_{k}": v for k, v in given.items()}}
        made = Several(folder, url, environment, ports, receiver)
        try:
            for name in NAMES:
                made.start(name)
            operators = ("--account", "ops", "--scope", "admin", "--scope", "view")
            made.admin = operate(folder / "a", "keys", "create", *operators, environment=environment)["key"]
            made.until(lambda: len(made.ready()) >= 2)
            yield made
        finally:
            made.close()


async def watching(viewers: PythonClients, several: Several) -> Client:
    client = await viewers.new(several.url, model="numbered", api_key=several.key)
    await client.connect()
    assert (await client.frames(3, timeout=PATIENCE))["count"] >= 3
    return client


async def test_whichever_is_asked_it_is_one_service(several: Several) -> None:
    first, second = several.at["a"], several.at["b"]
    async with PythonClients.started(OWN) as viewers:
        clients = [await watching(viewers, several) for _ in range(2)]
        sessions = [str((await client.state())["session"]) for client in clients]
        for client, text in zip(clients, ("one", "two"), strict=True):
            assert (await client.command("note", text=text))["data"] == {"before": ""}
        for session in sessions:
            versions = set[str]()
            for each in (first, second):
                status, view = each.call("GET", f"/sessions/{session}?wait=0")
                assert (status, view["state"]) == (200, "ACTIVE")
                versions.add(view["version"])
            assert len(versions) == 1
        for worker in several.ready():  # whose socket is at one of them
            for each in (first, second):
                status, text = each.call("GET", f"/admin/workers/{worker['worker']}/metrics", token=several.admin)
                assert status == 200, text
        # More than there are workers: made here, polled there, served by a worker that whoever leads starts.
        third = first.create("numbered")["session_id"]
        several.until(lambda: "capabilities" in second.call("GET", f"/sessions/{third}?wait=5")[1])
        for session, other in ((sessions[0], second), (sessions[1], first), (third, second)):
            assert other.call("DELETE", f"/sessions/{session}")[0] == 204
        for client in clients:
            await client.ask("leave")
    several.until(lambda: kinds(several.receiver, sessions[0]) == ENDED)
    assert len(set(several.receiver.ids)) == len(several.receiver.ids)
    for each in (first, second):
        status, used = each.call("GET", "/admin/usage", token=several.admin)
        assert (status, [(row["account"], row["sessions"]) for row in used["usage"]]) == (200, [("tests", 3)])


async def test_both_are_replaced_one_after_another_and_nobody_notices(several: Several) -> None:
    several.until(lambda: len(several.ready()) >= 2)
    async with PythonClients.started(OWN) as viewers:
        client = await watching(viewers, several)
        session = str((await client.state())["session"])
        asking = Asking(several)
        for name in NAMES:
            await asyncio.to_thread(several.end, name)
            await asyncio.to_thread(several.start, name)
            assert (await client.command("note", text=name))["type"] == "noted"
        assert asking.stop() == []
        assert asking.made > 0
        other = await viewers.new(several.url, model="numbered", api_key=several.key)
        await other.connect(session_id=session)
        assert (await other.frames(3, timeout=PATIENCE))["count"] >= 3
        status, view = several.call("GET", f"/sessions/{session}?wait=0")
        assert (status, view["state"]) == (200, "ACTIVE")
        for each in (client, other):
            await each.ask("leave")


async def test_what_passes_by_itself_goes_on_when_whoever_led_is_killed(several: Several) -> None:
    several.until(lambda: len(several.ready()) >= 2)
    leader = next(name for name in NAMES if "starts and stops workers" in several.at[name].log())
    killed = several.at.pop(leader)
    killed.process.kill()
    killed.process.wait(10)
    other = next(iter(several.at.values()))
    several.until(lambda: "starts and stops workers" in other.log())
    dropped = [other.create("numbered")["session_id"] for _ in range(6)]  # of six, three find no worker, ever
    several.until(lambda: sum(_end(several, each) == "timed_out" for each in dropped) >= 3)
    several.until(lambda: len(several.ready()) >= 2)  # those of the one that was killed serve on


def _end(several: Several, session: str) -> str | None:
    return several.call("GET", f"/sessions/{session}?wait=0")[1].get("end_reason")


def kinds(receiver: Receiver, session: str) -> list[str]:
    return [str(each["type"]) for each in receiver.taken if each["data"].get("session_id") == session]


class Asking:
    """A client that makes sessions and ends them at the load balancer, one after another, until it is stopped.

    Attributes:
        made: how many.
    """

    def __init__(self, several: Several) -> None:
        self._several, self._key = several, several.key
        self.made = 0
        self._faults: list[object] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> list[object]:
        """What was not answered as it should be."""
        self._stopped.set()
        self._thread.join()
        return self._faults

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                status, view = self._several.call("POST", "/sessions", {"model": {"name": "numbered"}}, token=self._key)
                self._expect(status, 201, view)
                session = f"/sessions/{view['session_id']}"
                status, view = self._several.call("GET", f"{session}?wait=1", token=self._key)
                self._expect(status, 200, view)
                self._expect(self._several.call("DELETE", session, token=self._key)[0], 204, None)
                self.made += 1
            except Exception as error:
                self._faults.append(error)
                return

    def _expect(self, status: int, wanted: int, body: object) -> None:
        if status != wanted:
            self._faults.append((status, body))
