"""Build one MP4 from the parts of a film with the page's code: the same samples, an ordinary file."""

from __future__ import annotations

import io
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import pytest

from tests.tools.films import Film, boxes, make_film, pictures

FLATTEN = Path(__file__).parent / "modules/flatten.js"
Packet = tuple[Fraction, Fraction, bytes, bool]


@pytest.fixture(scope="module")
def film() -> Film:
    return make_film(4)


@pytest.mark.parametrize("parts", [slice(None), slice(0, 1), slice(2, 4)])
def test_a_film_has_the_samples_of_its_parts_from_time_0(film: Film, parts: slice, tmp_path: Path) -> None:
    flat = flattened(film[parts], tmp_path)
    assert [kind for kind, _ in boxes(flat)] == ["ftyp", "moov", "mdat"]
    assert [number for _, number in pictures(flat)] == film[parts].shown
    assert pictures(flat)[0][0] == 0
    (raw_video, raw_audio), (video, audio) = packets(joined(film[parts])), packets(flat)
    assert [body for _, _, body, _ in video] == [body for _, _, body, _ in raw_video]
    assert [body for _, _, body, _ in audio] == [body for _, _, body, _ in raw_audio]
    assert [key for *_, key in video] == [key for *_, key in raw_video]


def test_picture_and_sound_stay_as_far_apart_as_they_were(film: Film, tmp_path: Path) -> None:
    (raw_video, raw_audio), (video, audio) = packets(joined(film[1:4])), packets(flattened(film[1:4], tmp_path))
    apart = [own[0] - other[0] for own, other in zip(raw_video[1:], raw_audio[1:], strict=False)]
    now = [own[0] - other[0] for own, other in zip(video[1:], audio[1:], strict=False)]
    furthest = max(abs(one - other) for one, other in zip(apart, now, strict=True))
    assert furthest < Fraction(1, 1000), "what an edit list counts in"


def test_a_silent_film_has_no_track_for_sound(tmp_path: Path) -> None:
    silent = make_film(2, sound=False)
    flat = flattened(silent, tmp_path)
    assert [number for _, number in pictures(flat)] == silent.shown
    with av.open(io.BytesIO(flat)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_a_last_picture_is_held_over_a_part_that_is_missing(film: Film, tmp_path: Path) -> None:
    gap = Film(film.init, (film.parts[0], film.parts[2]), (film.numbers[0], film.numbers[2]))
    shown = {number: time for time, number in pictures(flattened(gap, tmp_path))}
    assert shown[60] - shown[1] == pytest.approx(59 / 30, abs=0.001)


def test_the_codecs_are_told_as_browsers_take_them(film: Film, tmp_path: Path) -> None:
    told = run_node(film, tmp_path)
    assert told == 'video/mp4; codecs="avc1.42c00d, mp4a.40.2"'


def flattened(film: Film, folder: Path) -> bytes:
    run_node(film, folder)
    return (folder / "flat.mp4").read_bytes()


def run_node(film: Film, folder: Path) -> str:
    """Write the parts to files, run node on them, and return what it prints."""
    node = shutil.which("node")
    assert node is not None, "no node on this machine; `make setup-test` installs it"
    parts = folder / "parts"
    parts.mkdir(exist_ok=True)
    for number, content in enumerate([film.init, *film.parts]):
        (parts / f"{number:05}").write_bytes(content)
    command = [node, str(FLATTEN), str(parts), str(folder / "flat.mp4")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def joined(film: Film) -> bytes:
    return b"".join([film.init, *film.parts])


def packets(data: bytes) -> tuple[list[Packet], list[Packet]]:
    """Read the samples of video and audio: time, duration, bytes, and whether it is a key frame."""
    with av.open(io.BytesIO(data), "r") as container:
        found: dict[str, list[Packet]] = {"video": [], "audio": []}
        for packet in container.demux():
            if packet.dts is not None:
                base = cast("Any", packet).time_base
                times = (packet.pts or 0) * base, (packet.duration or 0) * base
                found[packet.stream.type].append((*times, bytes(packet), packet.is_keyframe))
        return found["video"], found["audio"]
