"""The descriptions of the in-memory engine: real SDP (RFC 8866), so that code which reads it needs no sockets.

Pure. They have what a session or a page reads: sections with mid, kind, direction and codecs, BUNDLE, candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from livereactor.base.errors import PeerError
from livereactor.engine.port import Section, Use
from livereactor.media.frames import VideoCodec
from livereactor.protocol.sdp import Description, MediaSection, RtpCodec, parse_description

_OFFERED = {  # payload type and rtpmap of what a memory peer offers; the numbers are Chromium's
    "video": (("96", "VP8/90000"), ("102", "H264/90000")),
    "audio": (("111", "opus/48000/2"),),
}
_USED_BY_OFFERER = {Use.SEND: "sendonly", Use.RECEIVE: "recvonly", Use.INACTIVE: "inactive"}
_FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)


def read(text: str) -> Description:
    """Read an offer or an answer; raises `PeerError` where it is none or names no ICE user fragment."""
    description = parse_description(text)
    if not description.ice_ufrag:
        raise PeerError("the description has no a=ice-ufrag; send what createOffer made")
    return description


def channels(description: Description) -> list[str]:
    """Return the labels of the data channels that an offer of this engine opens."""
    return (description.session.value("x-memory-channels") or "").split()


def write_offer(ufrag: str, sections: Sequence[Section], channels: Sequence[str]) -> str:
    """An offer with these sections, mids `0`, `1`, …, and the application section last."""
    parts = [
        _media(str(n), section.kind, _USED_BY_OFFERER[section.use], dict(_OFFERED[section.kind]), ufrag, "actpass")
        for n, section in enumerate(sections)
    ]
    if channels:
        parts.append(_application(str(len(sections)), ufrag, "actpass"))
    lines = [f"a=x-memory-channels:{' '.join(channels)}"] if channels else []
    return _description([str(n) for n in range(len(parts))], lines, parts)


def write_answer(ufrag: str, offer: Description, uses: Mapping[str, Use]) -> str:
    """The answer to `offer`: every section of it in its order, the codec cut to one."""
    parts: list[str] = []
    for section in offer.media:
        if section.kind == "application":
            parts.append(_application(section.mid, ufrag, "active"))
            continue
        codec = chosen_codec(section)
        direction = answer_direction(section, uses.get(section.mid, Use.INACTIVE))
        clock = "90000" if section.kind == "video" else "48000/2"
        codecs = {str(codec.payload): f"{codec.name}/{clock}"} if codec else {}
        parts.append(_media(section.mid, section.kind, direction, codecs, ufrag, "active"))
    return _description([section.mid for section in offer.media], [], parts)


def chosen_codec(section: MediaSection) -> RtpCodec | None:
    """Return the codec that both sides have, or None; VP8 first, which every client has."""
    for name in (VideoCodec.VP8, VideoCodec.H264) if section.kind == "video" else ("opus",):
        if (number := section.payload(name)) is not None:
            return RtpCodec(number, str(name))
    return None


def answer_direction(section: MediaSection, use: Use) -> str:
    """`inactive` where the offer does not allow the use, or no codec is common."""
    if chosen_codec(section) is None:
        return "inactive"
    if use is Use.SEND and section.receives:
        return "sendonly"
    if use is Use.RECEIVE and section.sends:
        return "recvonly"
    return "inactive"


def _description(mids: list[str], lines: list[str], parts: list[str]) -> str:
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}", *lines]
    return "".join(f"{line}\r\n" for line in head) + "".join(parts)


def _media(mid: str, kind: str, direction: str, codecs: Mapping[str, str], ufrag: str, setup: str) -> str:
    head = f"m={kind} 9 UDP/TLS/RTP/SAVPF {' '.join(codecs) or '0'}"
    maps = [f"a=rtpmap:{number} {codec}" for number, codec in codecs.items()]
    return _part([head, "c=IN IP4 0.0.0.0", f"a=mid:{mid}", f"a={direction}", "a=rtcp-mux", *maps], ufrag, setup)


def _application(mid: str, ufrag: str, setup: str) -> str:
    head = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", f"a=mid:{mid}"]
    return _part([*head, "a=sctp-port:5000", "a=max-message-size:262144"], ufrag, setup)


def _part(lines: list[str], ufrag: str, setup: str) -> str:
    transport = [
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
        "a=end-of-candidates",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{ufrag * 3}",
        f"a=fingerprint:{_FINGERPRINT}",
        f"a=setup:{setup}",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, *transport])
