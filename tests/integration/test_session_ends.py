"""Nothing of one Session reaches the next, whatever goes wrong in between."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import structlog

import livereactor as lr
from livereactor.base.errors import LivereactorError
from livereactor.base.limits import Limits
from livereactor.blobs.port import BlobKey
from livereactor.engine.port import PeerConfig
from livereactor.protocol import messages as m
from livereactor.runtime.interfaces import MessageOut, MessageSent
from tests.integration.models import OpenFails, Plain, StreamFails
from tests.integration.rig import Caller, Served, next_session_works, serving
from tests.tools.client_side import ClientSide

PATIENCE = 30.0  # seconds for what takes a moment on an idle machine
SLOT = {"name": "a.txt", "size": 2, "mime_type": "text/plain"}


async def next_user(served: Served, caller: Caller) -> Caller:
    await served.http.post("/stop_session")
    await caller.gone()
    return await served.client(await served.start_session())


async def test_a_file_of_the_user_before_never_reaches_the_model_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        alice = await served.client(sid)
        await alice.synced()
        slot = (await served.http.post(f"/sessions/{sid}/uploads", json=SLOT)).json()
        await served.http.put(slot["presigned_url"].removeprefix("http://localhost:8080"), content=b"hi")
        store: Any = served.blobs
        reading, go, get = asyncio.Event(), asyncio.Event(), store.get

        async def slowly(key: BlobKey) -> bytes:
            data = await get(key)
            reading.set()
            await go.wait()
            return data

        monkeypatch.setattr(store, "get", slowly)
        alice.say(m.FileUploaded(m.UploadReference(slot["presigned_id"], "a.txt", "text/plain", 2)))
        await asyncio.wait_for(reading.wait(), PATIENCE)
        bob = await next_user(served, alice)
        await bob.synced()
        go.set()
        bob.begin("echo", text="mine")
        bob.begin("echo", text="last")
        heard = [(await bob.hear_of(m.ModelMessage)).data["text"] for _ in range(4)]
        assert sorted(heard) == ["all last", "all mine", "last", "mine"]


async def test_what_was_said_in_a_session_before_is_not_told_to_the_next() -> None:
    async with serving(Plain) as served:
        alice = await served.client(await served.start_session())
        await alice.synced()
        bob = await next_user(served, alice)
        await bob.synced()
        late = [MessageSent(MessageOut("said", {"text": f"in session {n}"}), None, session=n) for n in (1, 2)]
        for said in late:
            served.runtime.model_event(said)
        assert (await bob.hear_of(m.ModelMessage)).data["text"] == "in session 2"


class Prompted(Plain):
    """Fails with what its user wrote."""

    def open(self, session: lr.Session) -> None:
        super().open(session)
        self.prompt = ""

    @lr.command
    def set_it(self, text: str) -> None:
        self.prompt = text

    def stream(self) -> Iterator[Any]:
        while True:
            if self.prompt:
                raise ValueError(f"cannot draw {self.prompt}")
            yield np.zeros((48, 64, 3), np.uint8)


async def test_what_a_user_wrote_is_in_no_health_no_answer_and_no_line_but_the_traceback() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(Prompted) as served:
            alice = await served.client(await served.start_session(), resume=["main_video"])
            await alice.command("set_it", text="my secret")
            await alice.gone()
            await served.state("ready")
            health = await served.http.get("/health")
            assert re.search(r"stopped with an error at test_session_ends.py:\d+", health.json()["detail"])
            assert "secret" not in health.text
    assert "secret" not in str(logs)


async def test_every_line_of_a_session_carries_its_id() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(Plain) as served:
            sid = await served.start_session()
            caller = await served.client(sid)
            caller.say(m.PeerFault("x" * 1000, "broken"))
            for _ in range(20):
                caller.say(m.PeerFault("y", "broken"))
            await caller.synced()
            await served.http.post("/stop_session")
            await caller.gone()
            await served.state("ready")
    for line in ("session state", "client joined", "connection closed", "client reports an error"):
        found = [each for each in logs if each["event"] == line and each.get("before") != "created"]
        assert found, line
        assert {each["session"] for each in found} == {sid}, line
    (fault,) = [each for each in logs if each["event"] == "client reports an error"]
    assert fault["code"] == "x" * 64


async def test_starting_and_stopping_at_will_fills_no_log() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(Plain) as served:
            for _ in range(20):
                await served.start_session()
                await served.http.post("/stop_session", json={"reason": "r" * 50})
                await served.state("ready")
            figures = (await served.http.get("/metrics")).text
    assert len([each for each in logs if each["event"] in ("session state", "session closed")]) < 8
    assert 'livereactor_sessions_total{reason="other"} 20.0' in figures
    assert "rrr" not in figures


async def test_a_session_that_a_bug_keeps_from_opening_ends_and_the_next_works(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        stage = served.runtime.model_thread
        with monkeypatch.context() as broken:
            broken.setattr(stage.runner, "open", lambda start: 1 / 0)
            await served.start_session()
            await served.state("ready")
        with monkeypatch.context() as broken:
            broken.setattr(stage, "open", lambda start: 1 / 0)
            await served.start_session()
            await served.state("ready")
        await next_session_works(served)


async def test_a_model_that_cannot_be_tidied_up_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        await served.start_session()
        monkeypatch.setattr(served.runtime.model_thread.runner, "close", lambda: 1 / 0)
        await served.http.post("/stop_session")
        await served.state("terminated")
        assert (await asyncio.wait_for(served.runtime.ended, PATIENCE)) is not None
        monkeypatch.undo()


async def test_a_store_that_breaks_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        await served.start_session()

        async def broken(prefix: BlobKey) -> None:
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(served.blobs, "delete_prefix", broken)
            await served.http.post("/stop_session")
            await served.state("ready")
        await next_session_works(served)


async def test_calls_that_wait_for_a_broken_store_get_their_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        caller = await served.client(sid)
        await caller.synced()
        upload = (await served.http.post(f"/sessions/{sid}/uploads", json=SLOT)).json()

        async def broken(key: BlobKey) -> bytes:
            raise OSError("the disk is away")

        monkeypatch.setattr(served.blobs, "get", broken)
        caller.say(m.Command("read", {}, {"file": m.UploadReference(upload["presigned_id"])}, "data_r"))
        behind = caller.begin("note", text="behind it")
        await served.http.put(upload["presigned_url"].removeprefix("http://localhost:8080"), content=b"hi")
        assert (await caller.outcome("data_r")).code == "internal_error"
        assert isinstance(await caller.outcome(behind), m.Ack)


async def test_what_waits_for_a_file_goes_with_its_client() -> None:
    async with serving(Plain, limits=Limits(upload_wait=60)) as served:
        sid = await served.start_session()
        caller, other = await served.client(sid), await served.client(sid)
        upload = (await served.http.post(f"/sessions/{sid}/uploads", json=SLOT)).json()["presigned_id"]
        caller.say(m.Command("read", {}, {"file": m.UploadReference(upload)}, "data_r"))
        caller.begin("note", text="of one who has gone")
        calls = served.runtime.calls
        await other.synced()
        assert caller.number in calls.waiting
        await caller.side.aclose()
        await served.until(lambda: caller.number not in calls.waiting)
        assert "of one who has gone" not in await other.told()


# --- a newer version ---


class Better(Plain):
    def load(self) -> None:
        self.better = True


class LoadBreaks(Plain):
    def load(self) -> None:
        raise ValueError("no such layer")


async def test_a_version_that_does_not_load_leaves_the_one_before_as_it_was() -> None:
    async with serving(Plain, options={"reloads": True}) as served:
        runtime = served.runtime
        before = served.runtime.model_thread.runner.model
        with structlog.testing.capture_logs() as logs:
            assert not await runtime.reload(LoadBreaks, False)
        assert len([each for each in logs if "no such layer" in str(each)]) == 1
        assert runtime.describe()["model"]["name"] == "plain"
        assert runtime.model_thread.runner.model is before
        await next_session_works(served)
        assert await runtime.reload(Better, False)
        assert runtime.describe()["model"]["name"] == "better"
        await next_session_works(served)


async def test_open_may_fail_as_often_as_its_author_needs_to_mend_it() -> None:
    OpenFails.failures = 3
    async with serving(OpenFails, options={"reloads": True}) as served:
        for _ in range(3):
            await served.start_session()
            await served.state("ready")
        await next_session_works(served)


async def test_a_newer_version_follows_a_crash() -> None:
    async with serving(StreamFails, options={"reloads": True}) as served:
        caller = await served.client(await served.start_session(), resume=["main_video"])
        await caller.command("fail")
        await caller.gone()
        await served.state("ready")
        assert await served.runtime.reload(Better, False)
        assert "detail" not in (await served.http.get("/health")).json()
        await next_session_works(served)


async def test_offers_that_cannot_be_answered_fill_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(Plain) as served:
            sid = await served.start_session()
            side = await ClientSide.make(served.engine, PeerConfig())
            body = await served.offer_text(side, ("data", "control"))

            async def refused(*_: object) -> None:
                raise LivereactorError("no more peers")

            monkeypatch.setattr(served.engine, "peer", refused)
            for number in range(2000, 2010):
                path = served.path(sid, f"connections/{number}/sdp_params")
                assert (await served.http.post(path, json=body)).status_code == 202
                assert (await served.http.get(path)).status_code == 500
            await side.aclose()
    (line,) = [each for each in logs if each["event"] == "offer not answered"]
    assert line["session"] == sid
