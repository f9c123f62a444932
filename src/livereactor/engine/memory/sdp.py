"""The descriptions of the in-memory engine: real SDP (RFC 8866), so that code which reads it needs no sockets.

Pure. Only what a room or a page looks at is here: sections with mid, kind, direction and codecs, BUNDLE, candidates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from livereactor.base.errors import PeerError
from livereactor.engine.port import Section, Use
from livereactor.media.frames import VideoCodec

_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_OFFERED = {  # payload type and rtpmap of what a memory peer offers; the numbers are Chromium's
    "video": (("96", "VP8/90000"), ("102", "H264/90000")),
    "audio": (("111", "opus/48000/2"),),
}
_USED_BY_OFFERER = {Use.SEND: "sendonly", Use.RECEIVE: "recvonly", Use.INACTIVE: "inactive"}
_FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)


@dataclass(frozen=True, slots=True)
class MediaSection:
    """One m-section: `kind` is `video`, `audio` or `application`; `codecs` maps payload type to name, in order."""

    kind: str
    mid: str
    direction: str
    codecs: Mapping[str, str]

    def payload(self, name: str) -> str | None:
        """The first payload type of a codec, by its name without case."""
        return next((number for number, codec in self.codecs.items() if codec.upper() == name.upper()), None)


@dataclass(frozen=True, slots=True)
class Description:
    """What a memory peer reads of an offer or answer; `ufrag` names the peer that wrote it."""

    ufrag: str
    sections: tuple[MediaSection, ...]
    channels: tuple[str, ...]


def read(text: str) -> Description:
    """Parse an offer or an answer; raises `PeerError` where it is none."""
    session, *parts = re.split(r"(?m)^(?=m=)", text.replace("\r\n", "\n"))
    if not session.startswith("v=0") or not parts:
        raise PeerError("the description is no SDP with a media section; send what createOffer made")
    ufrag = _value(text, "ice-ufrag")
    if ufrag is None:
        raise PeerError("the description has no a=ice-ufrag; send what createOffer made")
    sections = tuple(_section(part) for part in parts)
    if len({section.mid for section in sections}) != len(sections):
        raise PeerError("two sections of the description have the same a=mid; send what createOffer made")
    channels = _value(session, "x-memory-channels")
    return Description(ufrag, sections, tuple(channels.split()) if channels else ())


def _section(part: str) -> MediaSection:
    kind, _port, _transport, *numbers = part.split("\n", 1)[0].removeprefix("m=").split()
    mid = _value(part, "mid")
    if mid is None:
        raise PeerError(f"a {kind[:16]!r} section of the description has no a=mid; send what createOffer made")
    names: dict[str, str] = dict(re.findall(r"(?m)^a=rtpmap:(\d+) ([\w\-]+)", part))
    direction = next((word for word in _DIRECTIONS if re.search(rf"(?m)^a={word}$", part)), "sendrecv")
    return MediaSection(kind, mid, direction, {number: names[number] for number in numbers if number in names})


def _value(text: str, name: str) -> str | None:
    found = re.search(rf"(?m)^a={name}:(.*)$", text)
    return found[1].strip() if found else None


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
    for section in offer.sections:
        if section.kind == "application":
            parts.append(_application(section.mid, ufrag, "active"))
            continue
        codec = chosen_codec(section)
        direction = answer_direction(section, uses.get(section.mid, Use.INACTIVE))
        codecs = {codec[0]: f"{codec[1]}/90000" if section.kind == "video" else f"{codec[1]}/48000/2"} if codec else {}
        parts.append(_media(section.mid, section.kind, direction, codecs, ufrag, "active"))
    return _description([section.mid for section in offer.sections], [], parts)


def chosen_codec(section: MediaSection) -> tuple[str, str] | None:
    """Payload type and name of the codec both sides have; VP8 first, which every client has (protocol 7.1)."""
    for name in (VideoCodec.VP8, VideoCodec.H264) if section.kind == "video" else ("opus",):
        if (number := section.payload(name)) is not None:
            return number, str(name)
    return None


def answer_direction(section: MediaSection, use: Use) -> str:
    """`inactive` where the offer does not allow the use, or no codec is common."""
    if chosen_codec(section) is None:
        return "inactive"
    if use is Use.SEND and section.direction in ("recvonly", "sendrecv"):
        return "sendonly"
    if use is Use.RECEIVE and section.direction in ("sendonly", "sendrecv"):
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
