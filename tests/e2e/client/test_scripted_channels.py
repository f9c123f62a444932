"""What a server may say, or not, on the data channels: every call has one outcome, nothing reaches a user raw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from livereactor.client.errors import (
    CommandRejected,
    DisconnectedError,
    MessageTooLargeError,
    RecordingError,
    RequestTimeoutError,
    TrackPublishFailedError,
)
from livereactor.protocol import messages as m
from livereactor.protocol.messages import WireFormat
from tests.e2e.client.scripting import met, ready
from tests.tools.scripted_peer import Raw, Said, ordinary, silent

GARBAGE: tuple[bytes, ...] = (
    b"", b"\xff" * 100, b"\x0a\xff", b"{", b"{}", b"[]", b"null", b'{"scope": 3}', b'{"scope": "application"}',
    b'{"scope": "application", "data": 4}', b'{"scope": "runtime", "data": {"type": "clipReady", "data": {}}}',
    b'{"type": "response"}', b"\x10\x03\xf2\x03\x04abcd", b"[" * 20_000, b"\x00" * 100_000,
)  # fmt: skip


def wrong(text: bool) -> list[Raw]:
    return [(label, data, text) for data in GARBAGE for label in (m.DATA, m.CONTROL)]


@pytest.mark.parametrize("wire", list(WireFormat))
async def test_frames_that_cannot_be_read_reach_nobody(wire: WireFormat) -> None:
    async with ready(wire=wire, first_words=[*wrong(text=False), *wrong(text=True)]) as them:
        await them.reactor.send_command("echo", {"value": 1}, wait=False)
        them.server.peer.say(*wrong(text=wire is WireFormat.V0), m.ModelMessage("after", {"value": 2}))
        await them.noted.until(lambda: {"type": "after", "data": {"value": 2}} in them.noted.of("message"))
        assert them.noted.of("error") == []
        assert them.reactor.status == "ready"


async def test_a_command_that_is_never_answered_times_out_and_the_next_is_not_harmed() -> None:
    def hushed(message: m.ClientMessage) -> Sequence[Said]:
        return [] if isinstance(message, m.Command) and message.name == "hush" else ordinary(message)

    async with ready(reply=hushed) as them:
        started = time.monotonic()
        with pytest.raises(RequestTimeoutError) as caught:
            await them.reactor.send_command("hush", {}, timeout=0.3)
        assert 0.25 <= time.monotonic() - started <= 1.0
        assert (caught.value.code, caught.value.component, caught.value.recoverable) == ("REQUEST_TIMEOUT", "gpu", True)
        assert "hush" in caught.value.message
        assert await them.reactor.send_command("echo", {"value": 1}) is not None
        assert them.reactor.status == "ready"


async def test_what_waits_for_an_answer_ends_with_the_connection() -> None:
    async with ready(reply=silent) as them:
        waiting = [asyncio.ensure_future(them.reactor.send_command("hush", {})) for _ in range(5)]
        clip = asyncio.ensure_future(them.reactor.request_clip(1.0))
        await them.server.until(lambda: len(them.server.peer.of(m.Command)) == 5)
        await them.reactor.disconnect()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DisconnectedError] * 5
        (failed,) = await asyncio.gather(clip, return_exceptions=True)
        assert isinstance(failed, RecordingError)
        assert failed.code == "DISCONNECTED"


async def test_replies_that_nobody_waits_for_or_that_come_twice_are_harmless() -> None:
    def twice(message: m.ClientMessage) -> Sequence[Said]:
        said = ordinary(message)
        return [m.Ack("data_99999"), m.Failure("nobody", "x", "y"), *said, *said]

    async with ready(reply=twice) as them:
        for number in range(3):
            reply = await them.reactor.send_command("echo", {"value": number})
            assert reply == {"type": "echo_reply", "data": {"value": number}}
        assert them.reactor.status == "ready"


async def test_a_refusal_reaches_the_caller_with_its_own_code() -> None:
    async with ready() as them:
        with pytest.raises(CommandRejected) as caught:
            await them.reactor.send_command("refuse")
        assert (caught.value.code, caught.value.message) == ("busy", "come back later")
        assert them.noted.of("error") == []  # it is the caller's


@pytest.mark.parametrize("wire", list(WireFormat))
async def test_what_is_too_large_for_the_channel_is_refused_before_a_byte_is_sent(wire: WireFormat) -> None:
    async with ready(chunking=False, wire=wire) as them:
        with pytest.raises(MessageTooLargeError) as caught:
            await them.reactor.send_command("echo", {"value": "x" * 300 * 1024})
        assert (caught.value.code, caught.value.component, caught.value.recoverable) == (
            "MESSAGE_TOO_LARGE", "client", False,
        )  # fmt: skip
        assert "256 KiB" in caught.value.message
        assert "upload" in caught.value.message
        await them.reactor.send_command("echo", {"value": 1}, wait=False)
        await them.server.until(lambda: bool(them.server.peer.of(m.Command)))
        assert len(them.server.peer.of(m.Command)) == 1


async def test_a_chunked_channel_takes_more() -> None:
    async with ready() as them:
        reply = await them.reactor.send_command("echo", {"value": "x" * 300 * 1024})
        assert reply is not None
        assert len(reply["data"]["value"]) == 300 * 1024


@pytest.mark.parametrize("wire", list(WireFormat))
async def test_a_claim_that_is_refused_or_never_answered_fails_the_publishing(wire: WireFormat) -> None:
    def taken(message: m.ClientMessage) -> Sequence[Said]:
        if isinstance(message, m.PublishTrack):
            return [m.PublishRefused(message.name, message.request_id, "track already published")]
        return ordinary(message)

    async with ready(reply=taken, wire=wire) as them:
        with pytest.raises(TrackPublishFailedError) as caught:
            await them.reactor.publish_track("webcam")
        assert (caught.value.reason, caught.value.recoverable) == ("publish_refused", True)
        assert not them.reactor.track("webcam").published


@pytest.mark.parametrize("wire", list(WireFormat))
async def test_platform_messages_reach_their_events(wire: WireFormat) -> None:
    async with ready(wire=wire) as them:
        await them.reactor.send_command("echo", {"value": 1}, wait=False)
        await them.server.until(lambda: bool(them.server.peer.heard))
        verdict = m.Moderation("warn", "text", "set_prompt", ("violence",), "please rephrase")
        them.server.peer.say(verdict)
        await them.noted.until(lambda: bool(them.noted.of("moderation")))
        told = {
            "action": "warn", "input_kind": "text", "command": "set_prompt", "categories": ["violence"],
            "message": "please rephrase",
        }  # fmt: skip
        assert them.noted.of("moderation") == [told]
        assert {"type": "moderation", "data": told} in them.noted.of("runtime_message")


async def test_an_unknown_platform_message_is_handed_on() -> None:
    async with ready(wire=WireFormat.V0) as them:
        await them.reactor.send_command("echo", {"value": 1}, wait=False)
        await them.server.until(lambda: bool(them.server.peer.heard))
        them.server.peer.say(m.RuntimeMessage("mediaStats", {"video": {"aggregateQos": 7}}))
        await them.noted.until(lambda: bool(them.noted.of("runtime_message")))
        assert them.noted.of("runtime_message")[-1] == {
            "type": "mediaStats", "data": {"video": {"aggregateQos": 7}},
        }  # fmt: skip


async def test_outputs_are_resumed_or_left_paused_as_asked() -> None:
    async with ready() as them:
        await them.server.until(lambda: bool(them.server.peer.of(m.Ping)))
        assert [each.name for each in them.server.peer.of(m.ResumeTrack)] == ["main_video"]
        await them.reactor.track("main_video").pause()
        await them.server.until(lambda: bool(them.server.peer.of(m.PauseTrack)))
        assert them.reactor.paused_tracks == ["main_video"] or list(them.reactor.paused_tracks) == ["main_video"]
    async with met(options={"auto_resume_tracks": False, "jwt": "a token"}) as them:
        await them.reactor.connect()
        await them.server.until(lambda: bool(them.server.peer.of(m.Ping)))
        assert them.server.peer.of(m.ResumeTrack) == []
        assert them.reactor.track("main_video").paused


async def test_a_clip_of_a_server_that_records_nothing_says_so_at_once() -> None:
    for wire in WireFormat:
        async with ready(wire=wire) as them:
            started = time.monotonic()
            with pytest.raises(RecordingError) as caught:
                await them.reactor.request_clip(4.0)
            assert time.monotonic() - started <= 1.0
            assert caught.value.code == "RECORDER_DISABLED"
            for seconds in (0, -1, float("nan"), float("inf")):
                with pytest.raises(RecordingError) as invalid:
                    await them.reactor.request_clip(seconds)
                assert invalid.value.code == "INVALID_DURATION"
            assert len(them.server.peer.of(m.RequestClip)) == 1
