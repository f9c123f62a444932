"""All our H.264 of one size is under one description, and a stream of another make keeps its own."""

from __future__ import annotations

from typing import Any, cast

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.media.avc import fits, level_of, parse, to_annex_b, track_of, without_timing
from livereactor.media.encoder import make_encoder
from livereactor.media.frames import VideoCodec
from livereactor.media.h264 import level_for, open_stitchable
from tests.tools.tapes import numbered, video_frame

WITH_TIMING = bytes.fromhex("6742c01fda014016e9a8303032000003000200000300791e306540")  # x264, 1280x720
WITHOUT = bytes.fromhex("6742c01fda014016e9a83030303c60ca80")


def own(width: int, height: int, *, level: int, sets: int = 0) -> bytes:
    encoder = cast(Any, open_stitchable(width, height, crf=20, level=level, sets=sets, max_bps=1_000_000))
    return b"".join(bytes(packet) for packet in encoder.encode(video_frame(numbered(1, width=width, height=height))))


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (642, 362)])
@pytest.mark.parametrize("fps", [7.5, 24, 30])
def test_viewers_pictures_and_the_recordings_own_need_one_description(size: tuple[int, int], fps: float) -> None:
    width, height = size
    frames = list[bytes]()
    for bps in (300_000, 3_000_000):
        encoder = make_encoder(VideoCodec.H264, width=width, height=height, fps=fps, bps=bps)
        frames.append(encoder.encode(numbered(1, width=width, height=height), key=True, captured_us=1).data)
    track = track_of(parse(frames[0]), width, height)
    assert fits(parse(frames[1]), track)
    assert fits(parse(own(width, height, level=level_of(track))), track)


def test_another_size_or_id_does_not_fit() -> None:
    track = track_of(parse(own(640, 360, level=31)), 640, 360)
    assert not fits(parse(own(320, 180, level=31)), track)
    assert not fits(parse(own(640, 360, level=31, sets=3)), track)


@pytest.mark.parametrize(
    ("width", "height", "fps", "level"),
    [
        (64, 64, 1, 31),
        (640, 360, 60, 31),
        (1280, 720, 30, 31),
        (1280, 720, 60, 32),
        (1920, 1080, 30, 40),
        (1920, 1080, 60, 42),
        (3840, 2160, 30, 51),
        (3840, 2160, 60, 52),
    ],
)
def test_a_level_is_the_least_that_allows_it(width: int, height: int, fps: float, level: int) -> None:
    assert level_for(width, height, fps) == level


def test_the_frame_rate_is_taken_out_and_nothing_else() -> None:
    assert without_timing(WITH_TIMING) == WITHOUT
    assert without_timing(WITHOUT) == WITHOUT


@given(st.binary(max_size=60))
def test_whatever_is_no_sps_is_left_alone(data: bytes) -> None:
    assert isinstance(without_timing(data), bytes)


@given(st.integers(0, len(WITH_TIMING) - 1))
def test_an_sps_that_is_cut_short_is_left_alone_or_still_one(size: int) -> None:
    assert without_timing(WITH_TIMING[:size])[:4] == WITH_TIMING[:size][:4]


def test_an_access_unit_is_its_slices_only() -> None:
    data = b"\0\0\0\1\x09\x10\0\0\1\x67\x42\xc0\x1f\xda\0\0\0\1\x68\xce\0\0\1\x06\x05\0\0\0\1\x65abc\0\0\0\0\1\x65de"
    unit = parse(data)
    assert (unit.sps, unit.pps, unit.key) == ((b"\x67\x42\xc0\x1f\xda",), (b"\x68\xce",), True)
    assert unit.data == b"\0\0\0\4\x65abc\0\0\0\3\x65de"
    assert to_annex_b(unit.data, [b"\x67"]) == b"\0\0\0\1\x67\0\0\0\1\x65abc\0\0\0\1\x65de"


def test_a_decoder_reads_pictures_without_the_frame_rate() -> None:
    unit = parse(own(160, 96, level=31))
    decoder = cast(Any, av.CodecContext.create("h264", "r"))
    frames = decoder.decode(av.Packet(to_annex_b(unit.data, (*unit.sps, *unit.pps)))) + decoder.decode(None)
    assert [(frame.width, frame.height) for frame in frames] == [(160, 96)]
