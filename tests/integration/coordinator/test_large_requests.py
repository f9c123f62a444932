"""What is too large for a Worker's socket goes no further: whoever sends it is told, and nobody else is disturbed."""

from __future__ import annotations

import asyncio

import pytest

from livereactor.base.errors import TooLargeError
from livereactor.base.limits import Limits
from livereactor.coordinator.options import SIGNALLING_BYTES
from livereactor.coordinator.worker_sockets import WorkerSocket
from livereactor.protocol import link
from tests.integration.coordinator.asking import must_be_problem
from tests.integration.coordinator.rig import coordinating
from tests.integration.models import Plain
from tests.integration.worker.serving import working

RTC = "/transport/webrtc"


@pytest.mark.parametrize(
    ("path", "character", "limit"),  # a character is two, six and three bytes of JSON
    [
        ("/ice_candidates", '"', SIGNALLING_BYTES),
        ("/connections/5001/sdp_params", "\x01", SIGNALLING_BYTES),
        ("/connections", "€", Limits().json_body_bytes),
    ],
)
async def test_no_viewer_can_cut_the_workers_socket_by_a_body(
    path: str, character: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with coordinating(models=("plain",)) as served, working(Plain, served.url, secret=served.secrets.worker):
        session = await served.session("plain")
        await served.ready(session)
        shared = await served.http.post(f"/sessions/{session}/share", json={})
        viewer = {"Authorization": f"Bearer {shared.json()['jwt']}"}
        greeted = list[str]()
        hello = served.service.hello

        async def counted(frame: link.Hello) -> link.Welcome | link.Refused:
            greeted.append(frame.worker)
            return await hello(frame)

        monkeypatch.setattr(served.service, "hello", counted)
        for size in (limit + 3, 1024 * 1024):
            body = (character * size).encode()[: 1024 * 1024].decode(errors="ignore")
            answer = await served.http.post(f"/sessions/{session}{RTC}{path}", content=body, headers=viewer)
            assert str(limit) in must_be_problem(answer, 413, "MESSAGE_TOO_LARGE")
        largest = (character * SIGNALLING_BYTES).encode()[:SIGNALLING_BYTES].decode(errors="ignore")
        answer = await served.http.post(f"/sessions/{session}{RTC}/ice_candidates", content=largest, headers=viewer)
        assert answer.status_code == 400, answer.text  # it has come to the Worker, which reads it
        assert (await served.http.post(f"/sessions/{session}{RTC}/connections")).status_code == 201
        assert greeted == []  # the Worker did not have to come back


class _Socket:
    def __init__(self) -> None:
        self.sent: asyncio.Queue[str] = asyncio.Queue()

    async def send_text(self, data: str) -> None:
        self.sent.put_nowait(data)

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        raise AssertionError("it stays open")


@pytest.mark.parametrize("body", ['"' * (link.FRAME_BYTES // 2), "€" * (link.FRAME_BYTES // 3)])
async def test_a_frame_that_no_socket_takes_is_refused_to_whoever_asked(body: str) -> None:
    socket = _Socket()
    worker = WorkerSocket("w1", socket)
    writing = asyncio.create_task(worker.write())
    request = link.Request(id=0, method="POST", path="/x", body=body)
    with pytest.raises(TooLargeError, match=str(link.FRAME_BYTES)):
        await worker.ask(request, timeout=5)
    assert worker.is_open
    asking = asyncio.create_task(worker.ask(request.model_copy(update={"body": body[:-100]}), timeout=5))
    sent = await socket.sent.get()
    assert len(sent.encode()) <= link.FRAME_BYTES
    frame = link.read_from_coordinator(sent)
    assert isinstance(frame, link.Request)
    worker.answered(link.Reply(id=frame.id, status=200))
    assert (await asking).status == 200
    writing.cancel()
