"""Session descriptions (SDP, RFC 8866 and RFC 8829) as data: the one reader for runtime, client and engines. Pure.

Each engine keeps only what it changes in a description before or after its library sees it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from livereactor.base.errors import PeerError
from livereactor.base.limits import KIB, Limits
from livereactor.protocol.chunking import CHUNKING_ATTRIBUTE, declared_limit
from livereactor.protocol.json_text import shown

PLAIN_MESSAGE_BYTES: Final = Limits().message_bytes  # largest message without chunking, as browsers declare it too
UNDECLARED_MESSAGE_BYTES: Final = 64 * KIB  # of a side that declares no max-message-size (RFC 8841, section 6.1)
SDP_BYTES: Final = 256 * 1024  # a browser's offer with eight sections and all its codecs has some 30 KiB
MAX_SECTIONS: Final = 128  # of a text that is read at all; how many an offer may have is a limit of the runtime
MAX_MID: Final = 16  # characters; what the header extension carries (RFC 8843, section 15), and libwebrtc takes
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_LINE: Final = re.compile(r"[a-z]=.*", re.DOTALL)
# Some readers end a line at each of these, so that one line is many to them; half of a surrogate pair is no UTF-8.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MID: Final = re.compile(rf"[!#-'*+\-.0-9A-Z^-~]{{1,{MAX_MID}}}")  # a token (RFC 5888, section 4)
_MEDIA: Final = re.compile(r"m=(\w{1,32}) (\d{1,5})(?:/\d{1,5})? ([\w/]{1,64}) (.+)", re.ASCII)
_RTPMAP: Final = re.compile(r"(\d{1,3}) ([\w.\-]{1,64})/(\d{1,9})(?:/(\d{1,3}))?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class RtpCodec:
    """A payload type of a section and its encoding name, as the `a=rtpmap` line writes it."""

    payload: int
    name: str


@dataclass(frozen=True, slots=True)
class SectionLines:
    """The lines of one part of a description; attributes are found by name."""

    lines: tuple[str, ...]

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of all attributes of this name, in order; an attribute without a value gives ""."""
        flag, prefix = f"a={name}", f"a={name}:"
        return tuple(line[len(prefix) :].strip() for line in self.lines if line == flag or line.startswith(prefix))

    def value(self, name: str) -> str | None:
        """Return the value of the first attribute of this name, or None."""
        return next(iter(self.values(name)), None)

    def has(self, name: str) -> bool:
        """Whether the attribute is there."""
        return self.value(name) is not None


@dataclass(frozen=True, slots=True)
class MediaSection(SectionLines):
    """An m-section, its first line the m-line.

    Attributes:
        kind: `audio`, `video` or `application`.
        formats: payload types of the m-line, the preferred one first.
        direction: `sendrecv`, `sendonly`, `recvonly` or `inactive`; `sendrecv` without a line (RFC 8866, section 6.7).
        codecs: payload types that have a name, in the order of `formats`.
    """

    kind: str
    port: int
    transport: str
    formats: tuple[str, ...]
    mid: str
    direction: str
    codecs: tuple[RtpCodec, ...]

    @property
    def sends(self) -> bool:
        """Whether the side that wrote the section may send on it."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        """Whether the side that wrote the section may receive on it."""
        return self.direction in ("sendrecv", "recvonly")

    @property
    def codec_names(self) -> tuple[str, ...]:
        """Encoding names in upper case, the preferred one first."""
        return tuple(codec.name.upper() for codec in self.codecs)

    def payload(self, name: str) -> int | None:
        """Return the first payload type of a codec, by its name in any case, or None."""
        return next((codec.payload for codec in self.codecs if codec.name.upper() == name.upper()), None)

    def fmtp(self, payload: int) -> str:
        """Return the format parameters of a payload type, or ""."""
        return next((value.partition(" ")[2] for value in self.values("fmtp") if value.startswith(f"{payload} ")), "")

    def extension(self, uri: str) -> int | None:
        """Return the id of a header extension (RFC 8285), or None."""
        for value in self.values("extmap"):
            if value.split()[1:2] == [uri]:
                return int(value.split()[0].partition("/")[0])
        return None


@dataclass(frozen=True, slots=True)
class Description:
    """An offer or an answer; `str` writes it."""

    session: SectionLines
    media: tuple[MediaSection, ...]

    def section(self, mid: str) -> MediaSection | None:
        """Return the section with this mid, or None."""
        return next((section for section in self.media if section.mid == mid), None)

    @property
    def ice_ufrag(self) -> str:
        """The first ICE user fragment; tells the candidates of this description from those of another."""
        return next((value for part in (*self.media, self.session) if (value := part.value("ice-ufrag"))), "")

    @property
    def video_codecs(self) -> frozenset[str]:
        """Names of all video codecs, in upper case, repair formats included."""
        return frozenset(name for part in self.media if part.kind == "video" for name in part.codec_names)

    @property
    def plain_limit(self) -> int:
        """Largest message without chunking that this side takes, bytes; a declared 0 means any (RFC 8841)."""
        declared = next((part.value("max-message-size") for part in self.media if part.kind == "application"), None)
        is_number = declared is not None and declared.isascii() and declared.isdecimal()
        size = int(declared[:12]) if declared and is_number else UNDECLARED_MESSAGE_BYTES  # 12 digits are any size
        return min(size or PLAIN_MESSAGE_BYTES, PLAIN_MESSAGE_BYTES)

    @property
    def chunked_limit(self) -> int | None:
        """Largest chunked message that this side takes, bytes; None where it does not chunk."""
        return declared_limit(self.session.value(CHUNKING_ATTRIBUTE))

    @property
    def bundle(self) -> tuple[str, ...]:
        """The mids of the first BUNDLE group; empty where there is none (RFC 9143)."""
        groups = (value.split() for value in self.session.values("group"))
        return next((tuple(words[1:]) for words in groups if words[:1] == ["BUNDLE"]), ())

    def __str__(self) -> str:
        return written([self.session.lines, *(section.lines for section in self.media)])


def bundled(offer: Description, refused: Collection[str] = ()) -> Description:
    """Return the offer with only those sections that share its first BUNDLE group, whose transport they share.

    Any other section would be a transport of its own, with sockets of its own. `answered_whole` refuses these.

    Args:
        refused: mids to leave out as well.

    Raises:
        PeerError: no section is left.
    """
    group = [mid for mid in offer.bundle if mid not in refused]
    media = tuple(section for section in offer.media if section.mid in group)
    if not media:
        raise PeerError("no section of the offer is in its first a=group:BUNDLE; send what createOffer made")
    lines = [line for line in offer.session.lines if not line.startswith("a=group:")]
    place = next(index for index, line in enumerate(offer.session.lines) if line.startswith("a=group:"))
    # In the order of the sections: both engines fail where a group begins with the data channels' section.
    lines.insert(place, " ".join(["a=group:BUNDLE", *(section.mid for section in media)]))
    return Description(SectionLines(tuple(lines)), media)


def answered_whole(answer: Description, offer: Description) -> Description:
    """Return the answer to a part of the offer with all of the offer's sections, those that it lacks with port 0."""
    sections = (answer.section(section.mid) or _refused(section) for section in offer.media)
    return Description(answer.session, tuple(sections))


def _refused(section: MediaSection) -> MediaSection:
    """Return a section that refuses an offered one (RFC 8829, section 5.3.1)."""
    head = f"m={section.kind} 0 {section.transport} {' '.join(section.formats)}"
    lines = (head, "c=IN IP4 0.0.0.0", f"a=mid:{section.mid}", "a=inactive")
    return replace(section, lines=lines, port=0, direction="inactive", codecs=())


def written(parts: Iterable[Iterable[str]]) -> str:
    """Write the lines of the session and of each m-section as one description."""
    return "".join(f"{line}\r\n" for lines in parts for line in lines)


def parse_offer(text: str, *, sections: int = Limits().media_sections) -> Description:
    """Read an offer that can be answered: each section has ICE credentials and a DTLS fingerprint, or the session has.

    Args:
        sections: the most that it may have.

    Raises:
        PeerError: it is no such offer; the message says in one sentence what is missing.
    """
    offer = parse_description(text, "the offer")
    if (used := len(offer.media)) > sections:
        raise PeerError(f"the offer has {used} sections, over the limit media_sections of {sections}; drop unused ones")
    bundled(offer)
    for section in offer.media:
        for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            if not (section.value(name) or offer.session.value(name)):
                raise PeerError(
                    f"section {shown(section.mid)} of the offer has no a={name}; send what createOffer made"
                )
    return offer


def parse_description(text: str, what: str = "the description") -> Description:
    """Read an offer or an answer.

    Args:
        text: the description, at most `SDP_BYTES` long, of at most `MAX_SECTIONS` sections.
        what: names the description in error messages.

    Raises:
        PeerError: it is not SDP, has no m-section, a line holds a control character, or a section has
            no mid, two, one that is no token of `MAX_MID` characters, or the mid of another.
    """
    if len(text) > SDP_BYTES or len(text.encode(errors="replace")) > SDP_BYTES:
        raise PeerError(f"{what} has {len(text)} characters, over the limit of {SDP_BYTES} bytes; drop unused sections")
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if not lines or not lines[0].startswith("v=0"):
        raise PeerError(f"{what} is not SDP: it begins with {shown(text[:20])}; send what createOffer made")
    for number, line in enumerate(lines, 1):
        if (found := _CONTROL.search(line)) is not None:
            name = f"U+{ord(found[0]):04X}"
            raise PeerError(f"line {number} of {what} has the control character {name}; send what createOffer made")
        if not _LINE.fullmatch(line):
            raise PeerError(f"line {number} of {what} is not SDP: {shown(line, 20)}; send what createOffer made")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        raise PeerError(f"{what} has no m-line; add a transceiver or a data channel before createOffer")
    if len(starts) > MAX_SECTIONS:
        raise PeerError(f"{what} has {len(starts)} sections, over the limit of {MAX_SECTIONS}; drop unused ones")
    session = SectionLines(tuple(lines[: starts[0]]))
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


def _media(lines: tuple[str, ...], session: SectionLines, what: str) -> MediaSection:
    line = _MEDIA.fullmatch(lines[0])
    if line is None:
        raise PeerError(f"{what} has the m-line {shown(lines[0], 40)}; use 'm=<kind> <port> <transport> <formats>'")
    part = SectionLines(lines)
    mid, *more = part.values("mid") or ("",)
    if not mid:
        raise PeerError(f"the {line[1]} section of {what} has no a=mid; send what createOffer made")
    if more:
        raise PeerError(f"the {line[1]} section of {what} has two mids; send what createOffer made")
    if not _MID.fullmatch(mid):
        raise PeerError(f"the mid {shown(mid, 20)} of {what} is no token of {MAX_MID} characters; send a short one")
    formats = tuple(line[4].split())
    return MediaSection(
        lines=lines,
        kind=line[1],
        port=int(line[2]),
        transport=line[3],
        formats=formats,
        mid=mid,
        direction=_direction(part) or _direction(session) or "sendrecv",
        codecs=_codecs(part, formats),
    )


def _direction(part: SectionLines) -> str | None:
    return next((word for word in _DIRECTIONS if part.has(word)), None)


def _codecs(part: SectionLines, formats: tuple[str, ...]) -> tuple[RtpCodec, ...]:
    names = {found[1]: found for value in part.values("rtpmap") if (found := _RTPMAP.fullmatch(value))}
    return tuple(
        RtpCodec(int(number), found[2]) for number in dict.fromkeys(formats) if (found := names.get(number)) is not None
    )
