"""The little of a description that this engine reads and writes itself. Pure.

libwebrtc binds and negotiates; here is what its API does not tell: directions, mids and codecs of the sections before
they are bound, limits of messages, and the answer's candidates, which it only gives by callback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from livereactor.base.limits import KIB
from livereactor.media.frames import VideoCodec

PLAIN_MESSAGE_BYTES: Final = 256 * KIB  # what browsers and we declare (protocol 4.4)
DECODABLE: Final = frozenset({"VP8", "VP9", "AV1"})  # the Linux wheel has no H.264 decoder
_RTPMAP: Final = re.compile(r"a=rtpmap:(\d+) ([^/\s]+)/")
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
    """The m-sections in order; the direction defaults to sendrecv (RFC 8866, section 6.7)."""
    return [_section(lines) for lines in _split(sdp)[1:]]


def _section(lines: Sequence[str]) -> MediaSection:
    kind, _, _, *formats = lines[0][2:].split()
    names = {found[1]: found[2].upper() for line in lines if (found := _RTPMAP.match(line))}
    mid = next((line[6:] for line in lines if line.startswith("a=mid:")), "")
    direction = next((line[2:] for line in lines if line[2:] in _DIRECTIONS), "sendrecv")
    transport_cc = any(line.startswith("a=rtcp-fb:") and line.endswith(" transport-cc") for line in lines)
    return MediaSection(kind, mid, direction, tuple(names[f] for f in formats if f in names), transport_cc)


_DIRECTIONS: Final = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})


def chosen_codec(section: MediaSection, served: Iterable[VideoCodec]) -> VideoCodec | None:
    """The first codec of ours that the section has, else None."""
    return next((codec for codec in served if codec.value in section.codecs), None)


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
    return "".join(f"{line}\r\n" for lines in (head, *rest) for line in lines)


def _split(sdp: str) -> list[list[str]]:
    """The session's lines, then those of each m-section."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        if line:
            parts[-1].append(line)
    return parts
