"""The barcode survives what happens to a picture on its way: lossy coding, another size, subsampled chroma."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.probes.watching import CLIENT_BIT, CLOCK_MASK, Barcode, draw_barcode, read_barcode

CODES = st.builds(
    Barcode,
    counter=st.integers(0, CLIENT_BIT - 1),
    clock_us=st.integers(0, CLOCK_MASK),
    client=st.booleans(),
)
SIZES = st.sampled_from([(64, 64), (320, 180), (416, 240), (640, 360), (641, 363), (1280, 720)])


def picture(code: Barcode, width: int, height: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
    pixels = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    draw_barcode(pixels, code)
    return pixels


@given(CODES, SIZES)
def test_what_is_drawn_is_read(code: Barcode, size: tuple[int, int]) -> None:
    assert read_barcode(picture(code, *size)) == code


@settings(max_examples=40, deadline=None)
@given(CODES, st.sampled_from([(640, 360), (1280, 720)]), st.integers(20, 60))
def test_it_survives_jpeg(code: Barcode, size: tuple[int, int], quality: int) -> None:
    done, data = cv2.imencode(".jpg", picture(code, *size), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    assert read_barcode(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)) == code


@settings(max_examples=40, deadline=None)
@given(CODES, st.floats(0.4, 2.0))
def test_it_survives_another_size(code: Barcode, scale: float) -> None:
    width, height = int(640 * scale), int(360 * scale)
    scaled = cv2.resize(picture(code, 640, 360), (width, height), interpolation=cv2.INTER_AREA)
    assert read_barcode(np.asarray(scaled, np.uint8)) == code


@settings(max_examples=6, deadline=None)
@given(st.lists(CODES, min_size=4, max_size=4))
def test_it_survives_vp8_at_a_low_rate(codes: list[Barcode]) -> None:
    assert _vp8_round_trip([picture(code, 640, 360) for code in codes]) == codes


@given(st.integers(0, 2**32 - 1))
def test_a_picture_without_a_code_is_not_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(90, 160, (180, 320, 3), dtype=np.uint8)
    assert read_barcode(noise) is None


@given(CODES, st.lists(st.integers(0, 95), min_size=1, max_size=2, unique=True))
def test_weak_cells_are_repaired_by_the_checksum(code: Barcode, cells: list[int]) -> None:
    pixels = picture(code, 640, 360)
    for cell in cells:
        row, column = divmod(cell, 32)
        block = pixels[row * 20 : row * 20 + 20, column * 20 : column * 20 + 20]
        block[...] = 120 if block[10, 10, 1] > 128 else 136
    assert read_barcode(pixels) == code


def test_a_spoilt_code_is_not_taken_for_another() -> None:
    pixels = picture(Barcode(counter=7, clock_us=12345), 640, 360)
    pixels[0:20, 0:320] = 235
    assert read_barcode(pixels) is None


def _vp8_round_trip(pictures: list[np.ndarray]) -> list[Barcode | None]:
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height = 640, 360
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 30)
    encoder.bit_rate = 900_000
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    decoder = av.CodecContext.create("vp8", "r")
    read_codes: list[Barcode | None] = []
    for number, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts = number
        for packet in encoder.encode(frame):
            read_codes += [
                read_barcode(np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8))
                for decoded in decoder.decode(packet)
            ]
    return read_codes
