"""Descriptions cut to what aiortc can take, and its answers mended. Pure.

aiortc fails on a section without a common codec, takes the first codec the offer names, waits for candidates it cannot
resolve, and knows neither chunking nor frame tags nor playout delay: all that is settled in the text, before and after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from livereactor.base.errors import PeerError
from livereactor.base.limits import Limits
from livereactor.media.frames import VideoCodec
from livereactor.protocol import chunking

PLAIN_MESSAGE_BYTES: Final = Limits().message_bytes  # what browsers and we declare (protocol 4.4)
CHUNKING: Final = f"a={chunking.declaration(Limits().chunked_message_bytes)}"
FRAME_METADATA: Final = "a=x-reactor-frame-metadata:1"
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_DIRECTIONS: Final = ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive")
_OF_A_CODEC: Final = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+|\*) ")
_TRANSPORT: Final = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup", "a=rtcp-mux")
_STAND_IN: Final = {"video": "VP8/90000", "audio": "opus/48000/2"}
_H264_BASELINE: Final = re.compile(r"profile-level-id=42", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SectionText:
    """One m-section as it was written."""

    lines: tuple[str, ...]

    @property
    def kind(self) -> str:
        """`video`, `audio`, `application`."""
        return self.lines[0][2:].split(" ", 1)[0]

    @property
    def mid(self) -> str:
        """What binds it to a track; raises `PeerError` where it has none."""
        found = self.value("mid")
        if found is None:
            raise PeerError(f"a {self.kind[:16]!r} section has no a=mid; send what createOffer made")
        return found

    @property
    def direction(self) -> str:
        """Without a line it is sendrecv (RFC 8866, section 6.7)."""
        return next((line[2:] for line in self.lines if line in _DIRECTIONS), "sendrecv")

    @property
    def payloads(self) -> tuple[str, ...]:
        """Payload types, preferred first."""
        return tuple(self.lines[0].split()[3:])

    def codec(self, payload: str) -> str:
        """Name of a payload type, upper case, or empty."""
        found = next((line for line in self.lines if line.startswith(f"a=rtpmap:{payload} ")), "")
        return found.partition(" ")[2].partition("/")[0].upper()

    def fmtp(self, payload: str) -> str:
        """Parameters of a payload type, or empty."""
        found = next((line for line in self.lines if line.startswith(f"a=fmtp:{payload} ")), "")
        return found.partition(" ")[2]

    def value(self, name: str) -> str | None:
        """The first attribute of this name."""
        start = f"a={name}:"
        return next((line[len(start) :].strip() for line in self.lines if line.startswith(start)), None)

    def extension(self, uri: str) -> int | None:
        """Id of a header extension (RFC 8285)."""
        for line in self.lines:
            if line.startswith("a=extmap:") and line.split()[1:2] == [uri]:
                return int(line[9:].split()[0].partition("/")[0])
        return None


@dataclass(frozen=True, slots=True)
class Text:
    """A description taken apart: the session's lines and its sections."""

    session: tuple[str, ...]
    sections: tuple[SectionText, ...]

    def declares(self, line: str) -> bool:
        """Whether the session has this line."""
        return line in self.session

    def chunked_limit(self) -> int | None:
        """Largest chunked message this side takes (protocol 5.12); None where it does not chunk."""
        start = f"a={chunking.CHUNKING_ATTRIBUTE}:"
        return chunking.declared_limit(
            next((line[len(start) :] for line in self.session if line.startswith(start)), None)
        )

    def plain_limit(self) -> int:
        """Largest plain message this side takes; 64 KiB where it does not say (RFC 8841, section 6.1), 0 = any."""
        declared = next((s.value("max-message-size") for s in self.sections if s.kind == "application"), None)
        size = int(declared) if declared is not None and declared.isdecimal() else 65_536
        return min(size or PLAIN_MESSAGE_BYTES, PLAIN_MESSAGE_BYTES)

    def candidates(self) -> list[tuple[str, str]]:
        """Mid and line (`candidate:…`) of every candidate in it."""
        return [
            (section.mid, line[2:])
            for section in self.sections
            for line in section.lines
            if line.startswith("a=candidate:")
        ]

    def __str__(self) -> str:
        lines = [*self.session, *(line for section in self.sections for line in section.lines)]
        return "".join(f"{line}\r\n" for line in lines)


def take_apart(sdp: str) -> Text:
    """Raises `PeerError` where it is no description with a media section, or two sections have one mid."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        if line.strip():
            parts[-1].append(line.strip())
    if len(parts) < 2 or parts[0][:1] != ["v=0"]:
        raise PeerError("the description is no SDP with a media section; send what createOffer made")
    text = Text(tuple(parts[0]), tuple(SectionText(tuple(part)) for part in parts[1:]))
    if len({section.mid for section in text.sections}) != len(text.sections):
        raise PeerError("two sections of the description have the same a=mid; send what createOffer made")
    return text


def chosen_payload(section: SectionText, codecs: Sequence[VideoCodec]) -> str | None:
    """The payload type to answer with: the first of our codecs the section offers, in a form aiortc has."""
    if section.kind == "audio":
        return next((number for number in section.payloads if section.codec(number) == "OPUS"), None)
    for codec in codecs:
        for number in section.payloads:
            if section.codec(number) == codec.value and (codec is VideoCodec.VP8 or _plain_h264(section.fmtp(number))):
                return number
    return None


def _plain_h264(fmtp: str) -> bool:
    return "packetization-mode=1" in fmtp and _H264_BASELINE.search(fmtp) is not None


def for_aiortc(text: Text, codecs: Sequence[VideoCodec]) -> str:
    """The other side's description as aiortc is given it: one codec a section, no candidates."""
    shared = _transport_lines(text)
    sections = tuple(SectionText((*_cut(section, codecs), *_missing(section, shared))) for section in text.sections)
    return str(Text(text.session, sections))


def _transport_lines(text: Text) -> dict[str, str]:
    """The first line of each attribute that describes the transport."""
    found: dict[str, str] = {}
    for section in text.sections:
        for line in section.lines:
            name = line.partition(":")[0]
            if name in _TRANSPORT:
                found.setdefault(name, line)
    return found


def _missing(section: SectionText, shared: Mapping[str, str]) -> list[str]:
    """A section that was rejected may say nothing of the transport it would share; aiortc wants it said."""
    has = {line.partition(":")[0] for line in section.lines}
    wanted = [name for name in _TRANSPORT if name != "a=rtcp-mux" or section.kind != "application"]
    return [shared[name] for name in wanted if name not in has and name in shared]


def _cut(section: SectionText, codecs: Sequence[VideoCodec]) -> Iterable[str]:
    lines = [line for line in section.lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    if section.kind not in ("video", "audio"):
        return lines
    chosen = chosen_payload(section, codecs)
    if chosen is None:
        return [*_without_codecs(lines, ["96"]), f"a=rtpmap:96 {_STAND_IN[section.kind]}"]
    kept = [chosen, *(number for number in section.payloads if _repairs(section, number, chosen))]
    head = " ".join([*lines[0].split()[:3], *kept])
    return [head, *(line for line in lines[1:] if _belongs(line, kept))]


def _repairs(section: SectionText, number: str, chosen: str) -> bool:
    return section.codec(number) == "RTX" and f"apt={chosen}" in section.fmtp(number).split(";")


def _belongs(line: str, payloads: Sequence[str]) -> bool:
    found = _OF_A_CODEC.match(line)
    return found is None or found[1] in payloads or found[1] == "*"


def _without_codecs(lines: Sequence[str], payloads: Sequence[str]) -> list[str]:
    head = " ".join([*lines[0].split()[:3], *payloads])
    return [head, *(line for line in lines[1:] if not _OF_A_CODEC.match(line))]


def finished(description: str, offer: Text | None, codecs: Sequence[VideoCodec], session_lines: Sequence[str]) -> str:
    """What aiortc wrote, as the other side reads it.

    Args:
        description: aiortc's own.
        offer: what it answers; None where it is the offer itself.
        codecs: what was asked of `chosen_payload`.
        session_lines: declarations to add.
    """
    text = take_apart(description)
    sections = text.sections
    if offer is not None:
        pairs = zip(sections, offer.sections, strict=True)
        sections = tuple(SectionText(tuple(_restored(ours, theirs, codecs))) for ours, theirs in pairs)
    return str(Text((*text.session, *session_lines), sections))


def _restored(ours: SectionText, theirs: SectionText, codecs: Sequence[VideoCodec]) -> Iterable[str]:
    """A section that was given a codec it does not offer, so that aiortc keeps it, names its own again."""
    if theirs.kind not in ("video", "audio") or chosen_payload(theirs, codecs) is not None:
        return ours.lines
    first = theirs.payloads[0]
    own = [line for line in theirs.lines if line.startswith((f"a=rtpmap:{first} ", f"a=fmtp:{first} "))]
    return [*_without_codecs([line for line in ours.lines if not line.startswith("a=ssrc")], [first]), *own]
