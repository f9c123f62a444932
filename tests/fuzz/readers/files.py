"""Files: pictures of users, recordings and journals of ours that somebody changed, settings."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from livereactor.base.errors import CommandError, ConfigError
from livereactor.media import avc
from livereactor.media.fragments import DamagedError, boxes_in
from livereactor.media.recovery import index_of, recover
from livereactor.runtime.authoring.context import UploadedFile
from livereactor.runtime.replay.journal_format import JournalError, line_of, read_journal
from livereactor.settings import effective, resolve
from tests.fuzz.promises import Target

PIXELS: Final = 100_000  # small, since a picture's bound must be in reach of an input
Image.init()  # the first picture imports all formats, and their regular expressions are compiled
_folder: Final = tempfile.TemporaryDirectory(prefix="livereactor-fuzz-")


def _picture(data: bytes) -> object:
    try:
        found = UploadedFile("a.png", "image/png", data, image_pixels=PIXELS).image()
    except CommandError as error:
        if error.code not in ("not_an_image", "image_too_large"):
            raise AssertionError(f"the code {error.code}") from error
        raise
    assert found.width * found.height <= PIXELS
    assert found.mode == "RGB"
    return found.size


def _recording(data: bytes) -> object:
    """A whole recording; and its init segment and a segment apart, where the bytes are split in the middle."""
    for _, begin, end in boxes_in(data):
        assert 0 <= begin < end <= len(data)
    refused = None
    try:
        whole = index_of(io.BytesIO(data))
    except DamagedError as error:
        refused = error
    else:
        assert len(whole.pictures.slice(whole.pictures.first, whole.pictures.end)) <= len(data)
    size = 0
    for kind, _, end in boxes_in(data):
        size = end if kind in ("ftyp", "moov") else size
    found = recover(data[:size], [(0, io.BytesIO(data[size:]))])
    assert found.sizes[0] <= len(data) - size
    if refused is not None:
        raise refused
    return found.video, found.audio, found.end


def _h264(data: bytes) -> object:
    unit = avc.parse(data)
    assert len(unit.data) <= 4 * len(data) + 4
    again = avc.parse(avc.to_annex_b(unit.data, (*unit.sps, *unit.pps)))
    assert (again.key, len(again.sps), len(again.pps)) == (unit.key, len(unit.sps), len(unit.pps))
    return unit


def _journal(data: bytes) -> object:
    found = read_journal(data)
    lines = b"".join(map(line_of, (found.header, *found.entries)))
    assert read_journal(lines).entries == found.entries
    return found, found.end, found.steps


def _settings(data: bytes) -> object:
    file = Path(_folder.name) / "livereactor.toml"
    file.write_bytes(data)
    found = resolve(file.parent, command_line={}, environ={})
    effective(found)
    return found.origins


TARGETS: Final = {
    "picture": Target("picture", _picture, (CommandError,), longest=8_192),
    "recording": Target("recording", _recording, (DamagedError,), longest=8_192),
    "h264": Target("h264", _h264),
    "journal": Target("journal", _journal, (JournalError,)),
    # An operator who misspells a setting reads the names of all.
    "settings": Target("settings", _settings, (ConfigError,), longest=1_024, sentence=8_000),
}
