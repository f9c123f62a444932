"""Reading SDP (RFC 8866, RFC 8829) as data. Pure.

What the runtime wants to know of an offer before an engine sees it; each engine changes descriptions its own way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from livereactor.base.errors import PeerError
from livereactor.protocol.json_text import shown

SDP_BYTES: Final = 256 * 1024  # a browser's offer with eight sections and all its codecs has some 30 KiB
MAX_SECTIONS: Final = 128  # each costs the engine a transceiver
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_LINE: Final = re.compile(r"[a-z]=[^\x00]*")
_MEDIA: Final = re.compile(r"m=(\w{1,32}) (\d{1,5})(?:/\d{1,5})? ([\w/]{1,64}) (.+)", re.ASCII)
_RTPMAP: Final = re.compile(r"(\d{1,3}) ([\w.\-]{1,64})/(\d{1,9})(?:/(\d{1,3}))?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CodecText:
    """One payload type of a section."""

    payload: int
    name: str


@dataclass(frozen=True, slots=True)
class SectionText:
    """Lines of one part of a description; attributes by name, of which the first counts."""

    lines: tuple[str, ...]

    def values(self, name: str) -> tuple[str, ...]:
        """The values of all attributes of this name, in order; empty texts for those without one."""
        flag, prefix = f"a={name}", f"a={name}:"
        return tuple(line[len(prefix) :].strip() for line in self.lines if line == flag or line.startswith(prefix))

    def value(self, name: str) -> str | None:
        """The value of the first attribute of this name; None without one."""
        return next(iter(self.values(name)), None)

    def has(self, name: str) -> bool:
        """Whether the attribute is there."""
        return self.value(name) is not None


@dataclass(frozen=True, slots=True)
class MediaText(SectionText):
    """One m-section, its first line the m-line. `kind`: audio, video or application."""

    kind: str
    port: int
    transport: str
    formats: tuple[str, ...]
    mid: str
    direction: str
    codecs: tuple[CodecText, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """An offer or an answer."""

    session: SectionText
    media: tuple[MediaText, ...]

    def section(self, mid: str) -> MediaText | None:
        """The section with this mid."""
        return next((section for section in self.media if section.mid == mid), None)

    @property
    def ice_ufrag(self) -> str:
        """The first ICE user fragment; tells the candidates of this description from those of another."""
        return next((value for part in (*self.media, self.session) if (value := part.value("ice-ufrag"))), "")

    @property
    def video_codecs(self) -> frozenset[str]:
        """Names of all video codecs, in upper case, repair formats included."""
        return frozenset(codec.name.upper() for part in self.media if part.kind == "video" for codec in part.codecs)


def parse_offer(text: str) -> Description:
    """An offer that can be answered; `PeerError` with one sentence for what cannot.

    Beside what `parse_description` wants: ICE credentials and a DTLS fingerprint for every section in use.
    """
    offer = parse_description(text, "the offer")
    for section in offer.media:
        for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            if not (section.value(name) or offer.session.value(name)):
                raise PeerError(
                    f"section {shown(section.mid)} of the offer has no a={name}; send what createOffer made"
                )
    return offer


def parse_description(text: str, what: str = "the description") -> Description:
    """The description as data; `what` names it in the `PeerError` that anything else raises."""
    if len(text) > SDP_BYTES or len(text.encode(errors="replace")) > SDP_BYTES:
        raise PeerError(f"{what} has {len(text)} characters, over the limit of {SDP_BYTES} bytes; drop unused sections")
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if not lines or not lines[0].startswith("v=0"):
        raise PeerError(f"{what} is not SDP: it begins with {shown(text[:20])}; send what createOffer made")
    for number, line in enumerate(lines, 1):
        if not _LINE.fullmatch(line):
            raise PeerError(f"line {number} of {what} is not SDP: {shown(line, 20)}; send what createOffer made")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        raise PeerError(f"{what} has no m-line; add a transceiver or a data channel before createOffer")
    if len(starts) > MAX_SECTIONS:
        raise PeerError(f"{what} has {len(starts)} sections, over the limit of {MAX_SECTIONS}; drop unused ones")
    session = SectionText(tuple(lines[: starts[0]]))
    ends = [*starts[1:], len(lines)]
    media = tuple(_media(tuple(lines[start:end]), session, what) for start, end in zip(starts, ends, strict=True))
    _refuse_doubles((section.mid for section in media), what)
    return Description(session, media)


def _refuse_doubles(mids: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for mid in mids:
        if mid in seen:
            raise PeerError(f"two sections of {what} have the mid {shown(mid)}; mids must differ")
        seen.add(mid)


def _media(lines: tuple[str, ...], session: SectionText, what: str) -> MediaText:
    line = _MEDIA.fullmatch(lines[0])
    if line is None:
        raise PeerError(f"{what} has the m-line {shown(lines[0], 40)}; want 'm=<kind> <port> <transport> <formats>'")
    part = SectionText(lines)
    mid = part.value("mid")
    if not mid:
        raise PeerError(f"the {line[1]} section of {what} has no a=mid; send what createOffer made")
    formats = tuple(line[4].split())
    return MediaText(
        lines=lines,
        kind=line[1],
        port=int(line[2]),
        transport=line[3],
        formats=formats,
        mid=mid,
        direction=_direction(part) or _direction(session) or "sendrecv",
        codecs=_codecs(part, formats),
    )


def _direction(part: SectionText) -> str | None:
    return next((word for word in _DIRECTIONS if part.has(word)), None)


def _codecs(part: SectionText, formats: tuple[str, ...]) -> tuple[CodecText, ...]:
    names = {found[1]: found for value in part.values("rtpmap") if (found := _RTPMAP.fullmatch(value))}
    return tuple(
        CodecText(int(number), found[2])
        for number in dict.fromkeys(formats)
        if (found := names.get(number)) is not None
    )
