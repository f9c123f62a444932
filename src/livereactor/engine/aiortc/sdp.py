"""Descriptions cut to what aiortc can take, and its answers mended. Pure.

aiortc fails on a section without a common codec, takes the first codec the offer names, waits for candidates it cannot
resolve, and knows neither chunking nor frame tags nor playout delay. This module settles all of it in the text, before
and after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from livereactor.base.limits import Limits
from livereactor.media.frames import VideoCodec
from livereactor.protocol import chunking
from livereactor.protocol.sdp import Description, MediaSection, RtpCodec, parse_description, written

CHUNKING: Final = f"a={chunking.declaration(Limits().chunked_message_bytes)}"
FRAME_METADATA: Final = "a=x-reactor-frame-metadata:1"
PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_OF_A_CODEC: Final = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+|\*) ")
_TRANSPORT: Final = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup", "a=rtcp-mux")
_STAND_IN: Final = {"video": "VP8/90000", "audio": "opus/48000/2"}
_H264_BASELINE: Final = re.compile(r"profile-level-id=42", re.IGNORECASE)


def declares(description: Description, line: str) -> bool:
    """Whether the session part has this line."""
    return line in description.session.lines


def candidates(description: Description) -> list[str]:
    """Return the line (`candidate:…`) of every candidate in a description."""
    return [line[2:] for section in description.media for line in section.lines if line.startswith("a=candidate:")]


def chosen_payload(section: MediaSection, codecs: Sequence[VideoCodec]) -> int | None:
    """Return the payload type to answer with: the first of our codecs that is offered in a form aiortc has."""
    if section.kind == "audio":
        return section.payload("opus")
    for codec in codecs:
        for offered in section.codecs:
            if offered.name.upper() == codec.value and (
                codec is VideoCodec.VP8 or _plain_h264(section.fmtp(offered.payload))
            ):
                return offered.payload
    return None


def _plain_h264(fmtp: str) -> bool:
    return "packetization-mode=1" in fmtp and _H264_BASELINE.search(fmtp) is not None


def for_aiortc(description: Description, codecs: Sequence[VideoCodec]) -> str:
    """Write the other side's description as aiortc is given it: one codec a section, no candidates."""
    shared = _transport_lines(description)
    sections = ([*_cut(section, codecs), *_missing(section, shared)] for section in description.media)
    return written([description.session.lines, *sections])


def _transport_lines(description: Description) -> dict[str, str]:
    """Find the first line of each attribute that describes the transport."""
    found: dict[str, str] = {}
    for section in description.media:
        for line in section.lines:
            name = line.partition(":")[0]
            if name in _TRANSPORT:
                found.setdefault(name, line)
    return found


def _missing(section: MediaSection, shared: Mapping[str, str]) -> list[str]:
    """A section that was rejected may say nothing of the transport it would share; aiortc wants it said."""
    has = {line.partition(":")[0] for line in section.lines}
    is_media = section.kind != "application"
    wanted = [name for name in _TRANSPORT if is_media or name != "a=rtcp-mux"]
    # aiortc knows neither the default direction nor that of the session part (RFC 8866, section 6.7).
    direction = [] if not is_media or section.has(section.direction) else [f"a={section.direction}"]
    return [*direction, *(shared[name] for name in wanted if name not in has and name in shared)]


def _cut(section: MediaSection, codecs: Sequence[VideoCodec]) -> Iterable[str]:
    lines = [line for line in section.lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    if section.kind not in ("video", "audio"):
        return lines
    chosen = chosen_payload(section, codecs)
    if chosen is None:
        return [*_without_codecs(lines, "96"), f"a=rtpmap:96 {_STAND_IN[section.kind]}"]
    repairs = (codec.payload for codec in section.codecs if _repairs(section, codec, chosen))
    kept = [str(payload) for payload in (chosen, *repairs)]
    head = " ".join([*lines[0].split()[:3], *kept])
    return [head, *(line for line in lines[1:] if _belongs(line, kept))]


def _repairs(section: MediaSection, codec: RtpCodec, chosen: int) -> bool:
    return codec.name.upper() == "RTX" and f"apt={chosen}" in section.fmtp(codec.payload).split(";")


def _belongs(line: str, payloads: Sequence[str]) -> bool:
    found = _OF_A_CODEC.match(line)
    return found is None or found[1] in payloads or found[1] == "*"


def _without_codecs(lines: Sequence[str], payload: str) -> list[str]:
    head = " ".join([*lines[0].split()[:3], payload])
    return [head, *(line for line in lines[1:] if not _OF_A_CODEC.match(line))]


def finished(text: str, offer: Description | None, codecs: Sequence[VideoCodec], session_lines: Sequence[str]) -> str:
    """Write aiortc's description as the other side reads it.

    Args:
        text: aiortc's own description.
        offer: the offer that it answers; None where it is the offer itself.
        codecs: those given to `chosen_payload`.
        session_lines: declarations to add.
    """
    description = parse_description(text)
    sections: Iterable[Iterable[str]] = (section.lines for section in description.media)
    if offer is not None:
        pairs = zip(description.media, offer.media, strict=True)
        sections = (_restored(ours, theirs, codecs) for ours, theirs in pairs)
    return written([[*description.session.lines, *session_lines], *sections])


def _restored(ours: MediaSection, theirs: MediaSection, codecs: Sequence[VideoCodec]) -> Iterable[str]:
    """A section that was given a codec it does not offer, so that aiortc keeps it, names its own again."""
    if theirs.kind not in ("video", "audio") or chosen_payload(theirs, codecs) is not None:
        return ours.lines
    first = theirs.formats[0]
    own = [line for line in theirs.lines if line.startswith((f"a=rtpmap:{first} ", f"a=fmtp:{first} "))]
    return [*_without_codecs([line for line in ours.lines if not line.startswith("a=ssrc")], first), *own]
