"""Pixels of received video, read from a VP8 header before anything is decoded."""

from __future__ import annotations

import queue
from types import SimpleNamespace

import pytest

from livereactor.engine.aiortc.inputs import AiortcInput, vp8_size
from livereactor.media.frames import PixelBound


def key_frame(width: int, height: int, scaling: int = 0) -> bytes:
    sizes = (width | scaling << 14).to_bytes(2, "little") + (height | scaling << 14).to_bytes(2, "little")
    return b"\x10\x02\x00\x9d\x01\x2a" + sizes + b"\x00" * 8


@pytest.mark.parametrize("scaling", [0, 3])
def test_size_of_a_key_frame_is_read_without_its_scaling(scaling: int) -> None:
    assert vp8_size(key_frame(16383, 721, scaling)) == (16383, 721)


@pytest.mark.parametrize(
    "data",
    [b"", key_frame(8, 8)[:9], b"\x11" + key_frame(8, 8)[1:], b"\x10\x02\x00abc" + b"\0" * 9],
)
def test_other_bytes_have_no_size(data: bytes) -> None:
    assert vp8_size(data) is None


def test_a_frame_that_is_too_large_is_reported_once_by_its_header_alone() -> None:
    reasons: queue.Queue[str] = queue.Queue()
    track = AiortcInput("0", "video", PixelBound(640 * 360, reasons.put))
    track.on_frame(lambda _: None)
    for number in range(3):  # no picture is in it: a decoder would give none to measure
        data = key_frame(16383, 16383)
        track.add(SimpleNamespace(timestamp=number, marker=1, payload=data, _data=data, sequence_number=number))
    reason = reasons.get(timeout=10)
    assert "16383x16383" in reason
    assert "video_pixels" in reason
    track.close()
    assert reasons.empty()


def test_a_bound_takes_what_is_at_it_and_nothing_after_what_is_over_it() -> None:
    reasons: list[str] = []
    bound = PixelBound(640 * 360, reasons.append)
    assert bound.takes(640, 360)
    assert not bound.takes(640, 361)
    assert not bound.takes(16, 16)
    assert len(reasons) == 1
