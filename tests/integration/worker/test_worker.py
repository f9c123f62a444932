"""A Worker and a coordinator: registration, lease, Sessions, relay, end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import ClassVar

import cv2
import numpy as np
import pytest

from livereactor.base.errors import ModelLoadError, UnauthorizedError, UsageError
from livereactor.blobs.port import BlobKey
from livereactor.engine.port import MessageReceived
from livereactor.media.frames import Frame
from livereactor.protocol import link, v1
from livereactor.protocol import messages as m
from livereactor.runtime.worker.socket import WrongPlaceError
from livereactor.runtime.worker.worker import AT_ONCE
from tests.integration.models import Gate, LoadFails, Plain, WrongShape
from tests.integration.worker.serving import working
from tests.integration.worker.standin import StandIn, chattering, standing_in
from tests.tools.client_side import ClientSide


class Pair(Plain):
    """Two at once; loads are counted."""

    max_sessions = 2
    loads: ClassVar[list[int]] = []

    def load(self) -> None:
        type(self).loads.append(len(type(self).loads) + 1)


async def test_a_worker_says_what_it_is_and_beats_until_its_model_is_there() -> None:
    Gate.loading.clear()
    async with standing_in() as coordinator, working(Gate, coordinator):
        hello = await coordinator.hear(link.Hello)
        assert (hello.worker, hello.model, hello.state) == ("w-1", "gate", "starting")
        assert hello.spec["max_sessions"] == 1
        assert {each["name"] for each in hello.spec["capabilities"]["tracks"]} >= {"main_video"}
        assert (await coordinator.hear(link.Beat)).state == "starting"
        Gate.loading.set()
        beat = await coordinator.ready()
        assert [(each.n, each.phase) for each in beat.slots] == [(0, "free")]


async def test_a_session_is_accepted_by_a_beat_served_and_reported_to_its_end() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.hear(link.Beat, lambda beat: beat.slots[0].phase == "accepting")
        assert (await coordinator.phase("waiting")).fence == fence
        side = await work.connect(coordinator, "ses_1", fence)
        assert (await coordinator.phase("streaming")).first_frame
        await side.aclose()
        assert (await coordinator.phase("orphaned")).first_frame
        await coordinator.say(link.End(slot=0, fence=fence, session="ses_1", reason="evicted"))
        closed = await coordinator.phase("closed")
        assert (closed.reason, closed.first_frame) == ("evicted", True)
        assert (await coordinator.hear(link.Beat)).slots[0].phase == "free"


async def test_a_request_is_answered_by_the_slot_that_holds_its_session_and_by_no_other() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        early = await coordinator.ask("GET", "/sessions/ses_1/transport/webrtc/ice_servers", fence=1)
        assert (early.status, json.loads(early.body)["code"]) == (409, "FENCED")
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        assert (await coordinator.ask("GET", "/sessions/ses_1/transport/webrtc/ice_servers", fence=fence)).status == 200
        older = await coordinator.ask("GET", "/sessions/ses_1/transport/webrtc/ice_servers", fence=fence - 1)
        assert older.status == 409
        other = await coordinator.ask("GET", "/sessions/ses_2/transport/webrtc/ice_servers", fence=fence)
        assert other.status == 404
        assert (await coordinator.ask("GET", "/no/such/route", fence=fence)).status == 404
        figures = await coordinator.ask("GET", "/metrics")
        assert "livereactor_sessions" in figures.body
        assert work.worker  # it lives


async def test_a_viewer_connects_and_may_not_command() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        side = await work.connect(coordinator, "ses_1", fence, role="viewer")
        outcome = await asked(side, m.Command("echo", {"text": "hello"}, request_id="data_1"))
        assert isinstance(outcome, m.Failure)
        assert outcome.code == "FORBIDDEN"


async def test_a_connection_that_may_not_record_is_told_so() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        both = ("data", "control")
        side = await work.connect(coordinator, "ses_1", fence, channels=both, records=False)
        for request in (m.RequestClip(1, "data_1"), m.RequestRecording("data_2")):
            refused = m.Failure(request.request_id, "FORBIDDEN", m.MAY_NOT_RECORD, "control")
            assert await asked(side, request) == refused
        granted = await work.connect(coordinator, "ses_1", fence, channels=both)
        outcome = await asked(granted, m.RequestClip(1, "data_1"))
        assert isinstance(outcome, m.ClipFailed)
        assert outcome.reason != m.MAY_NOT_RECORD  # of the recorder


async def test_windows_and_servers_of_a_session_are_the_coordinators() -> None:
    servers = [{"uris": ["turn:turn.example:3478"], "credentials": {"username": "u", "password": "p"}}]
    async with standing_in() as coordinator, working(Plain, coordinator):
        await coordinator.ready()
        fence = await coordinator.assign("ses_1", unclaimed_window=0.2, ice_servers=servers)
        await coordinator.phase("waiting")
        told = await coordinator.ask("GET", "/sessions/ses_1/transport/webrtc/ice_servers", fence=fence)
        assert json.loads(told.body)["ice_servers"] == servers
        assert (await coordinator.phase("closed")).reason == "timed_out"
        fence = await coordinator.assign("ses_2")
        await coordinator.phase("waiting")
        told = await coordinator.ask("GET", "/sessions/ses_2/transport/webrtc/ice_servers", fence=fence)
        assert json.loads(told.body)["ice_servers"] == [], "the last Session's servers"


async def test_a_start_that_breaks_the_schema_or_that_the_model_refuses_is_told_with_its_reason() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator):
        await coordinator.ready()
        await coordinator.assign("ses_1", starting_input={"state": {"level": 99}})
        closed = await coordinator.phase("closed")
        assert (closed.reason, "starting_input.state.level" in closed.detail) == ("start_refused", True)
        await coordinator.assign("ses_2", starting_input={"commands": [{"command": "refuse"}]})
        closed = await coordinator.phase("closed")
        assert (closed.session, closed.reason) == ("ses_2", "start_refused")
        assert "not now" in closed.detail
        await coordinator.assign("ses_3", steps="many")
        closed = await coordinator.phase("closed")
        assert (closed.reason, closed.detail.startswith("steps:")) == ("start_refused", True)
        await coordinator.assign("ses_4")
        assert (await coordinator.phase("waiting")).session == "ses_4"


async def test_what_the_model_breaks_is_told_as_error_with_the_place() -> None:
    async with standing_in() as coordinator, working(WrongShape, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        await work.connect(coordinator, "ses_1", fence, channels=("data",))
        closed = await coordinator.phase("closed")
        assert (closed.reason, closed.first_frame) == ("error", True)
        assert "stopped with an error" in closed.detail


async def test_a_worker_serves_as_many_sessions_as_its_model_allows_each_with_its_own_instance() -> None:
    async with standing_in() as coordinator, working(Pair, coordinator) as work:
        assert len((await coordinator.hear(link.Hello)).slots) == 2
        await coordinator.ready()
        assert Pair.loads == [1, 2]
        first = await coordinator.assign("ses_1", slot=0)
        await coordinator.phase("waiting")
        second = await coordinator.assign("ses_2", slot=1)
        await coordinator.phase("waiting")
        for slot, session, fence in ((0, "ses_1", first), (1, "ses_2", second)):
            await work.connect(coordinator, session, fence, slot=slot)
            assert (await coordinator.phase("streaming")).slot == slot
        await coordinator.say(link.End(slot=0, fence=first, session="ses_1"))
        assert (await coordinator.phase("closed")).slot == 0
        beat = await coordinator.hear(link.Beat, lambda beat: beat.slots[0].phase == "free")
        assert beat.slots[1].phase == "streaming"


async def test_a_thumbnail_is_a_small_jpeg_of_the_newest_picture() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        assert (await coordinator.ask("GET", "/thumbnail", fence=fence)).status == 404
        side = await work.connect(coordinator, "ses_1", fence)
        await picture(side)
        reply = await coordinator.ask("GET", "/thumbnail", fence=fence)
        assert (reply.status, reply.headers["content-type"]) == (200, "image/jpeg")
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(reply.base64), np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert pixels.shape == (48, 64, 3)


async def test_an_upload_is_announced_lands_in_the_coordinators_store_and_stays_there() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        key = BlobKey.parse("sessions/ses_1/up-1/content")
        body = {"name": "a.txt", "size": 5, "mime_type": "text/plain", "upload_id": "up-1", "key": key.path}
        for _ in range(2):  # told twice, as after a broken socket
            made = await coordinator.ask("POST", "/sessions/ses_1/uploads", body, fence=fence)
            assert made.status == 201, made.body
        taken = await coordinator.ask("POST", "/sessions/ses_1/uploads", {**body, "key": "other"}, fence=fence)
        assert taken.status == 409
        await work.blobs.put(key, b"hello")
        landed = await coordinator.ask("POST", "/sessions/ses_1/uploads/up-1/landed", fence=fence)
        assert landed.status == 204
        side = await work.connect(coordinator, "ses_1", fence)
        files = {"file": m.UploadReference("up-1", "a.txt", "text/plain", 5)}
        outcome = await asked(side, m.Command("read", {}, files, request_id="data_1"))
        assert isinstance(outcome, m.ModelMessage), outcome
        assert outcome.data == {"text": "hello"}
        await coordinator.say(link.End(slot=0, fence=fence, session="ses_1"))
        await coordinator.phase("closed")
        assert await work.blobs.get(key) == b"hello"


async def test_a_coordinator_that_comes_back_finds_the_session_running() -> None:
    standin = StandIn()
    async with standing_in(standin=standin) as coordinator:
        port = coordinator.port
        async with working(Plain, coordinator) as work:
            await coordinator.ready()
            fence = await coordinator.assign("ses_1")
            await coordinator.phase("waiting")
            side = await work.connect(coordinator, "ses_1", fence)
            await coordinator.phase("streaming")
            await coordinator.stop()
            async with standing_in(port, standin):
                hello = await coordinator.hear(link.Hello)
                assert (hello.slots[0].phase, hello.slots[0].session) == ("streaming", "ses_1")
                assert (await coordinator.phase("streaming")).first_frame
                assert side.state.value == "connected"
                assert (await coordinator.ask("GET", "/session", fence=fence)).status == 200


async def test_a_stale_worker_ends_its_session_without_a_word_to_its_client_and_registers_empty() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        before = await coordinator.hear(link.Hello)
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        side = await work.connect(coordinator, "ses_1", fence)
        await coordinator.phase("streaming")
        await asked(side, m.Command("note", {"text": "here"}, request_id="data_1"))
        coordinator.stale = True
        coordinator.holds.clear()
        await coordinator.hang_up()
        hello = await coordinator.hear(link.Hello, lambda hello: hello.incarnation != before.incarnation)
        assert [(each.phase, each.session) for each in hello.slots] == [("free", None)]
        await side.until(lambda: side.state.value == "closed")
        said = [v1.decode_server("data", each.data, limit=1 << 20) for each in await _rest(side)]
        assert not any(isinstance(each, m.SessionEnded) for each in said)


async def test_a_worker_told_to_drain_lets_its_session_finish_and_leaves() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        await coordinator.say(link.Drain(grace=10))
        await coordinator.hear(link.Beat, lambda beat: beat.state == "draining")
        assert not work.task.done()
        await coordinator.say(link.End(slot=0, fence=fence, session="ses_1"))
        assert (await coordinator.phase("closed")).reason == "stopped"
        await coordinator.hear(link.Bye)
        await asyncio.wait_for(work.task, 5)


async def test_a_session_longer_than_the_drain_is_evicted() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator) as work:
        await coordinator.ready()
        await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        work.worker.drain(0.1)
        assert (await coordinator.phase("closed")).reason == "evicted"
        await coordinator.hear(link.Bye)
        await asyncio.wait_for(work.task, 5)


async def test_a_model_that_does_not_load_is_reported_and_ends_the_worker() -> None:
    async with standing_in() as coordinator, working(LoadFails, coordinator) as work:
        beat = await coordinator.hear(link.Beat, lambda beat: beat.state == "draining")
        assert "weights are missing" in beat.text
        await coordinator.hear(link.Bye)
        with pytest.raises(ModelLoadError, match="weights are missing"):
            await asyncio.wait_for(work.task, 5)


async def test_a_wrong_secret_a_wrong_url_and_what_is_no_coordinator_are_told_apart() -> None:
    async with standing_in() as coordinator:
        async with working(Plain, coordinator, secret="another secret of nobody") as work:
            with pytest.raises(UnauthorizedError, match="rejects this worker secret"):
                await asyncio.wait_for(work.task, 5)
        async with working(Plain, coordinator.url + "/elsewhere") as work:
            with pytest.raises(WrongPlaceError, match="answers HTTP 404"):
                await asyncio.wait_for(work.task, 5)
        async with working(Plain, "ftp://models.example") as work:
            with pytest.raises(UsageError, match="not the URL of a coordinator"):
                await asyncio.wait_for(work.task, 5)
    async with chattering("<html>") as url, working(Plain, url) as work:
        with pytest.raises(WrongPlaceError, match="not a livereactor coordinator"):
            await asyncio.wait_for(work.task, 5)


async def test_frames_that_cannot_be_understood_do_no_harm_once_it_is_registered() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator):
        await coordinator.ready()
        for text in ("{}", "nonsense", '{"type": "assign", "slot": -1}', '{"type": "from tomorrow"}'):
            await coordinator.say_text(text)
        await coordinator.say(link.Assign(slot=200, fence=1, session="x"))
        await coordinator.say(link.End(slot=200, fence=1, session="x"))
        await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        assert coordinator.sockets == 1


async def test_requests_of_one_session_are_bounded() -> None:
    async with standing_in() as coordinator, working(Plain, coordinator):
        await coordinator.ready()
        fence = await coordinator.assign("ses_1")
        await coordinator.phase("waiting")
        base = "/sessions/ses_1/transport/webrtc/connections"
        made = json.loads((await coordinator.ask("POST", base, {}, fence=fence)).body)["connection_id"]
        offer = {"sdp_offer": "v=0\r\n", "client_info": {"sdk_version": "1", "sdk_type": "test"}}
        assert (await coordinator.ask("POST", f"{base}/{made}/sdp_params", offer, fence=fence)).status == 400
        for number in range(1000, 1000 + AT_ONCE + 8):
            await coordinator.say(link.Request(id=number, fence=fence, method="GET", path=f"/events?since={number}"))
        for _ in range(8):
            reply = await coordinator.hear(link.Reply)
            assert reply.status in (429, 503)


async def picture(side: ClientSide) -> None:
    """Wait for one."""
    seen, loop = asyncio.Event(), asyncio.get_running_loop()

    def arrived(_: Frame) -> None:
        loop.call_soon_threadsafe(seen.set)

    side.tracks["0"].on_frame(arrived)
    await asyncio.wait_for(seen.wait(), 5)


async def asked(side: ClientSide, command: m.Command | m.RequestClip | m.RequestRecording) -> m.ServerMessage:
    """The outcome of a command, in the binary format."""
    wire = v1.encode_client(command)
    assert wire is not None
    side.send(*wire)
    while True:
        message = v1.decode_server(wire[0], (await side.receive(wire[0], 5)).data, limit=1 << 20)
        if getattr(message, "request_id", None) == command.request_id:
            return message


async def _rest(side: ClientSide) -> list[MessageReceived]:
    """What has arrived on `data` and was not read."""
    received: list[MessageReceived] = []
    with contextlib.suppress(TimeoutError):
        while True:
            received.append(await side.receive("data", 0.01))
    return received
