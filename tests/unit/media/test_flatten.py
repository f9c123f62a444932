"""An ordinary MP4 out of a fragmented one: the same samples, from time 0, the index first."""

from pathlib import Path
from typing import Any

import av
import pytest

from livereactor.media.flatten import FlattenError, flatten
from tests.tools.films import FPS, Film, boxes, make_film, pictures


@pytest.fixture(scope="module")
def film() -> Film:
    return make_film(6)


def write(folder: Path, film: Film) -> Path:
    path = folder / "parts.mp4"
    path.write_bytes(film.init + b"".join(film.parts))
    return path


def sound_seconds(path: Path) -> tuple[float, float]:
    """When the sound begins and ends."""
    with av.open(str(path)) as container:
        packets: list[Any] = [packet for packet in container.demux(audio=0) if packet.pts is not None]
    first, last = packets[0], packets[-1]
    return float(first.pts * first.time_base), float((last.pts + last.duration) * last.time_base)


def test_parts_from_the_middle_begin_at_zero_with_every_picture(tmp_path: Path, film: Film) -> None:
    cut = film[2:5]
    assert flatten(write(tmp_path, cut), tmp_path / "flat.mp4")
    shown = pictures(tmp_path / "flat.mp4")
    assert [number for _, number in shown] == cut.shown
    assert [time for time, _ in shown] == pytest.approx([at / FPS for at in range(90)], abs=1e-3)


def test_the_index_is_before_the_samples(tmp_path: Path, film: Film) -> None:
    flatten(write(tmp_path, film), tmp_path / "flat.mp4")
    kinds = [kind for kind, _ in boxes((tmp_path / "flat.mp4").read_bytes())]
    assert kinds.index("moov") < kinds.index("mdat")
    assert "moof" not in kinds


def test_sound_stays_with_its_picture(tmp_path: Path, film: Film) -> None:
    flatten(write(tmp_path, film[2:5]), tmp_path / "flat.mp4")
    start, end = sound_seconds(tmp_path / "flat.mp4")
    assert 0 <= start < 0.0214  # an AAC frame
    assert end == pytest.approx(3.0, abs=0.03)


def test_a_film_without_sound_is_a_film(tmp_path: Path) -> None:
    film = make_film(2, sound=False)
    assert flatten(write(tmp_path, film), tmp_path / "flat.mp4")
    assert [number for _, number in pictures(tmp_path / "flat.mp4")] == film.shown


def test_it_stops_when_it_is_told_to(tmp_path: Path, film: Film) -> None:
    assert not flatten(write(tmp_path, film), tmp_path / "flat.mp4", stopped=lambda: True)


@pytest.mark.parametrize("what", ["nothing", "noise", "no samples", "no index"])
def test_what_is_no_film_is_refused(tmp_path: Path, film: Film, what: str) -> None:
    content = {"nothing": b"", "noise": b"x" * 500, "no samples": film.init, "no index": film.parts[0]}[what]
    (tmp_path / "source.mp4").write_bytes(content)
    with pytest.raises(FlattenError, match="download it raw"):
        flatten(tmp_path / "source.mp4", tmp_path / "flat.mp4")
