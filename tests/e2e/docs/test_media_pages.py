"""The pages on receiving and sending: their programs are run as they stand, and say what the page says."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import pytest

from tests.e2e.docs.test_files_and_figures import said_by
from tests.tools.fixtures import network
from tests.tools.processes import REPOSITORY, livereactor_run
from tests.unit.docs.test_first_model import blocks

__all__ = ["network"]

DOCS = REPOSITORY / "docs"
NEED_DEVICES = {"hear.py", "camera.py"}  # no test has a loudspeaker or a camera: these are compiled


@pytest.fixture
def folder(network: bool, tmp_path: Path) -> Path:
    """Every program of the two pages, in an empty folder."""
    for page in ("receiving", "sending"):
        for block in blocks(DOCS / f"{page}.md"):
            if block.kind == "python":
                assert block.file is not None, "every program says its name"
                (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    return tmp_path


async def test_the_pond_is_watched_in_every_way(folder: Path) -> None:
    with livereactor_run(REPOSITORY / "examples/pond.py", log_path=folder / "log") as server:
        told = await said_by(folder, "watch.py", url=server.url)
        assert re.fullmatch(r"frame 60 is \d+ wide and \d+ high, its mean is \d+\n", told)
        assert await said_by(folder, "loop.py", url=server.url) == "30 frames\n"
        told = await said_by(folder, "look.py", url=server.url)
        assert re.fullmatch(r"pond.png has \d{4,} bytes, and the newest picture \d+\n", told)
        told = await said_by(folder, "bytes.py", url=server.url)
        size, width, height = (int(number) for number in re.findall(r"\d+", told))
        assert size == width * height * 4


async def test_the_choir_is_recorded(folder: Path) -> None:
    with livereactor_run(REPOSITORY / "examples/choir.py", log_path=folder / "log") as server:
        assert re.fullmatch(r"1\.0 s in choir.wav\n", await said_by(folder, "record.py", "1", url=server.url))
    with wave.open(str(folder / "choir.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (48_000, 48_000)


async def test_the_looking_glass_shows_what_is_sent(folder: Path) -> None:
    with livereactor_run(folder / "looking_glass.py", log_path=folder / "log") as server:
        told = await said_by(folder, "push.py", url=server.url)
        came_back, within_ms = (int(number) for number in re.findall(r"\d+", told))
        assert came_back >= 40
        assert within_ms < 1000
        film = REPOSITORY / "examples/pond.webm"
        assert await said_by(folder, "film.py", str(film), url=server.url) == f"{film} plays\n"
        assert await said_by(folder, "drawing.py", url=server.url) == "the bar goes left\n"


def test_every_program_is_run_or_needs_a_device(folder: Path) -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    programs = {path.name for path in folder.glob("*.py")}
    assert {name for name in programs if f'"{name}"' not in here and name != "looking_glass.py"} == set()
    for name in NEED_DEVICES:
        compile((folder / name).read_text(encoding="utf-8"), name, "exec")
