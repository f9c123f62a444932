"""Uploaded pictures that break a decoder, or that are small files and fill the memory once they are decoded."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, ImageFile

import livereactor as lr
from livereactor.base.limits import Limits
from livereactor.runtime.authoring.context import uploaded_file
from livereactor.runtime.interfaces import ReceivedFile


def png(width: int, height: int) -> bytes:
    """Return a PNG that says this size, and holds four bytes of data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")


def saved(format: str, width: int = 4, height: int = 2) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, format)
    return buffer.getvalue()


def refusal(data: bytes) -> lr.CommandError:
    with pytest.raises(lr.CommandError) as caught:
        lr.File("a.png", "image/png", data).image()
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P6 4 x 255\n",
        b"P6 4 4 99999999999\n",
        b"P6\n4 4\n0\n" + bytes(48),
        b"P3 2 2 255 a b c d e f g h i j k l",
        b"P1 99999999999 1 0",
        saved("PNG")[:40],
        saved("GIF")[:20],
        saved("BMP")[:30],
        saved("TIFF")[:-20],
        saved("WEBP")[:-8],
        saved("JPEG")[:-40],
    ],
)
def test_a_broken_picture_refuses_its_command(data: bytes) -> None:
    assert refusal(data).code == "not_an_image"


def test_a_picture_that_runs_a_program_is_none() -> None:
    assert refusal(saved("EPS")).code == "not_an_image"


@pytest.mark.parametrize(("width", "height"), [(12_800, 12_800), (33_000, 33_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded.append)
    error = refusal(png(width, height))
    assert (error.code, decoded) == ("image_too_large", [])
    assert "send a smaller picture" in error.message


def test_the_operators_bound_is_the_one_that_holds() -> None:
    received = ReceivedFile("up1", "a.png", "image/png", saved("PNG", 4, 3), image_pixels=11)
    with pytest.raises(lr.CommandError, match="image_pixels"):
        uploaded_file(received).image()
    assert uploaded_file(ReceivedFile("up1", "a.png", "image/png", saved("PNG", 4, 3), image_pixels=12)).image()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_usual_pictures_are_read(format: str) -> None:
    file = lr.File("a", "image/png", saved(format))
    picture = file.image()
    assert (picture.size, picture.mode, file.image_pixels) == ((4, 2), "RGB", Limits().image_pixels)
