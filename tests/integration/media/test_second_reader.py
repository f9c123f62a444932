"""Films as mp4box.js reads them, which the official JavaScript client writes its own with: every sample as we meant it.

Every other test of films reads them with FFmpeg.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from livereactor.media.boxes import VIDEO_SCALE
from livereactor.media.clip import cut
from livereactor.media.h264 import open_h264
from livereactor.media.whole import whole_film, write
from tests.tools.processes import REPOSITORY
from tests.tools.tapes import HEIGHT, RATE, WIDTH, Tape, beeping, record

END = 3 * VIDEO_SCALE
STARTS = range(0, END, 3000)
BEGIN, UNTIL = 100_000, 250_000


@pytest.fixture(scope="module")
def tape() -> Tape:
    audio, sound = beeping({5, 40}, STARTS, end=END)
    return record(open_h264(WIDTH, HEIGHT, 30, 500_000), STARTS, end=END, audio=audio, sound=sound)


def as_read(path: Path, *content: bytes) -> dict[str, Any]:
    path.write_bytes(b"".join(content))
    command = ["node", str(REPOSITORY / "tests" / "tools" / "mp4box.mjs"), str(path)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert found["complaints"] == []
    assert [track["edits"] for track in found["tracks"]] == [None, None]
    assert [track["codec"] for track in found["tracks"]] == ["avc1.42c01f", "mp4a.40.2"]
    return found


def hashes(data: Sequence[bytes]) -> list[str]:
    return [hashlib.sha256(each).hexdigest() for each in data]


def column(track: dict[str, Any], name: str) -> list[Any]:
    return [sample[name] for sample in track["samples"]]


@pytest.mark.parametrize("form", ["flat", "parts"])
def test_a_clip_is_read_sample_by_sample(tape: Tape, tmp_path: Path, form: str) -> None:
    film = cut(tape.excerpt(BEGIN, UNTIL), BEGIN, UNTIL)
    assert film.pictures.keys is not None
    head, bodies = film.flat()
    init, parts = film.parts()
    assert film.sound is not None
    content = [head, *bodies] if form == "flat" else [init, *(data for _, data in parts)]
    found = as_read(tmp_path / "film.mp4", *content)
    pictures, sound = found["tracks"]
    assert column(pictures, "hash") == hashes(film.data(0, len(film.pictures)))
    assert column(sound, "hash") == hashes(film.sound_data(0, len(film.sound)))
    assert column(pictures, "key") == film.pictures.keys.tolist()
    assert column(pictures, "duration") == pytest.approx((film.pictures.durations / VIDEO_SCALE).tolist())
    assert column(sound, "time") == pytest.approx([number * 1024 / RATE for number in range(len(film.sound))])
    assert pictures["samples"][0]["time"] == 0
    assert found["fragmented"] == (form == "parts")
    if form == "flat":
        assert found["boxes"] == ["ftyp", "moov", "mdat"]
        assert found["duration"] == pytest.approx(film.duration, abs=0.001)


def test_a_recording_is_read_the_same_as_it_lies_and_exported(tape: Tape, tmp_path: Path) -> None:
    with (tmp_path / "flat.mp4").open("wb") as target:
        write(whole_film(tape.excerpt(0, END)), target, tape.read)
    lying = as_read(tmp_path / "lying.mp4", tape.whole())
    flat = as_read(tmp_path / "again.mp4", (tmp_path / "flat.mp4").read_bytes())
    assert flat["tracks"] == lying["tracks"]
    assert len(flat["tracks"][0]["samples"]) == len(STARTS)
    assert flat["boxes"] == ["ftyp", "moov", "mdat"]
