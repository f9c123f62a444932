"""A client that may only watch sends frames that are large, or many: they are dropped before they are read."""

from __future__ import annotations

import json
import time

import pytest

from livereactor.base.limits import Limits
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol.codecs import Codec
from livereactor.runtime.session.allowance import AT_ONCE
from tests.integration.coordinator.test_whose_connection import on_stage
from tests.integration.models import Plain
from tests.integration.rig import Caller, next_session_works, serving

OFFERS = 8  # of one client, each with more messages than it may send at once


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all frames that are decoded from now on."""
    sizes: list[int] = []
    for codec in (v0, v1):
        real = codec.decode_client

        def counted(label: str, data: bytes, *, limit: int, nodes: int, real: Codec = real) -> m.ClientMessage:
            sizes.append(len(data))
            return real(label, data, limit=limit, nodes=nodes)  # type: ignore[operator]

        monkeypatch.setattr(codec, "decode_client", counted)
    return sizes


async def told(caller: Caller) -> m.ServerMessage:
    """The refusal that the client gets."""
    label = "data" if caller.codec is v0 else "control"
    return await caller.hear_of(m.RuntimeMessage, m.Failure, label=label)


def code_of(message: m.ServerMessage) -> str:
    return message.code if isinstance(message, m.Failure) else message.data["code"]  # type: ignore[union-attr]


@pytest.mark.parametrize("codec", [v0, v1])
async def test_a_frame_of_megabytes_is_dropped_unread(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        owner = await served.client(sid)
        viewer = await served.client(sid, codec, role="viewer", channels=("data", "control"))  # type: ignore[arg-type]
        viewer.say(m.Ping())
        sizes = counting(monkeypatch)
        large = json.dumps({"scope": "application", "data": {"type": "x", "data": {"a": [1] * 80_000}}})
        viewer.side.send("data", large if codec is v0 else large.encode().replace(b"{", b"\x52"))
        assert code_of(await told(viewer)) == "MESSAGE_TOO_LARGE"
        await owner.synced()
        assert max(sizes) < 1000
        await next_session_works(served)


@pytest.mark.parametrize("codec", [v0, v1])
async def test_a_flood_is_told_once_and_dropped_unread(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain, limits=Limits(viewer_message_rate=5.0, exit_timeout=4.0)) as served:
        sid = await served.start_session()
        owner = await served.client(sid)
        viewer = await served.client(sid, codec, role="viewer", channels=("data", "control"))  # type: ignore[arg-type]
        sizes = counting(monkeypatch)
        for _ in range(70):  # 25 may come at once, and it is put out when 50 more are dropped
            viewer.say(m.Ping())
        assert code_of(await told(viewer)) == "RATE_LIMITED"
        await owner.synced()
        assert len(sizes) <= 35
        assert viewer.side.state.value == "connected"


async def test_a_command_over_the_limit_of_an_owner_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        sizes = counting(monkeypatch)
        failure = await caller.outcome(caller.begin("note", text="x" * 300_000))
        assert (failure.code, failure.request_id) == ("MESSAGE_TOO_LARGE", "data_2")
        assert not sizes
        await caller.synced()


async def test_pauses_and_resumes_are_bounded() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        for _ in range(200):
            caller.say(m.ResumeTrack("main_video"))
            caller.say(m.PauseTrack("main_video"))
        refused = await told(caller)
        assert isinstance(refused, m.Failure)
        assert "pause_rate" in refused.message
        await caller.synced()


async def test_a_frame_of_a_step_is_larger_than_a_message() -> None:
    async with serving(Plain) as served:
        caller = await served.client(await served.start_session(generation="stepped"))
        pixels = m.MediaFrame("raw", "uint8", (480, 640, 3), bytes(480 * 640 * 3))
        caller.say(m.RequestStep("data_1", {}, (), (m.TrackFrames("webcam", "video", (pixels,), 30.0),)))
        result = await caller.hear_of(m.StepResult)
        assert result.failure is None


async def test_an_owner_that_awaits_its_answers_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain, limits=Limits(message_rate=2.0, message_rate_bytes=400.0, exit_timeout=4.0)) as served:
        caller = await served.client(await served.start_session())
        for number in range(1000):  # forty at once are allowed, and two a second
            reply = await caller.command("echo", text=str(number))
            assert reply.data == {"text": str(number)}
        for number in range(2000):
            caller.begin("echo", text=str(number))
        assert code_of(await told(caller)) == "RATE_LIMITED"


async def test_a_new_offer_on_its_connection_brings_no_fresh_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plain) as served:
        sid = await served.start_session()
        viewer = await served.client(sid, role="viewer")
        sizes, began = counting(monkeypatch), time.monotonic()
        for _ in range(OFFERS):
            for _ in range(200):
                viewer.say(m.Ping())
            await viewer.side.channels["control"].drain(10)
            viewer = await served.client(sid, role="viewer", number=viewer.number, method="PUT")
        # One burst, and the rate; of what arrives at once, some may be dropped unread with its transport.
        assert AT_ONCE <= len(sizes) <= 100 + 20 * (time.monotonic() - began)


async def test_a_link_that_comes_back_on_another_connection_brings_no_fresh_allowance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with on_stage() as stage:
        link = await stage.share()
        sizes, began = counting(monkeypatch), time.monotonic()
        for _ in range(OFFERS):
            viewer = await stage.join(await stage.connection(link), link)
            for _ in range(200):
                viewer.send("data", '{"scope": "runtime", "data": {"type": "ping", "data": {}}}')
            await viewer.channels["data"].drain(10)
            await viewer.aclose()
        # A link may have two connections at once, each with an allowance.
        assert len(sizes) <= 2 * (100 + 20 * (time.monotonic() - began))
