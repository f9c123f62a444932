"""P4, P18, P19 and P20: what clients of a coordinator feel: connecting, its load, admission, the loss of a worker."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import psutil

from bench.connecting import SETTLE, WARM_UP
from bench.frame import Figure
from bench.stand import JAVASCRIPT, OURS, OWN, PYTHON, Stand
from livereactor.probes.results import Result, spread
from tests.tools.postgres import postgres_server
from tests.tools.processes import REPOSITORY, free_port
from tests.tools.serving import Coordinator

LOAD_CLIENTS, LOAD_RATE, LOAD_SECONDS = 40, 600, 30
ADMISSIONS, LOSSES = 30, 10


async def p4(stand: Stand) -> Sequence[Result]:
    """Connects through a coordinator with a key, its worker warm, clients in turn."""
    server = stand.coordinator()
    rows = {client: list[float | None]() for client in (OWN, PYTHON, JAVASCRIPT) if client in stand.clients}
    for number in range(WARM_UP + stand.connects):
        for client, ready in rows.items():
            made = await stand.new(client, server)
            await asyncio.sleep(SETTLE)
            connected = await made.connect()
            if number >= WARM_UP:
                ready.append(connected["ready_ms"])
            await made.ask("drop")
    return [
        Result("P4", OURS, client, "connect() to ready, token included", spread(ready), "ms", len(ready))
        for client, ready in rows.items()
    ]


async def p18(stand: Stand) -> Sequence[Result]:
    """Forty clients in another process create sessions: as fast as they are answered, and at the rate of the target.

    Clients that come again at once keep all forty under way, so their delay is forty over the rate, whatever a
    session costs; what a client waits is told by the second row. "cores busy" is of the whole machine, with the clients
    and the database: where it comes near to all there are, more coordinators cannot answer more.
    """
    results = await _loads([stand.coordinator()], "SQLite")
    with postgres_server(durable=True) as postgres, tempfile.TemporaryDirectory() as blobs:
        ports = [free_port() for _ in range(2)]
        shared = {
            "LIVEREACTOR_COORDINATOR__WORKER_URL": f"http://127.0.0.1:{ports[0]}",
            "LIVEREACTOR_STORE__URL": postgres.url(postgres.create_database()),
            "LIVEREACTOR_BLOBS__URL": blobs,
            "LIVEREACTOR_COORDINATOR__SECRET": secrets.token_hex(32),
        }
        first, second = (_one_of_several(stand, port, shared) for port in ports)
        results += await _loads([first], "Postgres")
        results += await _loads([first, second], "Postgres, two coordinators")
    return results


def _one_of_several(stand: Stand, port: int, shared: Mapping[str, str]) -> Coordinator:
    environment = {**shared, "LIVEREACTOR_COORDINATOR__PEER_URL": f"http://127.0.0.1:{port}"}
    return stand.coordinator(environment=environment, port=port)


async def _loads(servers: Sequence[Coordinator], name: str) -> list[Result]:
    return [
        await _load(servers, f"{LOAD_CLIENTS} clients, {name}", rate=0),
        await _load(servers, f"{LOAD_RATE} a second, {name}", rate=LOAD_RATE / LOAD_CLIENTS),
    ]


async def _load(servers: Sequence[Coordinator], name: str, *, rate: float) -> Result:
    token = servers[0].token()
    command = [
        sys.executable, "-m", "locust", "--headless", "--only-summary", "--json", "--loglevel", "ERROR",
        "-f", str(REPOSITORY / "bench" / "locust_sessions.py"), "-u", str(LOAD_CLIENTS), "-r", str(LOAD_CLIENTS),
        "-t", f"{LOAD_SECONDS}s",
    ]  # fmt: skip
    urls = " ".join(server.url for server in servers)
    before = psutil.cpu_times()
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={**os.environ, "BENCH_URLS": urls, "BENCH_TOKEN": token, "BENCH_RATE": str(rate)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LOAD_SECONDS + 60,
    )
    busy = _busy(before, psutil.cpu_times())
    row = next(each for each in json.loads(done.stdout) if each["name"] == "create")
    seconds = row["last_request_timestamp"] - row["start_time"]
    values = {"per second": row["num_requests"] / seconds, "failed": row["num_failures"], **_percentiles(row)}
    values["cores busy"] = busy
    return Result("P18", OURS, "locust", name, values, "sessions/s, ms", row["num_requests"])


def _busy(before: Any, after: Any) -> float:
    """Cores of this machine that were busy in between."""
    spent = {name: getattr(after, name) - getattr(before, name) for name in before._fields}
    idle = spent["idle"] + spent.get("iowait", 0.0)
    return (os.cpu_count() or 1) * (1.0 - idle / sum(spent.values()))


def _percentiles(row: dict[str, object]) -> dict[str, float]:
    """Of locust's histogram: milliseconds to counts."""
    counts = sorted((float(key), int(count)) for key, count in dict(row["response_times"]).items())  # type: ignore[call-overload]
    total = sum(count for _, count in counts)
    found: dict[str, float] = {}
    seen = 0
    for milliseconds, count in counts:
        seen += count
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            if name not in found and seen >= share * total:
                found[name] = milliseconds
    return found


async def p19(stand: Stand) -> Sequence[Result]:
    """One worker: its session ends, and the open long poll of whoever waits says that it is ready."""
    times: list[float | None] = []
    async with _http(stand.coordinator()) as http:
        holder = await _ready(http, await _create(http))
        for _ in range(ADMISSIONS):
            waiting = await _create(http)
            poll = asyncio.create_task(_ready(http, waiting))
            await _queued(http, waiting)
            freed = time.perf_counter()
            (await http.delete(f"/sessions/{holder}")).raise_for_status()
            holder = await poll
            times.append((time.perf_counter() - freed) * 1e3)
        await http.delete(f"/sessions/{holder}")
    return [Result("P19", OURS, "long poll", "session ended to the next one ready", spread(times), "ms", len(times))]


async def p20(stand: Stand) -> Sequence[Result]:
    """A worker with a session that no client has reached is killed: told, and ready on another worker."""
    told: list[float | None] = []
    again: list[float | None] = []
    server = stand.coordinator(arguments=("--max-workers", "2", "--min-ready", "2"))
    async with _http(server) as http:
        for _ in range(LOSSES):
            server.wait_for_worker(count=2)
            session = await _ready(http, await _create(http))
            seen = (await http.get(f"/sessions/{session}", params={"wait": 0})).json()
            poll = asyncio.create_task(
                http.get(f"/sessions/{session}", params={"version": seen["version"], "wait": 20})
            )
            worker = next(each for each in server.workers() if session in json.dumps(each))
            killed = time.perf_counter()
            os.kill(worker["pid"], signal.SIGKILL)
            (await poll).raise_for_status()
            told.append((time.perf_counter() - killed) * 1e3)
            await _ready(http, session)
            again.append((time.perf_counter() - killed) * 1e3)
            await http.delete(f"/sessions/{session}")
    rows = {"worker killed to client told": told, "worker killed to ready on another": again}
    return [Result("P20", OURS, "long poll", name, spread(values), "ms", LOSSES) for name, values in rows.items()]


@asynccontextmanager
async def _http(server: Coordinator) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {server.token()}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=60.0) as http:
        yield http


async def _create(http: httpx2.AsyncClient) -> str:
    answer = await http.post("/sessions", json={"model": {"name": "conformance"}})
    return str(answer.raise_for_status().json()["session_id"])


async def _ready(http: httpx2.AsyncClient, session: str) -> str:
    while True:
        state = (await http.get(f"/sessions/{session}")).raise_for_status().json()
        if "capabilities" in state:
            return session
        if state["state"] == "CLOSED":
            raise ConnectionError(f"the session ended: {state.get('end_reason')}")


async def _queued(http: httpx2.AsyncClient, session: str) -> None:
    state = (await http.get(f"/sessions/{session}", params={"wait": 0})).raise_for_status().json()
    if "queue" not in state:
        raise RuntimeError(f"the session does not wait: {state}")


FIGURES = (
    Figure(
        "P4",
        "connect() to ready through the coordinator, with token and session",
        "own client 40 / 70 ms; Python 1.13 60 / 90; JavaScript 210 / 250",
        p4,
    ),
    Figure("P18", "session creations a second, 40 clients from another process", "600/s, p99 30 ms", p18, long=True),
    Figure("P19", "from a free worker to the waiting client's answer", "50 ms", p19),
    Figure(
        "P20",
        "from a killed worker to the client's notice, and to its session on another worker",
        "300 ms, 1,500 ms",
        p20,
        long=True,
    ),
)
