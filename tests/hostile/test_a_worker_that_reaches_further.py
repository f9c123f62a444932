"""A worker's credential that is shown for another worker, another model, or a session that the worker does not hold."""

from __future__ import annotations

import json
import time
import uuid

import httpx2

from livereactor.blobs.clips import asked_key, chunk, made_key, part_key, recording_key
from livereactor.blobs.journals import recorded_key
from livereactor.blobs.port import BlobKey
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, credential
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from tests.integration.coordinator.rig import FakeWorker, Served, coordinating, dialled, hello, working

SESSION_SCOPED = ("recorded", "recordings", "clips", "sessions")


def shown(served: Served, worker: str, model: str = "pond", **more: bool) -> str:
    return credential(served.secrets.worker, WorkerIdentity(worker, model, **more))


async def answer_to(
    served: Served, secret: str, name: str, model: str = "pond", incarnation: str = "incarnation-1"
) -> link.FromCoordinator:
    """What the coordinator says to a hello of that worker and model."""
    async with dialled(served, secret) as socket:
        worker = FakeWorker(socket, name, incarnation, 1)
        await worker.say(hello(worker, model))
        return link.read_from_coordinator(await socket.recv())


def asking(served: Served, secret: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=f"{served.url}/internal/blobs/", headers={"Authorization": f"Bearer {secret}"})


async def test_a_credential_registers_its_worker_and_its_model_alone() -> None:
    async with coordinating(models=("pond", "garden")) as served, working(served, name="live") as live:
        own = shown(served, "w1")
        assert isinstance(await answer_to(served, own, "w1"), link.Welcome)
        for name, model in (("live", "pond"), ("w1-2", "pond"), ("w1", "garden")):
            assert isinstance(await answer_to(served, own, name, model), link.Refused), (name, model)
        assert served.links.is_here("live")  # it was not hung up on
        await live.beat()
        await live.hear(link.Renewed)
        async with httpx2.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {own}"}) as http:
            assert (await http.post("/workers/live/died")).status_code == 403
            ask = await http.post(
                "/internal/workers/live/requests?timeout=1",
                json=link.Request(id=0, slot=0, method="GET", path="/metrics").model_dump(),
            )
            assert ask.status_code == 403
            assert (await http.get("/sessions")).status_code == 401
        assert served.links.is_here("live")


async def test_a_family_is_the_processes_of_one_supervisor() -> None:
    async with coordinating() as served:
        own = shown(served, "gpu-1", is_family=True)
        assert isinstance(await answer_to(served, own, "gpu-1-0a1b"), link.Welcome)
        assert isinstance(await answer_to(served, own, "gpu-10"), link.Refused)


async def test_a_changed_or_expired_credential_is_none() -> None:
    async with coordinating() as served:
        own = shown(served, "w1")
        late = credential(served.secrets.worker, WorkerIdentity("w1", "pond"), expires_at=int(time.time()) - 1)
        forged = credential("another secret of 32 characters..", WorkerIdentity("w1", "pond"))
        for each in (own[:-2] + "xx", late, forged, "wk_", "wk_e30.e30.e30"):
            async with asking(served, each) as http:
                assert (await http.get("sessions/any/file")).status_code == 401, each


async def test_a_credential_that_was_kept_registers_nobody_once_its_process_has_ended() -> None:
    async with coordinating() as served:
        since = int(time.time())
        own = credential(served.secrets.worker, WorkerIdentity("w1", "pond", since=since))
        assert isinstance(await answer_to(served, own, "w1"), link.Welcome)
        await served.service.worker_died("w1", reason="silent for 15 s")
        assert isinstance(await answer_to(served, own, "w1", incarnation="incarnation-2"), link.Welcome)
        await served.service.worker_died("w1", reason="its process ended", is_final=True)
        answer = await answer_to(served, own, "w1", incarnation="incarnation-3")
        assert isinstance(answer, link.Refused)
        assert "has ended" in answer.message
        old = WorkerIdentity("forgotten", "pond", since=since - round(CoordinatorOptions().kept) - 60)
        answer = await answer_to(served, credential(served.secrets.worker, old), "forgotten")
        assert isinstance(answer, link.Refused)
        assert "has ended" in answer.message
        young = WorkerIdentity("young", "pond", since=since)
        assert isinstance(await answer_to(served, credential(served.secrets.worker, young), "young"), link.Welcome)


async def test_uploads_are_read_while_their_session_is_held() -> None:
    async with coordinating() as served, working(served, name="w1") as worker:
        session = await served.session()
        await worker.hear(link.Assign)
        await served.ready(session)
        await served.blobs.put(BlobKey(f"sessions/{session}/a/content"), b"mine")
        await served.blobs.put(BlobKey("sessions/ses_other/a/content"), b"hidden")
        async with asking(served, shown(served, "w1")) as http:
            assert (await http.get(f"sessions/{session}/a/content")).content == b"mine"
            others = (
                "sessions/ses_other/a/content",
                "sessions?prefix=1",
                "sessions/ses_other?prefix=1",
                "keeping/full",
            )
            for path in (*others, "recordings?prefix=1", "recorded?prefix=1", "staging?prefix=1", "keeping/full"):
                assert (await http.get(path)).status_code == 404, path
                assert (await http.head(path)).status_code == 404, path
            for path in (*SESSION_SCOPED, f"sessions/{session}"):
                assert (await http.delete(path)).status_code == 403, path
            assert (await http.put(f"sessions/{session}/b/content", content=b"x")).status_code == 403
        async with asking(served, shown(served, "w2")) as http:
            assert (await http.get(f"sessions/{session}/a/content")).status_code == 404
        assert (await served.http.delete(f"/sessions/{session}")).status_code < 300
        async with asking(served, shown(served, "w1")) as http:
            assert (await http.get(f"sessions/{session}/a/content")).status_code == 404


async def test_recordings_and_clips_are_written_for_its_own_sessions_alone() -> None:
    async with coordinating() as served, working(served, name="w1") as worker:
        session = await served.session()
        await worker.hear(link.Assign)
        await served.ready(session)
        recording, clip, foreign = (str(uuid.uuid4()) for _ in range(3))
        await served.blobs.put(recording_key(foreign), json.dumps({"session": "ses_other", "account": "b"}).encode())
        about = {"session": session, "account": "acme", "recording": recording}
        made = {"init": f"recordings/{recording}/init.mp4", "parts": [[f"clips/{clip}/chunk_00000.m4s", 1.0]]}
        stolen = {"init": f"recordings/{foreign}/init.mp4", "parts": []}
        right = [
            (BlobKey(f"recordings/{recording}/journal-00000.jsonl"), b"{}"),
            (recording_key(recording), json.dumps(about).encode()),
            (part_key("recordings", recording, chunk(0)), b"bytes"),
            (recorded_key(session, recording), b""),
            (asked_key(clip), json.dumps(about).encode()),
            (part_key("clips", clip, chunk(0)), b"bytes"),
            (made_key(clip), json.dumps(made).encode()),
        ]
        wrong = [
            (part_key("recordings", foreign, chunk(7)), b"bytes"),
            (BlobKey(f"recordings/{foreign}/journal-00000.jsonl"), b"{}"),
            (recording_key(str(uuid.uuid4())), json.dumps({**about, "account": "b"}).encode()),
            (recording_key(str(uuid.uuid4())), json.dumps({**about, "session": "ses_other"}).encode()),
            (recording_key(str(uuid.uuid4())), b"[" * 100_000),
            (recorded_key("ses_other", recording), b""),
            (part_key("clips", str(uuid.uuid4()), chunk(0)), b"bytes"),
            (BlobKey("keeping/full"), b""),
        ]
        async with asking(served, shown(served, "w1")) as http:
            for key, data in wrong:
                assert (await http.put(key.path, content=data)).status_code == 403, key
            for key, data in right[:-1]:
                assert (await http.put(key.path, content=data)).status_code == 201, key
            assert (await http.put(made_key(clip).path, content=json.dumps(stolen).encode())).status_code == 403
            assert (await http.put(made_key(clip).path, content=right[-1][1])).status_code == 201
            await served.http.delete(f"/sessions/{session}")  # its end is stored behind it
            end = BlobKey(f"recordings/{recording}/end.json")
            assert (await http.put(end.path, content=b"{}")).status_code == 201
