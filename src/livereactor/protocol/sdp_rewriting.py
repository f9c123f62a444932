"""The few changes that a server makes to descriptions. Pure; nothing of the other side's is ever echoed by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from livereactor.base.limits import Limits
from livereactor.protocol.sdp import Description, MediaText, SessionText

MESSAGE_BYTES: Final = Limits().message_bytes
_PER_CODEC: Final = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")


def restrict_video(offer: Description, names: Sequence[str]) -> Description:
    """The offer with its video sections cut to the codecs of these names and their rtx, the order kept.

    For clients that offer first what is not served, and that an answerer's own preference would not turn (Python 0.8
    offers H264 first). A section that has none of them stays as it is: the answer refuses it.
    """
    wanted = {name.upper() for name in names}
    return dataclasses.replace(offer, media=tuple(_restricted(section, wanted) for section in offer.media))


def _restricted(section: MediaText, wanted: set[str]) -> MediaText:
    kept = {codec.payload for codec in section.codecs if codec.name.upper() in wanted}
    if section.kind != "video" or not kept:
        return section
    kept |= {codec.payload for codec in section.codecs if codec.repairs in kept}
    numbers = {str(payload) for payload in kept}
    formats = tuple(number for number in section.formats if number in numbers)
    codecs = tuple(codec for codec in section.codecs if codec.payload in kept)
    first = " ".join((*section.lines[0].split()[:3], *formats))
    others = (line for line in section.lines[1:] if _is_kept(line, numbers))
    return dataclasses.replace(section, lines=(first, *others), formats=formats, codecs=codecs)


def _is_kept(line: str, formats: set[str]) -> bool:
    prefix = next((prefix for prefix in _PER_CODEC if line.startswith(prefix)), None)
    return prefix is None or line[len(prefix) :].split(" ", 1)[0] in formats | {"*"}


def complete_answer(
    answer: Description,
    *,
    candidates: Iterable[str] = (),
    gathering_complete: bool = False,
    session_attributes: Iterable[str] = (),
    max_message_size: int = MESSAGE_BYTES,
) -> Description:
    """The answer as official clients need it (section 4.4).

    Args:
        candidates: added to the first section in use, which carries the bundle; `candidate:…`, without `a=`.
        gathering_complete: end them with `a=end-of-candidates`.
        session_attributes: `x-reactor-…:…` this side declares by itself; replace those of the same name.
        max_message_size: of the data-channel section; with less than 262144 official clients break.
    """
    media = [_with_message_size(_with_rtcp_mux(section), max_message_size) for section in answer.media]
    carrier = next((index for index, section in enumerate(media) if section.port != 0), 0)
    media[carrier] = _with_candidates(media[carrier], candidates, gathering_complete)
    return Description(_with_attributes(answer.session, tuple(session_attributes)), tuple(media))


def _with_rtcp_mux(section: MediaText) -> MediaText:
    # Secondary sections lack it in some stacks, and libwebrtc clients then refuse the answer.
    if section.kind == "application" or section.has("rtcp-mux"):
        return section
    return dataclasses.replace(section, lines=(*section.lines, "a=rtcp-mux"))


def _with_message_size(section: MediaText, size: int) -> MediaText:
    if not section.is_data_channel:
        return section
    lines = (line for line in section.lines if not line.startswith("a=max-message-size:"))
    return dataclasses.replace(section, lines=(*lines, f"a=max-message-size:{size}"))


def _with_candidates(section: MediaText, candidates: Iterable[str], complete: bool) -> MediaText:
    there = set(section.lines)
    fresh = [line for candidate in candidates if (line := f"a={candidate}") not in there]
    lines = [line for line in section.lines if line != "a=end-of-candidates"] + fresh
    if complete or section.has("end-of-candidates"):
        lines.append("a=end-of-candidates")
    return dataclasses.replace(section, lines=tuple(lines))


def _with_attributes(session: SessionText, attributes: tuple[str, ...]) -> SessionText:
    names = {attribute.partition(":")[0] for attribute in attributes}
    lines = (line for line in session.lines if not line.startswith("a=") or line[2:].partition(":")[0] not in names)
    return SessionText((*lines, *(f"a={attribute}" for attribute in attributes)))
