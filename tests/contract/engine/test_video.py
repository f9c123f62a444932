"""Video out: content, key frames first, wishes, newest wins, many viewers from the same bytes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time

import pytest

from livereactor.engine.port import (
    CodecNegotiated,
    KeyFrameWanted,
    PeerConfig,
    RateChanged,
    Section,
    Use,
    VideoOutput,
)
from livereactor.media.frames import EncodedFrame, Frame, VideoCodec
from tests.tools.trying import in_one_of_three

from .conftest import EVERY_PAIR, Engines
from .harness import Inbox, Link, link
from .pictures import Vp8, number_in

WATCH = (Section("video", Use.RECEIVE),)
START = 5_000_000


async def output_of(joined: Link) -> VideoOutput:
    """The server's output, once its viewer can receive."""
    await joined.server.inbox.get(KeyFrameWanted)
    return joined.accepted.video["0"]


async def seen(frames: Inbox, number: int) -> Frame:
    return await frames.get(Frame, lambda frame: number_in(frame.pixels) == number)


@EVERY_PAIR
async def test_frames_arrive_whole_and_in_order(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output, frames, encoder = await output_of(joined), await joined.client.frames("0"), Vp8()
        for number in range(1, 31):
            assert output.send(encoder.encode(number, key=number == 1))
            frame = await seen(frames, number)
            assert frame.pixels.shape == (180, 320, 3)
        assert [number_in(frame.pixels) for frame in frames.all(Frame)] == list(range(1, 31))
        assert [frame.number for frame in frames.all(Frame)] == list(range(1, 31))


async def test_colours_are_right(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output, frames, encoder = await output_of(joined), await joined.client.frames("0"), Vp8()
        assert output.send(encoder.encode_colour((200, 40, 90)))
        frame = await frames.get(Frame)
        assert abs(frame.pixels.mean(axis=(0, 1)) - (200, 40, 90)).max() < 6


async def test_the_codec_is_told_and_another_one_is_refused(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output, encoder = await output_of(joined), Vp8()
        told = await joined.server.inbox.get(CodecNegotiated)
        assert (told.mid, told.codec, output.codec) == ("0", VideoCodec.VP8, VideoCodec.VP8)
        key = encoder.encode(1, key=True)
        assert not output.send(EncodedFrame(VideoCodec.H264, key.data, True, 1, 320, 180, key.captured_us))
        assert output.send(key)


async def test_a_key_frame_is_wanted_when_a_viewer_comes(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        wish = await joined.server.inbox.get(KeyFrameWanted)
        assert wish.mid == "0"


async def test_nothing_is_sent_before_the_viewer_can_receive(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        encoder = Vp8()
        if not joined.server.inbox.all(KeyFrameWanted):
            assert not joined.accepted.video["0"].send(encoder.encode(1, key=True))
        output, frames = await output_of(joined), await joined.client.frames("0")
        assert output.send(encoder.encode(2, key=True))
        await seen(frames, 2)


async def test_deltas_are_held_back_until_a_key_frame(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output, frames, encoder = await output_of(joined), await joined.client.frames("0"), Vp8()
        encoder.encode(1, key=True)
        assert not output.send(encoder.encode(2))
        assert not output.send(encoder.encode(3))
        assert output.send(encoder.encode(4, key=True))
        assert output.send(encoder.encode(5))
        await seen(frames, 5)
        assert {number_in(frame.pixels) for frame in frames.all(Frame)} == {4, 5}


async def test_after_a_gap_in_the_numbers_a_key_frame_is_wanted(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output, frames, encoder = await output_of(joined), await joined.client.frames("0"), Vp8()
        assert output.send(encoder.encode(1, key=True))
        await seen(frames, 1)
        joined.server.inbox.items.clear()
        encoder.encode(2)
        sent = await send_until(joined, output, lambda: output.send(encoder.encode(3)))
        assert not any(sent)
        assert output.send(encoder.encode(4, key=True))
        await seen(frames, 4)
        assert 3 not in {number_in(frame.pixels) for frame in frames.all(Frame)}


async def send_until(joined: Link, output: VideoOutput, send: object) -> list[bool]:
    """Send again and again until a key frame is wanted (at most one wish a second is told)."""
    results: list[bool] = []
    async with asyncio.timeout(3.0):
        while not joined.server.inbox.all(KeyFrameWanted):
            results.append(send())  # type: ignore[operator]
            await asyncio.sleep(0.02)  # the pace of a model
    return results


async def test_another_size_begins_with_a_key_frame_and_is_shown(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output, frames = await output_of(joined), await joined.client.frames("0")
        assert output.send(Vp8().encode(1, key=True))
        await seen(frames, 1)
        small = Vp8(width=160, height=90)
        key = small.encode(7, key=True)
        assert not output.send(small.encode(8))
        assert output.send(key)
        assert (await seen(frames, 7)).pixels.shape == (90, 160, 3)


@in_one_of_three
async def test_a_burst_does_not_queue_up(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output, frames, encoder = await output_of(joined), await joined.client.frames("0"), Vp8()
        assert output.send(encoder.encode(1, key=True))
        await seen(frames, 1)
        burst = [encoder.encode(number, key=number % 10 == 0) for number in range(2, 62)]
        started = time.perf_counter()
        for frame in burst:
            output.send(frame)
        assert time.perf_counter() - started < 1.0
        await seen(frames, 60)
        assert len(frames.all(Frame)) <= 62


async def test_viewers_get_the_same_objects_and_leave_each_other_alone(engines: Engines) -> None:
    async with contextlib.AsyncExitStack() as stack:
        links = [await stack.enter_async_context(link(engines.server, engines.client, WATCH)) for _ in range(4)]
        outputs = [await output_of(joined) for joined in links]
        watching = [await joined.client.frames("0") for joined in links]
        encoder = Vp8()
        for number in range(1, 21):
            frame = encoder.encode(number, key=number == 1)
            assert all(output.send(frame) for output in outputs)
            await asyncio.gather(*(seen(frames, number) for frames in watching))
        await links[1].client.peer.aclose()
        await links[1].server.peer.aclose()
        late = await stack.enter_async_context(link(engines.server, engines.client, WATCH))
        late_output, late_frames = await output_of(late), await late.client.frames("0")
        for number in range(21, 41):
            frame = encoder.encode(number, key=number == 21)
            assert not outputs[1].send(frame)
            for output in (outputs[0], outputs[2], outputs[3], late_output):
                assert output.send(frame)
            await asyncio.gather(*(seen(frames, number) for frames in (watching[0], watching[2], watching[3])))
            await seen(late_frames, number)


async def test_viewers_come_and_go_in_any_order(engines: Engines) -> None:
    """No viewer may lose or swap its picture: libwebrtc hands callbacks out in an order of its own."""
    encoder, number = Vp8(), 0
    stacks: list[contextlib.AsyncExitStack] = []
    views: list[tuple[VideoOutput, Inbox]] = []
    try:
        for leaving in (None, None, None, 1, None, 0, None, None, 2, 0):
            if leaving is not None:
                views.pop(leaving)
                await stacks.pop(leaving).aclose()
            stack = contextlib.AsyncExitStack()
            joined = await stack.enter_async_context(link(engines.server, engines.client, WATCH))
            stacks.insert(0, stack)
            views.insert(0, (await output_of(joined), await joined.client.frames("0")))
            for key in (True, False, False):
                number += 1
                frame = encoder.encode(number, key=key)
                for output, _ in views:
                    assert output.send(frame)
                await asyncio.gather(*(seen(frames, number) for _, frames in views))
    finally:
        for stack in stacks:
            await stack.aclose()


async def test_a_viewer_that_never_got_a_frame_takes_no_other_viewers_picture(engines: Engines) -> None:
    async with (
        link(engines.server, engines.client, WATCH) as idle,
        link(engines.server, engines.client, WATCH) as joined,
    ):
        await output_of(idle)
        output, frames, encoder = await output_of(joined), await joined.client.frames("0"), Vp8()
        assert output.send(encoder.encode(1, key=True))
        await seen(frames, 1)
        await idle.client.peer.aclose()
        await idle.server.peer.aclose()
        for number in range(2, 12):
            assert output.send(encoder.encode(number))
            await seen(frames, number)


@pytest.mark.parametrize("use", [Use.RECEIVE, Use.SEND], ids=["server", "client"])
async def test_the_allowed_rate_is_told_and_begins_where_it_should(engines: Engines, use: Use) -> None:
    config, other = PeerConfig(start_bps=START), PeerConfig()
    server, client = (config, other) if use is Use.RECEIVE else (other, config)
    joining = link(engines.server, engines.client, (Section("video", use),), server_config=server, client_config=client)
    async with joining as joined:
        sender, receiver = (joined.server, joined.client) if use is Use.RECEIVE else (joined.client, joined.server)
        await sender.inbox.get(KeyFrameWanted)
        accepted = joined.accepted if use is Use.RECEIVE else joined.client_accepted
        output, frames, encoder = accepted.video["0"], await receiver.frames("0"), Vp8()
        number = 0
        async with asyncio.timeout(10.0):
            while not sender.inbox.all(RateChanged):
                number += 1
                assert output.send(encoder.encode(number, key=number == 1))
                await seen(frames, number)
        first = sender.inbox.all(RateChanged)[0]
        assert first.mid == "0"
        assert first.bps > 0.85 * START  # less what packets need beside pictures


async def test_an_offer_that_prefers_h264_is_answered_with_vp8(engines: Engines) -> None:
    def h264_first(offer: str) -> str:
        found = re.search(r"a=rtpmap:(\d+) H264/90000", offer)
        if found is None:
            return offer
        return re.sub(rf"(m=video \d+ \S+)((?: \d+)*?) {found[1]}\b", rf"\1 {found[1]}\2", offer)

    async with link(engines.server, engines.client, WATCH, rewrite=h264_first) as joined:
        output, frames = await output_of(joined), await joined.client.frames("0")
        assert output.codec is VideoCodec.VP8
        assert output.send(Vp8().encode(1, key=True))
        await seen(frames, 1)


def as_h264(offer: str) -> str:
    """Our engines' offers made to look like one with H.264 beside VP8, whoever made them."""
    if "H264/90000" in offer:
        return offer
    payload = re.findall(r"a=rtpmap:(\d+) VP9/90000", offer)[0]
    offer = offer.replace(f"a=rtpmap:{payload} VP9/90000", f"a=rtpmap:{payload} H264/90000")
    profile = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
    return re.sub(rf"a=fmtp:{payload} [^\r]*", f"a=fmtp:{payload} {profile}", offer)


@EVERY_PAIR
async def test_h264_is_negotiated_where_it_is_what_we_serve(engines: Engines) -> None:
    config = PeerConfig(video_codecs=(VideoCodec.H264,))
    async with link(engines.server, engines.client, WATCH, rewrite=as_h264, server_config=config) as joined:
        assert joined.accepted.video["0"].codec is VideoCodec.H264
        first = re.findall(r"m=video \d+ \S+ (\d+)", joined.accepted.answer)[0]
        assert f"a=rtpmap:{first} H264/90000" in joined.accepted.answer
        assert " VP8/" not in joined.accepted.answer


@EVERY_PAIR
async def test_user_data_arrives_where_both_sides_carry_it(engines: Engines) -> None:
    both = engines.server.capabilities.frame_metadata and engines.client.capabilities.frame_metadata
    async with link(engines.server, engines.client, WATCH) as joined:
        output, frames, encoder = await output_of(joined), await joined.client.frames("0"), Vp8()
        for number in range(1, 4):
            sent = encoder.encode(number, key=number == 1, user_data=f"tag {number}".encode())
            assert output.send(sent)
            frame = await seen(frames, number)
            assert frame.user_data == (sent.user_data if both else b"")
            assert frame.captured_us is None or abs(frame.captured_us - sent.captured_us) < 100_000


async def test_a_closed_output_refuses(engines: Engines) -> None:
    async with link(engines.server, engines.client, WATCH) as joined:
        output = await output_of(joined)
        await joined.server.peer.aclose()
        assert not output.send(Vp8().encode(1, key=True))
