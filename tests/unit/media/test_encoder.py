"""Encoders: what goes in comes out, in colour, numbered and decodable."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livereactor.media.colour import shrink, to_planes
from livereactor.media.encoder import make_encoder, start_bps
from livereactor.media.frames import EncodedFrame, Pixels, VideoCodec
from livereactor.media.rate import TICKS, advance

CODECS = list(VideoCodec)
INTERVAL_US = 33_333


def picture(width: int, height: int, shift: int = 0) -> Pixels:
    y, x = np.mgrid[0:height, 0:width]
    planes = (x * 255 // width, y * 255 // height, (x + y + 8 * shift) % 256)
    return np.ascontiguousarray(np.stack(planes, axis=-1).astype(np.uint8))


class Decoder:
    def __init__(self, codec: VideoCodec) -> None:
        self._context = av.CodecContext.create("vp8" if codec is VideoCodec.VP8 else "h264", "r")

    def decode(self, frame: EncodedFrame) -> Pixels:
        packet = av.Packet(frame.data)
        packet.time_base = Fraction(1, TICKS)
        (decoded,) = self._context.decode(packet) or self._context.decode(None)
        return as_pixels(cv2.cvtColor(decoded.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2RGB_I420))


def as_pixels(array: NDArray[Any]) -> Pixels:
    return np.ascontiguousarray(array, dtype=np.uint8)


def soft(width: int, height: int) -> Pixels:
    return as_pixels(cv2.GaussianBlur(picture(width, height), (9, 9), 2))


def psnr(got: Pixels, want: Pixels) -> float:
    return 10 * np.log10(255**2 / np.mean((got.astype(float) - want.astype(float)) ** 2))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [(640, 360), (64, 48), (642, 362), (160, 90), (1280, 720)])
def test_the_first_frame_is_a_sharp_key_frame_in_the_right_colours(codec: VideoCodec, size: tuple[int, int]) -> None:
    width, height = size
    encoder = make_encoder(codec, width=width, height=height, fps=30)
    pixels = soft(width, height)
    frame = encoder.encode(pixels, key=False, captured_us=7, user_data=b"tag")
    assert (frame.key, frame.number, frame.width, frame.height) == (True, 1, width, height)
    assert (frame.codec, frame.captured_us, frame.user_data) == (codec, 7, b"tag")
    assert psnr(Decoder(codec).decode(frame), pixels) > 32


@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_come_when_asked_for_and_only_then(codec: VideoCodec) -> None:
    encoder = make_encoder(codec, width=320, height=180, fps=30)
    keys = [encoder.encode(picture(320, 180, i), key=i == 20, captured_us=i * INTERVAL_US).key for i in range(40)]
    assert [i for i, key in enumerate(keys) if key] == [0, 20]


@pytest.mark.parametrize("codec", CODECS)
def test_odd_sides_are_cropped_by_one_pixel(codec: VideoCodec) -> None:
    frame = make_encoder(codec, width=321, height=181, fps=30).encode(picture(321, 181), key=True, captured_us=1)
    assert (frame.width, frame.height) == (320, 180)
    assert Decoder(codec).decode(frame).shape == (180, 320, 3)


@pytest.mark.parametrize("codec", CODECS)
def test_a_new_size_starts_with_a_key_frame_and_counts_on(codec: VideoCodec) -> None:
    encoder = make_encoder(codec, width=320, height=180, fps=30)
    frames = [encoder.encode(picture(320, 180), key=False, captured_us=i * INTERVAL_US) for i in range(3)]
    frames += [encoder.encode(picture(160, 90), key=False, captured_us=i * INTERVAL_US) for i in range(3, 6)]
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert [frame.key for frame in frames] == [True, False, False, True, False, False]


def noise(seed: int) -> Pixels:
    blocks = np.random.default_rng(seed).integers(0, 256, (18, 32, 3), dtype=np.uint8)
    return as_pixels(cv2.resize(blocks, (320, 180), interpolation=cv2.INTER_CUBIC))


def size_at(codec: VideoCodec, rates: list[int]) -> list[float]:
    """Mean bytes of the last 15 of 45 Frames of noise at each of these rates, set one after another."""
    encoder, means, count = make_encoder(codec, width=320, height=180, fps=30, bps=rates[0]), list[float](), 0
    for bps in rates:
        encoder.set_bitrate(bps)
        sizes = list[int]()
        for _ in range(45):
            sizes.append(len(encoder.encode(noise(count), key=False, captured_us=count * INTERVAL_US).data))
            count += 1
        means.append(float(np.mean(sizes[-15:])))
    return means


@pytest.mark.parametrize("codec", CODECS)
def test_the_rate_follows_while_running(codec: VideoCodec) -> None:
    high, low, again = size_at(codec, [1_200_000, 700_000, 1_200_000])
    assert low < 0.8 * high
    assert again == pytest.approx(high, rel=0.2)
    assert high * 30 * 8 == pytest.approx(1_200_000, rel=0.25)


def test_h264_follows_a_small_change_without_a_key_frame_and_vp8_does_not() -> None:
    keys = dict[VideoCodec, bool]()
    for codec in CODECS:
        encoder = make_encoder(codec, width=320, height=180, fps=30, bps=1_000_000)
        encoder.encode(noise(1), key=False, captured_us=1)
        encoder.set_bitrate(800_000)
        keys[codec] = encoder.encode(noise(2), key=False, captured_us=2).key
    assert keys == {VideoCodec.H264: False, VideoCodec.VP8: True}


@pytest.mark.parametrize("codec", CODECS)
def test_the_buffer_is_free_again_after_encoding(codec: VideoCodec) -> None:
    encoder, decoder = make_encoder(codec, width=64, height=64, fps=30), Decoder(codec)
    planes = to_planes(picture(64, 64))
    first = encoder.encode_planes(planes, key=True, captured_us=1)
    planes.buffer[:] = 128
    assert psnr(decoder.decode(first), picture(64, 64)) > 25


def test_a_closed_encoder_may_be_closed_again() -> None:
    encoder = make_encoder(VideoCodec.VP8, width=64, height=64, fps=30)
    encoder.encode(picture(64, 64), key=True, captured_us=1)
    encoder.close()
    encoder.close()


def test_planes_are_reused_for_the_same_size_only() -> None:
    first = to_planes(picture(64, 48))
    assert to_planes(picture(64, 48, 1), first) is first
    assert to_planes(picture(32, 48), first) is not first


def test_non_contiguous_pixels_convert_like_contiguous_ones() -> None:
    wide = picture(128, 64)
    for view in (wide[:, ::2], wide[::-1], wide[:, :, ::-1], wide.transpose(1, 0, 2)):
        assert np.array_equal(to_planes(view).buffer, to_planes(np.ascontiguousarray(view)).buffer)


def test_shrinking_keeps_colours() -> None:
    pixels = soft(640, 360)
    small = as_pixels(cv2.cvtColor(shrink(to_planes(pixels), 320, 180).buffer, cv2.COLOR_YUV2RGB_I420))
    assert psnr(small, as_pixels(cv2.resize(pixels, (320, 180), interpolation=cv2.INTER_AREA))) > 30
    planes = to_planes(pixels)
    assert shrink(planes, 640, 360) is planes


@pytest.mark.parametrize(
    ("size", "low", "high"), [((640, 360), 2.4e6, 2.6e6), ((1280, 720), 4.5e6, 5.5e6), ((16, 16), 3e5, 3e5)]
)
def test_the_start_rate_grows_with_the_picture(size: tuple[int, int], low: float, high: float) -> None:
    assert low <= start_bps(*size, 30) <= high


def test_time_between_frames_is_bounded_for_the_rate_control() -> None:
    assert advance(33_333, 30) == 3000
    assert advance(1_000, 30) == 1500
    assert advance(10_000_000, 30) == 12_000
    assert advance(0, 1e9) == 1
