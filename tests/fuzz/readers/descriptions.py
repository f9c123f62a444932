"""Session descriptions, as all of us read them and as each engine writes them again."""

from __future__ import annotations

from typing import Final

from livereactor.engine.aiortc import sdp as of_aiortc
from livereactor.engine.libwebrtc import sdp as of_libwebrtc
from livereactor.media.frames import VideoCodec
from livereactor.protocol.sdp import (
    MAX_MID,
    MAX_SECTIONS,
    PLAIN_MESSAGE_BYTES,
    Description,
    bundled,
    parse_description,
    parse_offer,
)
from tests.fuzz.promises import Target

CODECS: Final = (VideoCodec.H264, VideoCodec.VP8)
PLAYOUT_DELAY: Final = of_aiortc.PLAYOUT_DELAY


def _facts(found: Description) -> object:
    sections = [
        (part.mid, part.sends, part.receives, part.codec_names, part.payload("VP8"), part.extension(PLAYOUT_DELAY))
        for part in found.media
    ]
    assert 0 < found.plain_limit <= PLAIN_MESSAGE_BYTES
    assert len(found.media) <= MAX_SECTIONS
    assert all(0 < len(part.mid) <= MAX_MID for part in found.media)
    assert len({part.mid for part in found.media}) == len(found.media)
    return found.ice_ufrag, found.video_codecs, found.chunked_limit, found.bundle, sections


def _read_description(data: bytes) -> object:
    found = parse_description(data.decode("utf-8", "replace"))
    assert parse_description(str(found)) == found
    assert len(str(found).encode()) <= 4 * len(data) + 2  # a line end has two bytes, what is no UTF-8 three
    return found, _facts(found)


def _read_offer(data: bytes) -> object:
    """An offer on its way through each engine's own changes, and an answer of the other side in its way back."""
    offer = parse_offer(data.decode("utf-8", "replace"))
    inside = bundled(offer)
    cut = of_aiortc.for_aiortc(offer, CODECS)
    answered = of_aiortc.finished(cut, offer, CODECS, [of_aiortc.CHUNKING])
    seen = parse_description(answered)
    assert [part.mid for part in seen.media] == [part.mid for part in offer.media]
    ours = of_libwebrtc.answerable_sections(offer)
    wanted = {part.mid: ("VP8",) for part in ours.media if of_libwebrtc.chosen_codec(part, CODECS)}
    text = of_libwebrtc.answerable(ours, wanted)
    whole = of_libwebrtc.with_candidates(text, ["candidate:1 1 udp 1 127.0.0.1 9 typ host"], offer)
    assert [part.mid for part in parse_description(whole).media] == [part.mid for part in offer.media]
    assert {part.mid for part in ours.media} <= {part.mid for part in inside.media} <= set(offer.bundle)
    return cut, answered, text, whole, of_aiortc.candidates(offer), _facts(offer)


TARGETS: Final = {
    "description": Target("description", _read_description),
    "answer": Target("answer", _read_offer),
}
