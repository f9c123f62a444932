"""The little of a description that this engine reads and writes itself. Pure.

libwebrtc binds and negotiates; here is what its API does not tell: directions, mids and codecs of the sections before
they are bound, limits of messages, and the answer's candidates, which it only gives by callback.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from livereactor.base.errors import PeerError
from livereactor.base.limits import KIB
from livereactor.media.frames import VideoCodec

PLAIN_MESSAGE_BYTES: Final = 256 * KIB  # what browsers and we declare (protocol 4.4)
DECODABLE: Final = ("VP8", "VP9", "AV1")  # the Linux wheel has no H.264 decoder
_RTPMAP: Final = re.compile(r"a=rtpmap:(\d+) ([^/\s]+)/")
_APT: Final = re.compile(r"a=fmtp:(\d+) .*?\bapt=(\d+)")
_PER_FORMAT: Final = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ")
_REPAIR: Final = frozenset({"RTX", "RED", "ULPFEC", "FLEXFEC-03"})
_DIRECTIONS: Final = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
_CHUNKING: Final = re.compile(r"^a=x-reactor-dc-chunking:1(?:\s+(\S+))?\s*$", re.MULTILINE)
_MESSAGE_SIZE: Final = re.compile(r"^a=max-message-size:(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MediaSection:
    """One m-section: `codecs` are encoding names, upper case, in its order of preference."""

    kind: str  # audio | video | application
    mid: str
    direction: str  # sendrecv | sendonly | recvonly | inactive
    codecs: tuple[str, ...]
    transport_cc: bool

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


def sections(sdp: str) -> list[MediaSection]:
    """The m-sections in order; the direction defaults to sendrecv (RFC 8866, section 6.7).

    Raises:
        PeerError: an m-line lacks its fields, or two sections have one mid.
    """
    found = [_section(lines) for lines in _split(sdp)[1:]]
    if len({section.mid for section in found}) != len(found):
        raise PeerError("two sections of the description have the same mid; give each its own a=mid")
    return found


def _mid(lines: Sequence[str]) -> str:
    return next((line[6:] for line in lines if line.startswith("a=mid:")), "")


def _section(lines: Sequence[str]) -> MediaSection:
    fields = lines[0][2:].split()
    if len(fields) < 4:
        raise PeerError("an m-line lacks media, port, protocol or format (RFC 8866, section 5.14); send a whole one")
    kind, formats = fields[0], fields[3:]
    names = {found[1]: found[2].upper() for line in lines if (found := _RTPMAP.match(line))}
    direction = next((line[2:] for line in lines if line[2:] in _DIRECTIONS), "sendrecv")
    transport_cc = any(line.startswith("a=rtcp-fb:") and line.endswith(" transport-cc") for line in lines)
    return MediaSection(kind, _mid(lines), direction, tuple(names[f] for f in formats if f in names), transport_cc)


def chosen_codec(section: MediaSection, served: Iterable[VideoCodec]) -> VideoCodec | None:
    """The first codec of ours that the section has, else None."""
    return next((codec for codec in served if codec.value in section.codecs), None)


def with_codecs(sdp: str, kept: Mapping[str, Sequence[str]]) -> str:
    """Cut video sections to the codecs named per mid, the first one preferred; repair formats stay.

    The answerer then has no other choice. libwebrtc's own way, `set_codec_preferences`, loses H.264.
    """
    head, *rest = _split(sdp)
    cut = [_cut(lines, kept[mid]) if (mid := _mid(lines)) in kept else lines for lines in rest]
    return _joined([head, *cut])


def is_hopeless(section: MediaSection) -> bool:
    """A video section without any codec that libwebrtc or we have: libwebrtc rejects it."""
    return section.kind == "video" and not {*DECODABLE, *VideoCodec}.intersection(section.codecs)


def unbundled(sdp: str, mids: Collection[str]) -> str:
    """Leave sections out of the BUNDLE group.

    libwebrtc cannot describe an answer whose first bundled section is one that it rejects ("Failed to setup RTCP mux").
    A rejected section is in no group of the answer anyway (RFC 9143, section 7.3.3).
    """

    def kept(line: str) -> str:
        if not line.startswith("a=group:BUNDLE"):
            return line
        return " ".join(word for word in line.split() if word not in mids)

    head, *rest = _split(sdp)
    return _joined([[kept(line) for line in head], *rest])


def _cut(lines: list[str], codecs: Sequence[str]) -> list[str]:
    start, formats = lines[0].split()[:3], lines[0].split()[3:]
    names = {found[1]: found[2].upper() for line in lines if (found := _RTPMAP.match(line))}
    repaired = {found[1]: found[2] for line in lines if (found := _APT.match(line))}
    primary = {f for f in formats if names.get(f) not in _REPAIR}
    wanted = {f for f in primary if names.get(f) in codecs}
    dropped = {f for f in formats if f in primary - wanted or repaired.get(f) in primary - wanted}
    first = sorted((f for f in formats if f in wanted), key=lambda f: codecs.index(names[f]))
    order = first + [f for f in formats if f not in wanted and f not in dropped]
    body = [line for line in lines[1:] if not ((found := _PER_FORMAT.match(line)) and found[1] in dropped)]
    return [" ".join(start + order), *body]


def plain_limit(sdp: str) -> int:
    """Largest plain message this side takes; without the line 64 KiB (RFC 8841, section 6.1), 0 means any."""
    found = _MESSAGE_SIZE.search(sdp)
    declared = int(found[1]) if found else 64 * KIB
    return min(declared or PLAIN_MESSAGE_BYTES, PLAIN_MESSAGE_BYTES)


def chunked_limit(sdp: str) -> int:
    """Largest chunked message this side takes (protocol 5.12); only to be asked where chunking was negotiated."""
    found = _CHUNKING.search(sdp)
    parameters: list[str] = (found[1] or "").split(";") if found else []
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key == "max-message-size" and value.isdecimal():
            return int(value)
    return PLAIN_MESSAGE_BYTES


def with_candidates(sdp: str, candidates: Iterable[str]) -> str:
    """Write the candidates, then the end marker, into every section that is not rejected (protocol 4.4)."""
    added = [f"a={line}" for line in dict.fromkeys(candidates)] + ["a=end-of-candidates"]
    head, *rest = _split(sdp)
    for lines in rest:
        if lines[0].split()[1] != "0":
            lines += added
    return _joined([head, *rest])


def _joined(parts: Iterable[Iterable[str]]) -> str:
    return "".join(f"{line}\r\n" for lines in parts for line in lines)


def _split(sdp: str) -> list[list[str]]:
    """The session's lines, then those of each m-section."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        if line:
            parts[-1].append(line)
    return parts
