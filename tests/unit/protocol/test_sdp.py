"""Descriptions: reading offers, refusing what is none."""

from __future__ import annotations

import pytest

from livereactor.base.errors import PeerError
from livereactor.protocol.sdp import answered_whole, bundled, parse_offer

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
    video = offer.media[0]
    assert [(s.kind, s.mid, s.direction) for s in offer.media] == [
        ("video", "0", "recvonly"),
        ("audio", "1", "sendonly"),
        ("application", "2", "sendrecv"),
    ]
    assert [codec.name for codec in video.codecs] == ["H264", "rtx", "VP8", "rtx", "AV1"]
    assert offer.ice_ufrag == "L4Px"
    assert offer.section("1") is offer.media[1]
    assert offer.section("9") is None
    assert offer.video_codecs == {"H264", "VP8", "RTX", "AV1"}


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
        (OFFER + "a=\x00\r\n", r"control character U\+0000"),
        (OFFER.replace("a=group:BUNDLE 0 1 2\r\n", ""), "BUNDLE"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_sentence(text: str, part: str) -> None:
    with pytest.raises(PeerError, match=part) as caught:
        parse_offer(text)
    assert len(caught.value.message) < 250


def test_a_description_is_written_as_it_was_read() -> None:
    assert str(parse_offer(OFFER)) == OFFER


def test_sections_outside_the_first_bundle_are_left_out_and_refused_in_the_answer() -> None:
    offer = parse_offer(OFFER.replace("BUNDLE 0 1 2", "BUNDLE 2 7 0\r\na=group:BUNDLE 1"))
    part = bundled(offer)
    assert [section.mid for section in part.media] == ["0", "2"]
    assert part.session.values("group") == ("BUNDLE 0 2",)
    whole = answered_whole(part, offer)
    assert [(section.mid, section.port) for section in whole.media] == [("0", 9), ("1", 0), ("2", 9)]
    assert whole.media[1].lines == ("m=audio 0 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:1", "a=inactive")
    assert bundled(parse_offer(OFFER)) == parse_offer(OFFER)
    with pytest.raises(PeerError, match="BUNDLE"):
        bundled(offer, {"0", "2"})
