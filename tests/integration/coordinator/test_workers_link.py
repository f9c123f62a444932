"""`/workers/link` from the coordinator's side: who is let in, what is borne, and what never waits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from livereactor.coordinator import worker_sockets
from livereactor.coordinator.cluster import forwarding
from livereactor.coordinator.http.routes import workers
from livereactor.protocol import link
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import StoreUnavailableError
from tests.integration.coordinator.asking import must_be_problem, until
from tests.integration.coordinator.rig import FakeWorker, Served, coordinating, dialled, hello, working


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """How the coordinator closes it."""
    async with asyncio.timeout(10):
        await socket.wait_closed()
    return socket.close_code, socket.close_reason


async def frame(socket: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return link.read_from_coordinator(await socket.recv())


async def test_without_the_worker_secret_there_is_a_problem_and_no_socket() -> None:
    async with coordinating() as served:
        for shown in ("wrong", served.key):
            with pytest.raises(InvalidStatus) as refused:
                async with dialled(served, secret=shown):
                    pass
            response = refused.value.response
            assert response.status_code == 401
            assert json.loads(response.body or b"{}")["code"] == "UNAUTHORIZED"


async def test_no_more_sockets_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SOCKETS", 1)
    async with coordinating() as served, working(served):
        with pytest.raises(InvalidStatus) as refused:
            async with dialled(served):
                pass
        assert refused.value.response.status_code == 503
        assert b"1 of 1 workers are connected here" in (refused.value.response.body or b"")


async def test_the_first_frame_has_to_be_a_hello_and_has_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async with coordinating() as served:
        for first in (link.write(link.Beat(number=1, state="ready")), "{", b"\xff"):
            async with dialled(served) as socket:
                await socket.send(first)
                assert (await frame(socket)).code == "bad_frame"
                assert await closed(socket) == (1008, "bad_frame")
        monkeypatch.setattr(workers, "HELLO_WAIT", 0.05)
        async with dialled(served) as silent:
            assert (await frame(silent)).code == "bad_frame"


async def test_a_few_bad_frames_are_borne_and_told_and_then_no_more() -> None:
    async with coordinating() as served, working(served) as worker:
        for number in range(1, workers.BAD_FRAMES):
            await worker.socket.send("nonsense")
            assert (await worker.hear(link.Refused, count=number)).code == "bad_frame"
        await worker.beat()
        assert (await worker.hear(link.Renewed)).number == worker.number
        await worker.socket.send("nonsense")
        await worker.hear(link.Refused, count=workers.BAD_FRAMES)
        await worker.socket.wait_closed()
        assert worker.socket.close_code == 1008


async def test_the_newest_socket_of_a_worker_wins_and_its_session_goes_on() -> None:
    async with coordinating() as served, working(served) as worker:
        session = await served.session()
        await served.ready(session)
        async with dialled(served) as socket:
            await socket.send(link.write(hello(worker).model_copy(update={"slots": list(worker.reports.values())})))
            assert (await frame(socket)).held == [0]
            await worker.socket.wait_closed()
            assert worker.socket.close_reason == "the worker opened another socket"
            asking = asyncio.create_task(served.http.post(f"/sessions/{session}/transport/webrtc/connections"))
            request = await frame(socket)
            await socket.send(link.write(link.Reply(id=request.id, status=201, body="{}")))
            assert (await asking).status_code == 201


async def test_a_socket_is_one_workers() -> None:
    async with coordinating() as served, working(served) as worker:
        await worker.say(hello(worker).model_copy(update={"worker": "another"}))
        assert (await worker.hear(link.Refused)).code == "bad_frame"
        await worker.socket.wait_closed()
        assert not served.links.is_here("another")


async def test_a_goodbye_frees_the_worker_and_a_death_is_told_at_once() -> None:
    async with coordinating() as served, working(served) as first, working(served, name="w2"):
        await first.say(link.Bye())
        await first.socket.wait_closed()
        session = await served.session()
        assert (await served.ready(session))["state"] == "WAITING"
        async with httpx2.AsyncClient(base_url=served.url) as nobody:
            must_be_problem(await nobody.post("/workers/w2/died"), 401, "UNAUTHORIZED")
            must_be_problem(
                await nobody.post("/workers/w2/died", headers={"Authorization": f"Bearer {served.key}"}),
                401,
                "UNAUTHORIZED",
            )
            secret = {"Authorization": f"Bearer {served.secrets.worker}"}
            died = await nobody.post("/workers/w2/died", json={"reason": "exit code 137"}, headers=secret)
            assert died.status_code == 204
        # Before its first frame a Session waits for another Worker, once.
        told = (await served.http.get(f"/sessions/{session}?wait=0")).json()
        assert (told["state"], told["queue"]["position"]) == ("SUSPENDED", 1)


class HeldStore(MemoryStore):
    """Away while told to be."""

    away = False

    async def transact(self, work: Any) -> Any:
        if self.away:
            raise StoreUnavailableError("gone")
        return await super().transact(work)


async def test_what_a_worker_reports_while_the_store_is_away_is_written_down_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "STORE_RETRY", 0.02)
    store = HeldStore()
    async with coordinating(store=store) as served, working(served) as worker:
        session = await served.session()
        await served.ready(session)
        store.away = True
        report = link.SessionReport(slot=0, session=session, fence=1, phase="closed", reason="idle")
        await worker.say(report)
        await worker.say(link.Reply(id=99, status=200))  # which waits for nothing
        store.away = False

        async def is_over() -> bool:
            return (await served.http.get(f"/sessions/{session}?wait=0")).json().get("end_reason") == "idle"

        await until(is_over)


async def test_frames_that_wait_for_the_store_are_bounded_and_beats_replace_each_other() -> None:
    store = HeldStore()
    async with coordinating(store=store) as served, working(served) as worker:
        session = await served.session()
        await served.ready(session)
        store.away = True
        for _ in range(workers.WAITING * 2):
            await worker.beat()
        assert worker.socket.close_code is None
        for _ in range(workers.WAITING * 2):
            await worker.say(link.SessionReport(slot=0, session=session, fence=1, phase="streaming"))
        await worker.socket.wait_closed()
        assert worker.socket.close_code == 1013


async def test_a_worker_that_reads_nothing_holds_up_nobody_and_loses_its_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_sockets, "QUEUED_BYTES", 300_000)
    monkeypatch.setattr(worker_sockets, "SEND_WAIT", 0.5)
    monkeypatch.setattr(forwarding, "RETURN", 0.1)
    async with coordinating() as served, dialled(served) as deaf, working(served, name="w2", model="pond") as other:
        worker = FakeWorker(deaf, "w1", "a" * 16, 1)
        await worker.say(hello(worker))
        await frame(deaf)
        sessions = [await served.session(), await served.session()]
        mine = (await other.hear(link.Assign)).session
        stuck = next(each for each in sessions if each != mine)
        await _accept(served, worker, stuck)
        deaf.transport.pause_reading()
        body = {"sdp_offer": "v" * 200_000}
        path = f"/sessions/{stuck}/transport/webrtc/sdp_params"
        asking = [asyncio.create_task(served.http.post(path, json=body)) for _ in range(60)]
        answer = await served.http.post(f"/sessions/{mine}/transport/webrtc/connections")
        assert answer.status_code == 200
        for refused in await asyncio.gather(*asking):
            must_be_problem(refused, 503, "UNAVAILABLE")
        assert not served.links.is_here("w1")
        deaf.transport.resume_reading()


async def _accept(served: Served, worker: FakeWorker, session: str) -> None:
    worker.reports[0] = link.SlotReport(n=0, phase="accepting", session=session, fence=1)
    await worker.beat()
    await served.ready(session)
