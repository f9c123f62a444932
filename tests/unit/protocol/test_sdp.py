"""Descriptions: reading offers, refusing what is none, completing answers (protocol.md section 4, Appendix A)."""

from __future__ import annotations

import pytest

from livereactor.base.errors import PeerError
from livereactor.protocol.sdp import parse_description, parse_offer
from livereactor.protocol.sdp_rewriting import complete_answer, restrict_video

OFFER = """v=0
o=- 4004491812 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=x-reactor-frame-metadata:1
a=x-reactor-dc-chunking:1 max-message-size=67108864
m=video 9 UDP/TLS/RTP/SAVPF 99 100 96 97 35
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:L4Px
a=ice-pwd:geX9n95RcytqbEqRmZ44xk
a=ice-options:trickle goog-sped-v1
a=fingerprint:sha-256 EA:A7
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:99 H264/90000
a=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:99 nack pli
a=rtpmap:100 rtx/90000
a=fmtp:100 apt=99
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 transport-cc
a=rtcp-fb:* ccm fir
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:35 AV1/90000
a=candidate:2241742402 1 udp 2122194687 192.0.2.2 60368 typ host generation 0 ufrag L4Px network-id 1
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=ice-ufrag:L4Px
a=ice-pwd:geX9n95RcytqbEqRmZ44xk
a=fingerprint:sha-256 EA:A7
a=mid:1
a=sendonly
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=ice-ufrag:L4Px
a=ice-pwd:geX9n95RcytqbEqRmZ44xk
a=fingerprint:sha-256 EA:A7
a=mid:2
a=sctp-port:5000
a=sctp-init:AAAA
a=max-message-size:262144
""".replace("\n", "\r\n")


def test_an_offer_reads_as_data() -> None:
    offer = parse_offer(OFFER)
    video, audio, application = offer.media
    assert [(s.kind, s.mid, s.direction) for s in offer.media] == [
        ("video", "0", "recvonly"),
        ("audio", "1", "sendonly"),
        ("application", "2", "sendrecv"),
    ]
    assert [codec.name for codec in video.codecs] == ["H264", "rtx", "VP8", "rtx", "AV1"]
    assert video.codecs[0].parameters.endswith("profile-level-id=42e01f")
    assert [codec.repairs for codec in video.codecs] == [None, 99, None, 96, None]
    assert (audio.codecs[0].clock_rate, audio.codecs[0].channels) == (48000, 2)
    assert video.candidates == (
        "candidate:2241742402 1 udp 2122194687 192.0.2.2 60368 typ host generation 0 ufrag L4Px network-id 1",
    )
    assert offer.data_channel is application
    assert offer.max_message_size == 262144
    assert offer.ice_ufrag == "L4Px"
    assert offer.supports_transport_cc
    assert not audio.supports_transport_cc
    assert offer.section("1") is audio
    assert offer.section("9") is None
    assert offer.video_codecs == {"H264", "VP8", "RTX", "AV1"}
    assert offer.session.reactor_attributes == {
        "x-reactor-frame-metadata": "1",
        "x-reactor-dc-chunking": "1 max-message-size=67108864",
    }


def test_what_was_read_writes_back() -> None:
    assert parse_offer(OFFER).text() == OFFER
    assert parse_offer(OFFER.replace("\r\n", "\n")).text() == OFFER


def test_ice_and_fingerprint_may_stand_in_the_session() -> None:
    lines = [line for line in OFFER.split("\r\n") if not line.startswith(("a=ice-", "a=fingerprint"))]
    common = ["a=ice-ufrag:L4Px", "a=ice-pwd:geX9n95RcytqbEqRmZ44xk", "a=fingerprint:sha-256 EA:A7"]
    assert parse_offer("\r\n".join([*lines[:4], *common, *lines[4:]])).ice_ufrag == "L4Px"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not SDP"),
        ("hello", "not SDP"),
        ("v=0\r\nnonsense\r\nm=audio 9 X 0\r\n", "line 2"),
        ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n", "no m-line"),
        ("v=0\r\nm=audio\r\n", "m-line 'm=audio'"),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "no a=mid"),
        (OFFER.replace("a=mid:1", "a=mid:0"), "two sections of the offer have the mid '0'"),
        (OFFER.replace("a=fingerprint:sha-256 EA:A7\r\n", ""), "no a=fingerprint"),
        (OFFER.replace("a=ice-pwd:geX9n95RcytqbEqRmZ44xk\r\n", ""), "no a=ice-pwd"),
        (OFFER.replace("a=ice-ufrag:L4Px\r\n", ""), "no a=ice-ufrag"),
        (OFFER + "a=x:" + "y" * 262_144, "over the limit"),
        (OFFER + "a=x:" + "☂" * 100_000, "over the limit"),
        ("v=0\r\n" + "".join(f"m=audio 9 X 0\r\na=mid:{n}\r\n" for n in range(129)), "129 sections"),
        (OFFER + "a=\x00\r\n", "not SDP"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_sentence(text: str, part: str) -> None:
    with pytest.raises(PeerError, match=part) as caught:
        parse_offer(text)
    assert len(caught.value.message) < 250


def test_missing_max_message_size_means_the_rfcs_default() -> None:
    assert parse_offer(OFFER.replace("a=max-message-size:262144\r\n", "")).max_message_size == 65536


def test_video_is_cut_to_what_is_served() -> None:
    cut = restrict_video(parse_offer(OFFER), ["vp8"])
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" in cut.text()
    assert parse_offer(cut.text()) == cut
    assert [codec.name for codec in cut.media[0].codecs] == ["VP8", "rtx"]
    assert "H264" not in cut.text()
    assert "a=rtcp-fb:* ccm fir" in cut.text()
    assert cut.media[1:] == parse_offer(OFFER).media[1:]


def test_a_section_without_any_served_codec_stays() -> None:
    offer = parse_offer(OFFER)
    assert restrict_video(offer, ["VP9"]) == offer


ANSWER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=x-reactor-dc-chunking:1
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:0
a=sendonly
a=rtcp-mux
a=candidate:1 1 udp 1 192.0.2.2 1 typ host
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:1
a=recvonly
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:2
a=max-message-size:65536
""".replace("\n", "\r\n")


def test_an_answer_is_completed_for_official_clients() -> None:
    candidates = ["candidate:1 1 udp 1 192.0.2.2 1 typ host", "candidate:2 1 udp 1 192.0.2.2 2 typ host"]
    answer = complete_answer(
        parse_description(ANSWER),
        candidates=candidates,
        gathering_complete=True,
        session_attributes=["x-reactor-dc-chunking:1 max-message-size=67108864"],
    )
    assert parse_description(answer.text()) == answer
    assert answer.session.lines[-1] == "a=x-reactor-dc-chunking:1 max-message-size=67108864"
    assert answer.text().count("x-reactor-") == 1
    assert answer.media[0].candidates == tuple(candidates)
    assert answer.media[0].lines[-1] == "a=end-of-candidates"
    assert all(section.has("rtcp-mux") for section in answer.media[:2])
    assert answer.max_message_size == 262144
    assert answer.text().count("max-message-size:") == 1


def test_completing_twice_changes_nothing() -> None:
    once = complete_answer(parse_description(ANSWER), candidates=["candidate:9"], gathering_complete=True)
    assert complete_answer(once, candidates=["candidate:9"], gathering_complete=True) == once
