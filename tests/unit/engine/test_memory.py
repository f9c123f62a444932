"""The in-memory engine: two peers, their channels, their media, and what a test can do to the network between them."""

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import cast

import av
import numpy as np
import pytest

from livereactor.base.errors import EngineError, PeerError, TooLargeError
from livereactor.engine.memory.engine import MemoryEngine, MemoryPeer, read_description
from livereactor.engine.memory.media import MemoryInput
from livereactor.engine.port import (
    Candidate,
    ChannelClosed,
    ChannelOpened,
    CodecNegotiated,
    KeyFrameWanted,
    MessageReceived,
    Negotiated,
    PeerConfig,
    PeerState,
    RateChanged,
    Section,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import EncodedFrame, Frame, Sound, VideoCodec
from tests.tools.client_side import ClientSide

WATCH = [Section("video", Use.RECEIVE), Section("audio", Use.RECEIVE), Section("video", Use.SEND)]
USES = {"0": Use.SEND, "1": Use.SEND, "2": Use.RECEIVE}


class Pair:
    """A server and a client, connected."""

    def __init__(self, server: ClientSide, client: ClientSide, accepted: Negotiated) -> None:
        self.server, self.client, self.accepted = server, client, accepted
        self.video = accepted.video.get("0")

    @property
    def input(self) -> MemoryInput:
        track = self.client.tracks["0"]
        assert isinstance(track, MemoryInput)
        return track


async def connect(sections: list[Section], uses: dict[str, Use], config: PeerConfig | None = None) -> Pair:
    engine = MemoryEngine()
    server, client = await ClientSide.make(engine), await ClientSide.make(engine, config)
    accepted = await server.peer.accept(await client.offer(sections), uses)
    await client.take_answer(accepted.answer)
    await client.connected("data", "control")
    return Pair(server, client, accepted)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = await connect(WATCH, USES)
    yield pair
    await pair.client.aclose()
    await pair.server.aclose()


def encoded(number: int, *, key: bool, codec: VideoCodec = VideoCodec.VP8) -> EncodedFrame:
    return EncodedFrame(codec, b"bytes", key, number, 64, 36, captured_us=number)


async def test_both_sides_connect_and_open_the_channels_in_order(pair: Pair) -> None:
    assert list(pair.server.channels) == list(pair.client.channels) == ["data", "control"]
    assert pair.server.state is PeerState.CONNECTED
    assert pair.server.channel_events["data"] == [ChannelOpened()]
    assert CodecNegotiated("0", VideoCodec.VP8) in pair.server.events
    assert [event.mid for event in pair.server.events if isinstance(event, TrackAdded)] == ["2"]
    assert sorted(pair.client.tracks) == ["0", "1"]
    assert list(pair.client.outputs.video) == ["2"]
    assert list(pair.accepted.audio) == ["1"]


async def test_messages_arrive_whole_in_order_and_know_text_from_bytes(pair: Pair) -> None:
    pair.client.send("data", "hello")
    pair.client.send("data", b"\x00\x01")
    pair.client.send("data", "")
    received = [await pair.server.receive("data") for _ in range(3)]
    assert received == [
        MessageReceived(b"hello", True),
        MessageReceived(b"\x00\x01", False),
        MessageReceived(b"", True),
    ]


async def test_a_message_above_the_limit_is_refused_and_the_channel_lives() -> None:
    pair = await connect([], {}, PeerConfig(chunking=False))
    assert pair.client.channels["data"].max_message_bytes == 262_144
    with pytest.raises(TooLargeError, match="262144"):
        pair.client.send("data", b"x" * 262_145)
    pair.client.send("data", b"x" * 262_144)
    assert len((await pair.server.receive("data")).data) == 262_144


async def test_a_frozen_network_fills_the_buffer_and_refuses_more(pair: Pair) -> None:
    peer, channel = pair.client.peer, pair.client.channels["data"]
    assert isinstance(peer, MemoryPeer)
    peer.freeze()
    for _ in range(16):
        channel.send(b"x" * 2**20, text=False)
    assert channel.buffered_bytes == 2**24
    with pytest.raises(EngineError, match="drain"):
        channel.send(b"x", text=False)
    assert not await channel.drain(0.01)
    peer.freeze(False)
    assert await channel.drain(5)
    assert channel.buffered_bytes == 0


async def test_closing_tells_the_other_side_channels_first_and_nothing_to_oneself(pair: Pair) -> None:
    before = len(pair.client.events)
    pair.client.send("data", "last words")
    await pair.client.aclose()
    await pair.client.aclose()
    await pair.server.until(lambda: pair.server.state is PeerState.CLOSED)
    assert (await pair.server.receive("data")).data == b"last words"
    assert pair.server.channel_events["data"][-1] == ChannelClosed()
    assert len(pair.client.events) == before
    with pytest.raises(EngineError, match="not open"):
        pair.server.send("data", "too late")
    assert not await pair.server.channels["data"].drain(1)


async def test_video_waits_for_a_key_frame_and_asks_once(pair: Pair) -> None:
    frames: list[EncodedFrame] = []
    pair.input.on_encoded(frames.append)
    assert pair.video is not None
    assert not pair.video.send(encoded(1, key=False))
    assert not pair.video.send(encoded(2, key=False))
    assert pair.video.send(encoded(3, key=True))
    assert pair.video.send(encoded(4, key=False))
    assert not pair.video.send(encoded(6, key=False))  # 5 was lost
    await pair.server.until(lambda: pair.server.events.count(KeyFrameWanted("0")) == 2)
    assert [frame.number for frame in frames] == [3, 4]


async def test_video_of_another_codec_is_refused(pair: Pair) -> None:
    assert pair.video is not None
    assert pair.video.codec is VideoCodec.VP8
    assert not pair.video.send(encoded(1, key=True, codec=VideoCodec.H264))


async def test_a_loop_that_lags_loses_frames_instead_of_queueing_them(pair: Pair) -> None:
    assert pair.video is not None
    accepted = [pair.video.send(encoded(number, key=number == 1)) for number in range(1, 10)]
    assert accepted == [True] * 4 + [False] * 5


async def test_real_video_arrives_as_pixels_with_its_tag_and_time(pair: Pair) -> None:
    arrived: asyncio.Queue[Frame] = asyncio.Queue()
    pair.input.on_frame(arrived.put_nowait)
    await pair.server.seen(KeyFrameWanted)
    encoder = cast(av.VideoCodecContext, av.CodecContext.create("libvpx", "w"))
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 36, "yuv420p", Fraction(1, 30)
    encoder.options = {"deadline": "realtime", "lag-in-frames": "0"}
    picture = av.VideoFrame.from_ndarray(np.full((36, 64, 3), (200, 30, 30), np.uint8), format="rgb24")
    (packet,) = encoder.encode(picture)
    frame = EncodedFrame(VideoCodec.VP8, bytes(packet), True, 1, 64, 36, captured_us=77, user_data=b"tag")
    assert pair.video is not None
    assert pair.video.send(frame)
    got = await asyncio.wait_for(arrived.get(), 5)
    assert got.pixels.shape == (36, 64, 3)
    assert abs(got.pixels.astype(int) - (200, 30, 30)).max() < 12
    assert (got.number, got.captured_us, got.user_data) == (1, 77, b"tag")


async def test_a_camera_of_a_test_needs_no_encoder(pair: Pair) -> None:
    arrived: asyncio.Queue[Frame] = asyncio.Queue()
    pair.server.tracks["2"].on_frame(arrived.put_nowait)
    output = pair.client.outputs.video["2"]
    pixels = np.zeros((4, 6, 3), np.uint8)
    assert output.show(Frame(pixels))  # type: ignore[attr-defined]  (of the memory adapter only)
    assert (await asyncio.wait_for(arrived.get(), 5)).pixels is pixels


async def test_sound_arrives_as_it_was_sent(pair: Pair) -> None:
    arrived: asyncio.Queue[Sound] = asyncio.Queue()
    pair.client.tracks["1"].on_sound(arrived.put_nowait)
    sound = Sound(np.ones((480, 1), np.int16), 48_000)
    assert pair.accepted.audio["1"].send(sound)
    assert await asyncio.wait_for(arrived.get(), 5) is sound


async def test_a_test_can_play_congestion_and_loss(pair: Pair) -> None:
    assert isinstance(pair.server.peer, MemoryPeer)
    pair.server.peer.limit("0", 300_000)
    pair.server.peer.fail(PeerState.DISCONNECTED, "silence")
    await pair.server.until(lambda: pair.server.state is PeerState.DISCONNECTED)
    assert pair.server.events[-2:] == [RateChanged("0", 300_000), StateChanged(PeerState.DISCONNECTED, "silence")]


async def test_the_answer_keeps_order_mids_and_sections_and_carries_candidates() -> None:
    engine = MemoryEngine()
    server, client = await ClientSide.make(engine), await ClientSide.make(engine)
    offer = await client.offer(WATCH)
    answer = (await server.peer.accept(offer, {"0": Use.SEND, "2": Use.SEND})).answer
    sections = read_description(answer).media
    assert [(s.kind, s.mid, s.direction) for s in sections[:3]] == [
        ("video", "0", "sendonly"),
        ("audio", "1", "inactive"),
        ("video", "2", "inactive"),  # the offer sends there: we cannot
    ]
    assert sections[3].kind == "application"
    assert answer.count("a=candidate:") == answer.count("a=end-of-candidates") == 4
    assert answer.count("a=rtcp-mux") == 3
    assert "a=group:BUNDLE 0 1 2 3\r\n" in answer


async def test_a_foreign_offer_is_answered_with_its_own_payload_types() -> None:
    offer = (
        "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE v\nm=video 9 UDP/TLS/RTP/SAVPF 45 39\n"
        "a=mid:v\na=recvonly\na=rtpmap:45 AV1/90000\na=rtpmap:39 VP8/90000\na=ice-ufrag:x\n"
    )
    server = await ClientSide.make(MemoryEngine())
    accepted = await server.peer.accept(offer, {"v": Use.SEND})
    assert "m=video 9 UDP/TLS/RTP/SAVPF 39\r\n" in accepted.answer
    assert accepted.video["v"].codec is VideoCodec.VP8
    assert not accepted.video["v"].send(encoded(1, key=True))
    await server.peer.add_candidate(Candidate("candidate:1 1 udp 1 192.0.2.1 9 typ host", "v"))


@pytest.mark.parametrize("offer", ["", "hello", "v=0\r\n", "v=0\r\nm=video 9 X 96\r\na=ice-ufrag:x\r\n"])
async def test_what_is_no_offer_is_refused(offer: str) -> None:
    server = await ClientSide.make(MemoryEngine())
    with pytest.raises(PeerError):
        await server.peer.accept(offer, {})


async def test_a_peer_takes_one_description() -> None:
    engine = MemoryEngine()
    client = await ClientSide.make(engine)
    offer = await client.offer()
    with pytest.raises(EngineError, match="create another one"):
        await client.offer()
    with pytest.raises(EngineError, match="create another one"):
        await client.peer.accept(offer, {})
    await engine.aclose()
