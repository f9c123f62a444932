"""Changes that this engine makes to descriptions before libwebrtc reads them and after it wrote them. Pure.

libwebrtc binds and negotiates; its API cannot choose a codec without losing H.264, cannot describe some rejected
sections, opens sockets for sections outside of the bundle, and gives the answer's candidates only by callback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from livereactor.media.frames import VideoCodec
from livereactor.protocol.sdp import Description, MediaSection, answered_whole, bundled, parse_description, written

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


def answerable_sections(offer: Description) -> Description:
    """Return the offer with only those sections that libwebrtc is asked to answer.

    Left out are sections outside of the bundle, for each of which libwebrtc opens sockets even under `MaxBundle`, and
    those that it rejects itself: it cannot describe an answer whose first bundled section is one of them ("Failed to
    setup RTCP mux"), and out of the bundle they would have sockets too.

    Raises:
        PeerError: no section is left.
    """
    return bundled(offer, {section.mid for section in offer.media if is_hopeless(section)})


def answerable(offer: Description, kept: Mapping[str, Sequence[str]]) -> str:
    """Write an offer that libwebrtc answers with the codecs that we want.

    Video sections are cut to the codecs that `kept` names by mid, the first one preferred; repair formats stay.
    libwebrtc's own way, `set_codec_preferences`, loses H.264.
    """
    sections = (_cut(part, kept[part.mid]) if part.mid in kept else part.lines for part in offer.media)
    return written([offer.session.lines, *sections])


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


def with_candidates(answer: str, candidates: Iterable[str], offer: Description) -> str:
    """Write our answer to the whole offer, the candidates and then the end marker in every section that is taken."""
    added = [*(f"a={line}" for line in dict.fromkeys(candidates)), "a=end-of-candidates"]
    description = answered_whole(parse_description(answer, "the answer"), offer)
    sections = ((*part.lines, *added) if part.port else part.lines for part in description.media)
    return written([description.session.lines, *sections])
