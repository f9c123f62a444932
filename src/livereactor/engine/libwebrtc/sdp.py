"""Changes that this engine makes to descriptions before libwebrtc reads them and after it wrote them. Pure.

libwebrtc binds and negotiates; its API cannot choose a codec without losing H.264, cannot describe some rejected
sections, and gives the answer's candidates only by callback.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from livereactor.media.frames import VideoCodec
from livereactor.protocol.sdp import Description, MediaSection, parse_description, written

DECODABLE: Final = ("VP8", "VP9", "AV1")  # the Linux wheel has no H.264 decoder
_APT: Final = re.compile(r"a=fmtp:(\d+) .*?\bapt=(\d+)")
_PER_FORMAT: Final = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ")
_REPAIR: Final = frozenset({"RTX", "RED", "ULPFEC", "FLEXFEC-03"})


def has_transport_cc(section: MediaSection) -> bool:
    """Whether the section's codecs report to transport-wide congestion control."""
    return any(value.endswith(" transport-cc") for value in section.values("rtcp-fb"))


def chosen_codec(section: MediaSection, served: Iterable[VideoCodec]) -> VideoCodec | None:
    """Return the first of the served codecs that the section has, or None."""
    return next((codec for codec in served if codec.value in section.codec_names), None)


def is_hopeless(section: MediaSection) -> bool:
    """Whether libwebrtc rejects the section: a video section without any codec that it or we have."""
    return section.kind == "video" and not {*DECODABLE, *VideoCodec}.intersection(section.codec_names)


def answerable(offer: Description, kept: Mapping[str, Sequence[str]]) -> str:
    """Write an offer that libwebrtc can answer, and answers with the codecs that we want.

    Video sections are cut to the codecs that `kept` names by mid, the first one preferred; repair formats stay.
    libwebrtc's own way, `set_codec_preferences`, loses H.264. Sections that it rejects leave the BUNDLE group: it
    cannot describe an answer whose first bundled section is one of them ("Failed to setup RTCP mux"), and a rejected
    section is in no group of the answer anyway (RFC 9143, section 7.3.3).
    """
    hopeless = {section.mid for section in offer.media if is_hopeless(section)}
    session = [_without_mids(line, hopeless) for line in offer.session.lines]
    return written([session, *(_cut(part, kept[part.mid]) if part.mid in kept else part.lines for part in offer.media)])


def _without_mids(line: str, mids: Collection[str]) -> str:
    if not line.startswith("a=group:BUNDLE"):
        return line
    return " ".join(word for word in line.split() if word not in mids)


def _cut(section: MediaSection, codecs: Sequence[str]) -> list[str]:
    start, formats = section.lines[0].split()[:3], section.formats
    names = {str(codec.payload): codec.name.upper() for codec in section.codecs}
    repaired = {found[1]: found[2] for line in section.lines if (found := _APT.match(line))}
    primary = {f for f in formats if names.get(f) not in _REPAIR}
    wanted = {f for f in primary if names.get(f) in codecs}
    dropped = {f for f in formats if f in primary - wanted or repaired.get(f) in primary - wanted}
    first = sorted((f for f in formats if f in wanted), key=lambda f: codecs.index(names[f]))
    order = first + [f for f in formats if f not in wanted and f not in dropped]
    body = [line for line in section.lines[1:] if not ((found := _PER_FORMAT.match(line)) and found[1] in dropped)]
    return [" ".join(start + order), *body]


def with_candidates(answer: str, candidates: Iterable[str]) -> str:
    """Write the candidates, then the end marker, into every section of our answer that is not rejected."""
    added = [*(f"a={line}" for line in dict.fromkeys(candidates)), "a=end-of-candidates"]
    description = parse_description(answer, "the answer")
    sections = ((*part.lines, *added) if part.port else part.lines for part in description.media)
    return written([description.session.lines, *sections])
