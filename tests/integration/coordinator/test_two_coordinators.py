"""Two coordinators on one store: what one decides the other's clients and workers hear of, and no call minds which."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from livereactor.coordinator.cluster import forwarding, notices
from livereactor.coordinator.cluster.forwarding import PATH
from livereactor.protocol import link
from livereactor.store.memory.notices import MemoryNotices
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Store
from tests.integration.coordinator.asking import must_be_problem, until
from tests.integration.coordinator.rig import FakeWorker, Served, as_json, coordinating, dialled, hello, working

CONNECTED = as_json({"connection_id": 5001}, 201)


@pytest.fixture(autouse=True)
def _only_by_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks at the events, once a second, find all of this too: nobody looks."""
    monkeypatch.setattr(notices, "EVERY", 3600.0)


@asynccontextmanager
async def two(store: Store | None = None) -> AsyncGenerator[tuple[Served, Served]]:
    store, others = store or MemoryStore(), set[MemoryNotices]()
    async with coordinating(store=store, others=others) as here, coordinating(store=store, others=others) as there:
        await until_so(lambda: len(others) == 2)
        yield here, there


async def until_so(holds: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return holds()

    await until(asked)


async def connect(served: Served, session: str) -> httpx2.Response:
    return await served.http.post(f"/sessions/{session}/transport/webrtc/connections", json={})


async def test_a_session_made_here_runs_on_a_worker_that_dialled_there_and_is_asked_through_it() -> None:
    async with two() as (here, there), working(there, answer=CONNECTED) as worker:
        session = await here.session()
        await here.ready(session)  # it never beats by itself: that it was assigned it heard by a notice
        answer = await connect(here, session)
        assert (answer.status_code, answer.json()) == (201, {"connection_id": 5001})
        assert (await connect(there, session)).status_code == 201
        assert [each.fence for each in worker.requests] == [1, 1]
        assert (await here.http.delete(f"/sessions/{session}")).status_code == 204
        await worker.hear(link.End)


async def test_a_poll_that_is_held_here_hears_of_what_was_decided_there() -> None:
    async with two() as (here, there), working(there) as worker:
        session = await there.session()
        version = (await there.ready(session))["version"]
        poll = asyncio.create_task(here.http.get(f"/sessions/{session}?wait=20&version={version}"))
        await poll_held(here)
        await worker.phase("streaming")
        view = (await poll).json()
        assert view["version"] != version
        poll = asyncio.create_task(here.http.get(f"/sessions/{session}?wait=20&version={view['version']}"))
        await poll_held(here)
        assert (await there.http.delete(f"/sessions/{session}")).status_code == 204
        assert (await poll).json()["state"] == "CLOSED"


async def poll_held(served: Served) -> None:
    """Wait until one poll is held."""

    async def counted() -> bool:
        return "livereactor_held_polls 1.0" in (await served.http.get("/metrics")).text

    await until(counted)


async def test_a_ticket_made_here_is_served_by_a_slot_that_becomes_free_there() -> None:
    async with two() as (here, there), working(there) as worker:
        first = await here.session()
        await here.ready(first)
        second = await here.session()
        poll = asyncio.create_task(here.http.get(f"/sessions/{second}"))
        await poll_held(here)
        await here.http.delete(f"/sessions/{first}")
        assert "capabilities" in (await poll).json()
        assert worker.reports[0].session == second


async def test_a_request_waits_for_a_worker_that_comes_to_another_coordinator_meanwhile() -> None:
    async with two() as (here, there):
        async with working(here) as before:
            session = await here.session()
            await here.ready(session)
            reports = dict(before.reports)
            await here.links.hand_over(1.0)
            waiting = asyncio.create_task(connect(here, session))
            await until_so(lambda: len(here.links) == 0)
        async with coming_back(there, before, reports) as after:
            answer = await waiting
            assert (answer.status_code, answer.json()) == (201, {"connection_id": 5001})
            assert len(after.requests) == 1


@asynccontextmanager
async def coming_back(
    served: Served, before: FakeWorker, reports: dict[int, link.SlotReport]
) -> AsyncGenerator[FakeWorker]:
    """The same process dials in there, with what it has."""
    async with dialled(served) as socket:
        worker = FakeWorker(socket, before.name, before.incarnation, before.slots, answer=CONNECTED, reports=reports)
        listening = asyncio.create_task(worker.listen())
        try:
            await worker.say(hello(worker).model_copy(update={"slots": list(reports.values())}))
            await worker.hear(link.Welcome)
            yield worker
        finally:
            listening.cancel()


async def test_the_socket_that_a_worker_left_without_a_word_is_closed_once_it_has_another_there() -> None:
    async with two() as (here, there), working(here) as before, coming_back(there, before, {0: link.SlotReport(n=0)}):
        await until_so(lambda: not here.links.is_here("w1"))
        assert there.links.is_here("w1")


async def test_what_a_worker_was_asked_it_answers_before_it_is_sent_to_another_coordinator() -> None:
    async with two() as (here, _), working(here, answer=lambda request: None) as worker:
        session = await here.session()
        await here.ready(session)
        asked = asyncio.create_task(connect(here, session))
        await until_so(lambda: bool(worker.requests))
        leaving = asyncio.create_task(here.links.hand_over(20.0))
        await asyncio.sleep(0)
        assert not leaving.done()
        await worker.say(link.Reply(id=worker.requests[0].id, status=201, body="{}"))
        assert (await asked).status_code == 201
        await leaving
        assert len(here.links) == 0


async def test_a_coordinator_that_ends_takes_no_more_workers_and_says_that_it_is_unwell() -> None:
    async with two() as (here, _):
        here.service.is_leaving = True
        await here.links.hand_over(1.0)
        answer = await here.http.get("/health")
        assert (answer.status_code, "this coordinator is stopping" in answer.json()["detail"]) == (503, True)
        with pytest.raises(Exception, match="503"):
            async with working(here):
                pass


async def test_a_coordinator_that_is_dead_is_asked_in_vain_and_the_client_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forwarding, "RETURN", 0.3)
    store, others = MemoryStore(), set[MemoryNotices]()
    async with coordinating(store=store, others=others) as here:
        async with coordinating(store=store, others=others) as there, working(there):
            session = await there.session()
            await there.ready(session)
        began = time.monotonic()
        answer = await connect(here, session)
        assert must_be_problem(answer, 503, "UNAVAILABLE")
        assert time.monotonic() - began < 10


async def test_only_who_knows_the_worker_secret_asks_a_worker_through_another_coordinator() -> None:
    request: dict[str, Any] = {"id": 0, "method": "GET", "path": "/metrics"}
    async with two() as (here, _), working(here):
        path = PATH.format(worker="w1") + "?timeout=5"
        must_be_problem(await here.http.post(path, json=request), 401, "UNAUTHORIZED")
        shown = {"Authorization": f"Bearer {here.secrets.worker}"}
        answer = await here.http.post(path, json=request, headers=shown)
        assert (answer.status_code, answer.json()["type"], answer.json()["status"]) == (200, "reply", 200)
        elsewhere = PATH.format(worker="w2") + "?timeout=5"
        must_be_problem(await here.http.post(elsewhere, json=request, headers=shown), 404, "NOT_FOUND")
        must_be_problem(await here.http.post(path, json={"type": "hello"}, headers=shown), 400, "BAD_REQUEST")
