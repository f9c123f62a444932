"""The pure parts of the aiortc engine: reassembly, tags, the key gate, the receiver's estimate, descriptions."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.errors import PeerError
from livereactor.engine.aiortc import sdp
from livereactor.engine.aiortc.frame_tags import FrameTag, append_tag, split_tag
from livereactor.engine.aiortc.inputs import (
    MAX_PACKETS,
    InputPacket,
    SoundAssembly,
    VideoAssembly,
    is_h264_key,
    is_vp8_key,
)
from livereactor.engine.aiortc.outputs import BitrateBounds, ReceiverEstimate
from livereactor.engine.key_gate import KeyGate
from livereactor.media.frames import EncodedFrame, VideoCodec
from livereactor.protocol.sdp import PLAIN_MESSAGE_BYTES, parse_description

FIRST = 65_530  # so that the sequence numbers wrap


def is_key(data: bytes) -> bool:
    return data.startswith(b"K")


def packets(sizes: list[int], keys: set[int]) -> list[tuple[int, InputPacket]]:
    """Frames of so many packets each; those in `keys` are key frames."""
    made: list[tuple[int, InputPacket]] = []
    for frame, size in enumerate(sizes):
        for n in range(size):
            data = (b"K" if frame in keys and n == 0 else b"d") + bytes([frame])
            made.append(((FIRST + len(made)) & 0xFFFF, InputPacket(frame * 3000, n == size - 1, data)))
    return made


def deliver(assembly: VideoAssembly, arriving: list[tuple[int, InputPacket]]) -> list[int]:
    """Numbers of the frames that come out; each packet arrives at its frame's time, 30 frames a second."""
    wholes = [whole for number, piece in arriving for whole in assembly.add(number, piece, piece.timestamp / 90_000)]
    return [whole.timestamp // 3000 for whole in wholes]


def test_a_frame_is_out_with_its_last_packet() -> None:
    assembly, arriving = VideoAssembly(is_key), packets([3, 1], {0})
    assert [len(assembly.add(*packet, 0.0)) for packet in arriving] == [0, 0, 1, 1]


def test_packets_in_disorder_and_twice_make_the_same_frames() -> None:
    arriving = packets([2, 3, 1, 2], {0})
    arriving[2], arriving[4] = arriving[4], arriving[2]
    doubled = [packet for packet in arriving for _ in range(2)]
    assert deliver(VideoAssembly(is_key), doubled) == [0, 1, 2, 3]


def test_a_lost_packet_may_come_late() -> None:
    arriving = packets([1, 2, 1, 1], {0})
    late = arriving.pop(1)
    assembly = VideoAssembly(is_key)
    assert deliver(assembly, arriving) == [0]
    assert deliver(assembly, [late]) == [1, 2, 3]
    assert not assembly.take_key_request()


def test_a_loss_is_given_up_after_a_fifth_of_a_second_until_the_next_key_frame() -> None:
    arriving = packets([1, 2, 1, 1, 1, 1, 1, 1, 1, 1], {0, 9})
    del arriving[1]
    assembly = VideoAssembly(is_key)
    assert deliver(assembly, arriving[:7]) == [0]
    assert not assembly.take_key_request()
    assert deliver(assembly, arriving[7:9]) == []
    assert assembly.take_key_request()
    assert deliver(assembly, arriving[9:]) == [9]
    assert not assembly.take_key_request()


def test_frames_that_all_come_at_once_do_not_give_up_a_loss() -> None:
    arriving = packets([1, 1, 1, 1, 1, 1, 1, 1], {0})
    late = arriving.pop(1)
    assembly = VideoAssembly(is_key)
    assert [len(assembly.add(*packet, 1.0)) for packet in arriving] == [1, 0, 0, 0, 0, 0, 0]
    assert len(assembly.add(*late, 1.1)) == 7


def test_deltas_before_any_key_frame_ask_for_one_and_are_dropped() -> None:
    assembly = VideoAssembly(is_key)
    assert deliver(assembly, packets([1], set())) == []
    assert assembly.take_key_request()


def test_what_never_ends_is_bounded() -> None:
    assembly = VideoAssembly(is_key)
    for number in range(3 * MAX_PACKETS):
        assembly.add(number & 0xFFFF, InputPacket(0, False, b"x"), 0.0)
    assert assembly.take_key_request()


@given(st.integers(0, 2**32), st.lists(st.integers(1, 5), min_size=5, max_size=40))
def test_whatever_is_lost_only_decodable_frames_come_out_and_in_order(seed: int, sizes: list[int]) -> None:
    chance = random.Random(seed)
    keys = {n for n in range(len(sizes)) if n % 6 == 0}
    arriving = [packet for packet in packets(sizes, keys) if chance.random() > 0.1]
    for at in range(len(arriving) - 2):
        if chance.random() < 0.1:
            arriving[at], arriving[at + 2] = arriving[at + 2], arriving[at]
    shown = deliver(VideoAssembly(is_key), arriving)
    assert shown == sorted(set(shown))
    for before, frame in zip([-9, *shown], shown, strict=False):
        assert frame in keys or frame == before + 1, "a delta was shown without the frame before it"


def test_sound_goes_on_after_a_loss() -> None:
    assembly = SoundAssembly()
    heard = [
        whole.data
        for number in (1, 2, 4, 5, 6, 3, 7)
        for whole in assembly.add(number, InputPacket(0, True, bytes([number])))
    ]
    assert heard == [b"\1", b"\2", b"\4", b"\5", b"\6", b"\7"]


def test_key_frames_are_told_by_their_bytes() -> None:
    assert is_vp8_key(bytes.fromhex("f00e009d012a40016801") + b"x")
    assert not is_vp8_key(bytes.fromhex("f10e009d012a40016801"))
    assert not is_vp8_key(b"")
    assert is_h264_key(b"\0\0\0\1\x67abc\0\0\0\1\x68a\0\0\0\1\x65abc")
    assert not is_h264_key(b"\0\0\0\1\x41abc")
    assert not is_h264_key(b"\0\0\1")


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=1024))
def test_a_tag_comes_back_and_leaves_the_frame_as_it_was(data: bytes, number: int, us: int, user: bytes) -> None:
    assert split_tag(append_tag(data, FrameTag(number, us, user))) == (data, FrameTag(number, us, user))


@given(st.binary(max_size=100))
def test_bytes_that_only_look_like_a_tag_do_no_harm(data: bytes) -> None:
    for ending in (data + b"RXMT", data + len(data).to_bytes(4, "little") + b"RXMT"):
        frame, _ = split_tag(ending)
        assert ending.startswith(frame)


def test_a_tag_is_the_protobuf_of_the_protocol() -> None:
    tagged = append_tag(b"frame", FrameTag(1, 300, b"hi"))
    assert tagged == b"frame" + bytes.fromhex("080110ac021a026869") + (9).to_bytes(4, "little") + b"RXMT"


def encoded(number: int, *, key: bool = False, width: int = 64) -> EncodedFrame:
    return EncodedFrame(VideoCodec.VP8, b"x", key, number, width, 36, 0)


def test_the_gate_opens_at_a_key_frame_and_closes_at_a_gap() -> None:
    gate = KeyGate()
    frames = [encoded(1), encoded(2, key=True), encoded(3), encoded(5), encoded(6), encoded(7, key=True)]
    assert [gate.admit(frame, room=True) for frame in frames] == [False, True, True, False, False, True]


def test_the_gate_asks_once_for_each_time_it_closes() -> None:
    gate = KeyGate()
    asked: list[bool] = []
    for frame in (encoded(1), encoded(2), encoded(3, key=True), encoded(5), encoded(6)):
        gate.admit(frame, room=True)
        asked.append(gate.take_key_request())
    assert asked == [True, False, False, True, False]


def test_a_full_queue_stops_deltas_and_not_key_frames() -> None:
    gate = KeyGate()
    assert gate.admit(encoded(1, key=True), room=False)
    assert not gate.admit(encoded(2), room=False)
    assert not gate.admit(encoded(3), room=True)
    assert gate.admit(encoded(4, key=True), room=False)


def test_another_size_starts_with_a_key_frame() -> None:
    gate = KeyGate()
    gate.admit(encoded(1, key=True), room=True)
    assert not gate.admit(encoded(2, width=32), room=True)


def sent_at(estimate: ReceiverEstimate, bps: int, seconds: float) -> float:
    frames = int(seconds * 30)
    for n in range(frames):
        estimate.sent(bps // 30 // 8, n / 30)
    return frames / 30


def test_an_estimate_above_what_is_sent_is_no_limit() -> None:
    estimate = ReceiverEstimate(BitrateBounds(0, 2_500_000, 10_000_000))
    now = sent_at(estimate, 500_000, 5)
    assert estimate.told(750_000, now) == 2_500_000
    assert estimate.told(60_000_000, now) == 10_000_000


def test_an_estimate_below_what_is_sent_is_believed_down_to_the_floor() -> None:
    estimate = ReceiverEstimate(BitrateBounds(300_000, 2_500_000, 10_000_000))
    now = sent_at(estimate, 1_000_000, 5)
    assert estimate.told(850_000, now) == 850_000
    assert estimate.told(100_000, now) == 300_000


OFFER = "\n".join(
    [
        "v=0",
        "s=-",
        "a=group:BUNDLE 0 1",
        "a=x-reactor-dc-chunking:1 max-message-size=1000000",
        "m=video 9 UDP/TLS/RTP/SAVPF 45 102 96 97 98",
        "a=mid:0",
        "a=recvonly",
        "a=rtcp-mux",
        "a=ice-ufrag:abcd",
        "a=rtpmap:45 AV1/90000",
        "a=rtpmap:102 H264/90000",
        "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack pli",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=rtpmap:98 rtx/90000",
        "a=fmtp:98 apt=102",
        "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        "a=candidate:1 1 udp 1 abc.local 9 typ host",
        "a=end-of-candidates",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:1",
        "a=max-message-size:100000",
    ]
)
BOTH = (VideoCodec.VP8, VideoCodec.H264)


def test_an_offer_is_cut_to_one_codec_with_its_retransmission_and_without_candidates() -> None:
    given = sdp.for_aiortc(parse_description(OFFER), BOTH)
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" in given
    assert "AV1" not in given
    assert "H264" not in given
    assert "apt=102" not in given
    assert "candidate" not in given
    assert given.count("a=ice-ufrag:abcd") == 2  # the second section shares the first one's transport


def test_what_we_serve_decides_the_codec() -> None:
    video = parse_description(OFFER).media[0]
    assert sdp.chosen_payload(video, BOTH) == 96
    assert sdp.chosen_payload(video, (VideoCodec.H264, VideoCodec.VP8)) == 102
    assert sdp.chosen_payload(video, ()) is None
    assert video.extension(sdp.PLAYOUT_DELAY) == 5


def test_limits_are_those_the_other_side_declares() -> None:
    text = parse_description(OFFER)
    assert text.plain_limit == 100_000
    assert text.chunked_limit == 1_000_000
    assert parse_description(OFFER.replace("a=max-message-size:100000", "a=x")).plain_limit == 65_536
    any_size = parse_description(OFFER.replace("size:100000", "size:18446744073709551615"))
    assert any_size.plain_limit == PLAIN_MESSAGE_BYTES
    assert parse_description(OFFER.replace("chunking:1", "chunking:2")).chunked_limit is None


def test_a_section_without_a_common_codec_keeps_its_own_in_the_answer() -> None:
    offer = parse_description(OFFER.replace("VP8/", "VP9/").replace("H264/", "H265/"))
    answer = sdp.finished(sdp.for_aiortc(offer, BOTH), offer, BOTH, [])
    assert "m=video 9 UDP/TLS/RTP/SAVPF 45\r\n" in answer
    assert "a=rtpmap:45 AV1/90000\r\n" in answer
    assert "VP8" not in answer


@pytest.mark.parametrize(
    "text", ["", "v=0", "hello\r\nm=video", "v=0\nm=video 9 X 96\n", "v=0\nm=\na=mid:0\nm=\na=mid:0"]
)
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(PeerError):
        parse_description(text)
