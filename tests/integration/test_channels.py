"""Data channels: commands, replies, messages, tracks, steps."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from livereactor.base.limits import Limits
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.web.access import Access
from tests.integration.models import Huge, Plain
from tests.integration.rig import Caller, Served, serving

PIXELS = np.full((48, 64, 3), 77, np.uint8)


async def test_every_command_of_v1_has_one_outcome() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        assert (await caller.command("echo", text="hi")).data == {"text": "hi"}
        assert isinstance(await caller.command("note", text="x"), m.Ack)
        for name, arguments, code in (
            ("refuse", {}, "busy"),
            ("crash", {}, "internal_error"),
            ("set_level", {"level": 9}, "invalid_command"),
            ("set_level", {"level": 2.5}, "invalid_command"),
            ("echo", {}, "invalid_command"),
            ("echo", {"text": "a", "more": 1}, "invalid_command"),
            ("nothing", {}, "invalid_command"),
        ):
            failure = await caller.command(name, **arguments)
            assert isinstance(failure, m.Failure)
            assert failure.code == code
            assert "secret" not in failure.message
        assert isinstance(await caller.command("set_level", level=3.0), m.Ack)  # a Struct knows only doubles


async def test_the_reply_comes_before_what_the_handler_said_to_all() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        for number in range(200):
            request = caller.begin("echo", text=str(number))
            reply, broadcast = await caller.hear(), await caller.hear()
            assert (reply.request_id, reply.data["text"]) == (request, str(number))
            assert (broadcast.request_id, broadcast.data["text"]) == (None, f"all {number}")


async def test_replies_keep_the_order_of_a_thousand_commands() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        requests = [caller.begin("note", text=str(number)) for number in range(1000)]
        heard = [(await caller.hear()).request_id for _ in range(1000)]
        assert heard == requests
        assert await caller.told() == " ".join(["joined sync", *map(str, range(1000)), "level=1"])


async def test_v0_gets_text_frames_and_no_error_envelopes() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(), v0)
        for name in ("nothing", "crash", "refuse", "note"):
            caller.say(m.Command(name, {"text": "x"} if name == "note" else {}))
        caller.say(m.RequestClip(4.0))
        caller.say(m.Command("told"))
        heard = [await caller.hear() for _ in range(3)]
        # The clip is refused by the runtime itself and may overtake what the model says.
        assert m.ClipFailed("recorder disabled") in heard
        texts = [each.data["text"] for each in heard if isinstance(each, m.ModelMessage)]
        assert texts == ["welcome owner", "joined x level=1"]


async def test_requests_on_control_are_answered_and_pings_are_not() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        caller.say(m.Ping())
        caller.say(m.ClientStats())
        caller.say(m.RequestSchema("ctrl_1"))
        schema = await caller.hear("control")
        assert schema.request_id == "ctrl_1"
        assert "/events/echo" in schema.openapi["paths"]
        caller.say(m.RequestClip(1.0, "ctrl_2"))
        assert await caller.hear("control") == m.ClipFailed("recorder disabled", "ctrl_2")
        caller.say(m.RequestRecording("ctrl_3"))
        assert await caller.hear("control") == m.ClipFailed("recorder disabled", "ctrl_3")


async def test_only_a_client_of_ours_gets_pongs() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(), sdk="livereactor-js")
        caller.say(m.Ping())
        assert await caller.hear("control") == m.Pong()


async def test_v0_asks_for_schema_and_capabilities() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(), v0)
        caller.say(m.RequestSchema())
        assert "/events/echo" in (await caller.hear_of(m.SchemaDocument)).openapi["paths"]
        caller.side.send("data", '{"scope":"runtime","data":{"type":"requestCapabilities","data":{}}}')
        assert (await caller.hear_of(m.ModelCapabilities)).capabilities["protocol_version"]


async def test_messages_wait_for_the_first_frame_in_order_and_in_its_format() -> None:
    async with serving(Plain, limits=Limits(format_silence=30)) as served:
        sid = await served.start_session()
        quiet, loud = await served.client(sid), await served.client(sid)
        for number in range(70):
            await loud.command("echo", text=str(number))
        await loud.synced()  # what is said to all follows the reply, and precedes the outcome of the next command
        assert quiet.side.unread("data") == 0
        quiet.say(m.Ping())
        heard = [(await quiet.hear()).data["text"] for _ in range(64)]
        assert heard == [f"all {number}" for number in range(6, 70)]  # 64 are kept, the oldest go


async def test_a_silent_listener_is_taken_for_v0_and_corrected_by_its_first_frame() -> None:
    async with serving(Plain, limits=Limits(format_silence=0.05)) as served:
        caller = await served.client(await served.start_session(), v0)
        assert (await caller.hear()).data == {"text": "welcome owner"}
        caller.codec = v1
        assert (await caller.command("echo", text="hi")).data == {"text": "hi"}


@pytest.mark.parametrize("flat", [True, False])
async def test_without_control_outputs_start_by_themselves_and_media_claims_its_slot(flat: bool) -> None:
    async with serving(Plain, limits=Limits(format_silence=0.05)) as served:
        sid = await served.start_session()
        caller = await served.client(sid, v0, flat=flat, channels=("data",))
        pictures = _pictures(caller)
        await pictures.get()
        await _echoed(caller, pictures)
        other = await served.client(sid)
        other.say(m.PublishTrack("webcam", "ctrl_1"))
        assert isinstance(await other.hear("control"), m.PublishRefused)


async def test_explicit_connections_send_nothing_before_resume_and_nothing_after_pause() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        pictures = _pictures(caller)
        await caller.synced()
        assert served.runtime.members.wanted == frozenset()
        assert pictures.empty()
        for _ in range(2):  # JS 2.12 sends it twice
            caller.say(m.ResumeTrack("main_video"))
        await pictures.get()
        caller.say(m.PauseTrack("main_video"))
        caller.say(m.PauseTrack("main_video"))
        await caller.synced()
        assert served.runtime.members.wanted == frozenset()
        caller.say(m.ResumeTrack("main_video"))
        while not pictures.empty():
            pictures.get_nowait()
        await pictures.get()


async def test_media_of_who_does_not_publish_never_reaches_the_model() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        first, second = await served.client(sid, resume=["main_video"]), await served.client(sid)
        pictures = _pictures(first)
        first.say(m.PublishTrack("webcam", "ctrl_1"))
        assert isinstance(await first.hear("control"), m.PublishGranted)
        for request, track in (("ctrl_1", "webcam"), ("ctrl_2", "main_video"), ("ctrl_3", "nothing")):
            second.say(m.PublishTrack(track, request))
            refused = await second.hear("control")
            assert isinstance(refused, m.PublishRefused)
            assert refused.request_id == request
        second.side.outputs.video["2"].show(Frame(np.full((48, 64, 3), 200, np.uint8)))  # type: ignore[attr-defined]
        await _echoed(first, pictures)
        first.say(m.UnpublishTrack("webcam"))
        await first.synced()
        second.say(m.PublishTrack("webcam", "ctrl_4"))
        assert isinstance(await second.hear("control"), m.PublishGranted)


async def test_a_viewer_watches_and_neither_commands_nor_publishes() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        caller = await served.client(sid, role="viewer", resume=["main_video"])
        await _pictures(caller).get()
        failure = await caller.command("note", text="x")
        assert failure.code == "FORBIDDEN"
        caller.say(m.PublishTrack("webcam", "ctrl_1"))
        refused = await caller.hear("control")
        assert (refused.code, refused.request_id) == ("FORBIDDEN", "ctrl_1")
        old = await served.client(sid, v0, role="viewer")
        old.say(m.PublishTrack("webcam", "ctrl_1"))
        assert isinstance(await old.hear("control"), m.PublishRefused)


async def test_what_is_too_large_to_send_is_told() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(), chunking=False)
        failure = await caller.command("big", size=300_000)
        assert failure.code == "MESSAGE_TOO_LARGE"
        assert len((await caller.command("big", size=200_000)).data["text"]) == 200_000


async def test_a_client_that_is_silent_is_dropped_and_one_that_pings_is_not() -> None:
    async with serving(Plain, limits=Limits(client_silence=0.4)) as served:
        sid = await served.start_session()
        silent, lively = await served.client(sid), await served.client(sid)
        async with asyncio.timeout(10):
            while silent.side.state.value != "closed":
                lively.say(m.Ping())
                await asyncio.wait([asyncio.create_task(silent.side.until(lambda: False, 0.1))])
        assert await lively.told() == "joined joined left level=1"


async def test_frames_before_the_connection_is_live_are_heard_in_order() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        wired = served.runtime.channels[caller.number]
        wired.is_joined = False  # as if the transport were not up yet
        requests = [caller.begin("note", text=str(number)) for number in range(3)]
        await asyncio.wait([asyncio.create_task(caller.side.until(lambda: False, 0.05))])
        wired.read_early()
        assert [(await caller.outcome(request)).request_id for request in requests] == requests


# --- stepped sessions ---


async def _stepped(served: Served, **more: Any) -> Caller:
    return await served.client(await served.start_session(generation="stepped", **more))


async def test_a_stepped_session_says_so_steps_and_has_no_clips() -> None:
    async with serving(Plain) as served:
        answer = await served.http.post("/start_session", json={"extra_configs": {"generation": "stepped"}})
        assert answer.json()["generation"] == "stepped"
        caller = await served.client(answer.json()["session_id"])
        frame = m.MediaFrame("raw", "uint8", (48, 64, 3), PIXELS.tobytes())
        media = (m.TrackFrames("webcam", "video", (frame,), 30.0),)
        caller.say(m.RequestStep("data_9", {"level": 2}, (m.Command("note", {"text": "a"}),), media))
        result = await caller.outcome("data_9")
        assert (result.step, result.failure) == (1, None)
        assert [track.track for track in result.tracks] == ["main_video", "main_audio"]
        assert result.tracks[0].frames[0].data == PIXELS.tobytes()
        caller.say(m.RequestClip(1.0, "ctrl_1"))
        reason = (await caller.hear("control")).reason
        assert reason == "a stepped session is not recorded, so it has no clips"


@pytest.mark.parametrize(
    ("state", "commands", "failure", "entry"),
    [
        ({"level": 9}, (), m.StepFailure.REFUSED, "state.level"),
        ({}, (m.Command("note", {"text": "a"}), m.Command("nope")), m.StepFailure.REFUSED, "commands[1]"),
        ({}, (m.Command("note", {"text": "a"}), m.Command("refuse")), m.StepFailure.COMMAND_FAILED, "commands[1]"),
    ],
)
async def test_a_refused_step_names_its_entry(
    state: dict[str, Any], commands: tuple[m.Command, ...], failure: m.StepFailure, entry: str
) -> None:
    async with serving(Plain) as served:
        caller = await _stepped(served)
        caller.say(m.RequestStep("data_1", state, commands, ()))
        result = await caller.outcome("data_1")
        assert (result.failure, result.entry) == (failure, entry)


async def test_steps_are_not_ready_in_a_streamed_session() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        caller.say(m.RequestStep("data_1", {}, (), ()))
        assert (await caller.outcome("data_1")).failure is m.StepFailure.NOT_READY


async def test_a_result_that_exceeds_the_channel_says_so() -> None:
    async with serving(Huge) as served:
        sid = await served.start_session(generation="stepped")
        caller = await served.client(sid, chunking=False)
        caller.say(m.RequestStep("data_1", {"side": 400}, (), ()))
        result = await caller.outcome("data_1")
        assert (result.failure, result.step) == (m.StepFailure.RESULT_TOO_LARGE, 1)
        caller.say(m.RequestStep("data_2", {"side": 40}, (), ()))
        assert (await caller.outcome("data_2")).failure is None


async def test_results_come_in_the_order_of_the_requests() -> None:
    async with serving(Plain) as served:
        caller = await _stepped(served)
        for number in range(8):
            caller.say(m.RequestStep(f"data_{number}", {}, (), ()))
        heard = [await caller.hear_of(m.StepResult) for _ in range(8)]
        assert [(each.request_id, each.step) for each in heard] == [(f"data_{n}", n + 1) for n in range(8)]


# --- uploads ---


async def _upload(served: Served, sid: str, data: bytes, **more: Any) -> str:
    slot = await served.http.post(
        f"/sessions/{sid}/uploads", json={"name": "a.txt", "size": len(data), "mime_type": "text/plain", **more}
    )
    assert slot.status_code == 201, slot.text
    put = await served.http.put(slot.json()["presigned_url"], content=data)
    assert put.status_code == 204, put.text
    return slot.json()["presigned_id"]


@pytest.mark.parametrize("codec", [v0, v1])
async def test_an_upload_reaches_the_model_by_notice_and_by_command(codec: ModuleType) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        caller = await served.client(sid, codec)
        upload = await _upload(served, sid, b"hello")
        reference = m.UploadReference(upload, "lies.bin", "x/y", 99)
        for _ in range(3):  # told once
            caller.say(m.FileUploaded(reference))
        caller.say(m.Command("read", {}, {"file": reference}, "data_1"))
        caller.say(m.Command("read", {"file": {"upload_id": upload, "name": "", "mime_type": "", "size": 0}}))
        texts = [(await caller.hear_of(m.ModelMessage)).data["text"] for _ in range(4)]
        assert sorted(texts) == ["hello", "hello", "uploaded a.txt 5", "welcome owner"]


async def test_a_command_waits_for_its_file_and_later_commands_wait_behind_it() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        caller = await served.client(sid)
        slot = await served.http.post(
            f"/sessions/{sid}/uploads", json={"name": "a.txt", "size": 2, "mime_type": "text/plain"}
        )
        reference = m.UploadReference(slot.json()["presigned_id"])
        caller.say(m.Command("read", {}, {"file": reference}, "first"))
        caller.say(m.Command("note", {"text": "b"}, {}, "second"))
        await served.http.put(slot.json()["presigned_url"], content=b"hi")
        heard = [await caller.hear_of(m.ModelMessage, m.Ack) for _ in range(3)]
        assert [each.request_id for each in heard] == [None, "first", "second"]


async def test_an_unknown_or_missing_file_is_unresolved() -> None:
    async with serving(Plain, limits=Limits(upload_wait=0.05)) as served:
        sid = await served.start_session()
        caller = await served.client(sid)
        slot = await served.http.post(
            f"/sessions/{sid}/uploads", json={"name": "a.txt", "size": 2, "mime_type": "text/plain"}
        )
        for upload in (slot.json()["presigned_id"], "nobody"):
            caller.say(m.Command("read", {}, {"file": m.UploadReference(upload)}, upload))
            assert (await caller.outcome(upload)).code == "unresolved_upload"


async def test_upload_statuses() -> None:
    limits = Limits(upload_bytes=10, upload_session_bytes=25, upload_slots=3)
    async with serving(Plain, limits=limits, options={"upload_types": ("text/plain", "image/*")}) as served:
        sid = await served.start_session()
        path = f"/sessions/{sid}/uploads"
        good = {"name": "a.txt", "size": 2, "mime_type": "text/plain"}
        for change, status, code in (
            ({"name": ""}, 400, "BAD_REQUEST"),
            ({"size": 0}, 400, "BAD_REQUEST"),
            ({"mime_type": ""}, 400, "BAD_REQUEST"),
            ({"upload_id": "../x"}, 400, "BAD_REQUEST"),
            ({"size": 11}, 413, "UPLOAD_TOO_LARGE"),
            ({"mime_type": "video/mp4"}, 415, "UPLOAD_TYPE_REFUSED"),
        ):
            answer = await served.http.post(path, json={**good, **change})
            assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        slot = (await served.http.post(path, json={**good, "upload_id": "mine"})).json()
        assert slot["presigned_id"] == "mine"
        assert slot["presigned_url"].startswith("http://localhost:8080/uploads/mine?")
        assert (await served.http.post(path, json={**good, "upload_id": "mine"})).status_code == 409
        url = slot["presigned_url"]
        assert (await served.http.put(url.replace("/mine?", "/other?"), content=b"hi")).status_code == 404
        assert (await served.http.put(url.split("?")[0], content=b"hi")).status_code == 403
        assert (await served.http.put(url, content=b"h")).status_code == 400
        assert (await served.http.put(url, content=b"h" * 50)).status_code == 400
        assert (await served.http.put(url, content=b"hi")).status_code == 204
        assert (await served.http.put(url, content=b"hi")).status_code == 409
        for _ in range(2):
            assert (await served.http.post(path, json=good)).status_code == 201
        assert (await served.http.post(path, json=good)).status_code == 429
    async with serving(Plain, limits=Limits(upload_url_lifetime=-1)) as served:
        sid = await served.start_session()
        slot = (await served.http.post(f"/sessions/{sid}/uploads", json=good)).json()
        expired = await served.http.put(slot["presigned_url"], content=b"hi")
        assert (expired.status_code, expired.json()["code"]) == (410, "UPLOAD_EXPIRED")


async def test_a_presigned_url_is_built_from_what_the_client_sees() -> None:
    async with serving(Plain, access=Access(origins=("https://models.example",))) as served:
        sid = await served.start_session()
        body = {"name": "a.txt", "size": 2, "mime_type": "text/plain"}
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "models.example"}
        slot = await served.http.post(f"/sessions/{sid}/uploads", json=body, headers=headers)
        assert slot.json()["presigned_url"].startswith("https://models.example/uploads/")


async def test_files_of_a_session_are_gone_with_it() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        upload = await _upload(served, sid, b"hello")
        assert len(served.blobs.paths()) == 1
        await served.http.post("/stop_session")
        await served.state("ready")
        assert not served.blobs.paths()
        caller = await served.client(await served.start_session())
        caller.say(m.Command("read", {}, {"file": m.UploadReference(upload)}, "data_1"))
        assert (await caller.outcome("data_1")).code == "unresolved_upload"


async def test_an_unanswered_command_has_its_outcome_when_the_session_ends() -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        caller = await served.client(sid)
        slot = await served.http.post(
            f"/sessions/{sid}/uploads", json={"name": "a.txt", "size": 2, "mime_type": "text/plain"}
        )
        caller.say(m.Command("read", {}, {"file": m.UploadReference(slot.json()["presigned_id"])}, "data_1"))
        caller.say(m.Command("note", {"text": "behind"}, {}, "data_2"))
        caller.say(m.RequestSchema("ctrl_1"))
        await caller.hear("control")
        await served.http.post("/stop_session")
        assert (await caller.outcome("data_1")).code == "session_ended"
        assert (await caller.outcome("data_2")).code == "session_ended"


# --- beside ---


def _pictures(caller: Caller) -> asyncio.Queue[int]:
    """Values of pixels that arrive on the first track."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    caller.side.tracks["0"].on_frame(lambda frame: queue.put_nowait(int(frame.pixels[20, 20, 0])))
    return queue


async def _echoed(caller: Caller, pictures: asyncio.Queue[int]) -> None:
    """What the client's camera shows comes back."""
    async with asyncio.timeout(10):
        while True:
            caller.side.outputs.video["2"].show(Frame(PIXELS))  # type: ignore[attr-defined]
            if abs(await pictures.get() - 77) <= 4:
                return
