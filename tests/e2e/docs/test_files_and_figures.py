"""The pages on uploads, clips and statistics: their programs are run as they stand, and say what the page says."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.e2e.client.test_scripted_clips import files_of, recording
from tests.tools.films import make_film, pictures
from tests.tools.processes import REPOSITORY, livereactor_run
from tests.tools.scripted_server import scripted
from tests.unit.docs.test_first_model import blocks

DOCS = REPOSITORY / "docs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every program of the three pages, in an empty folder."""
    for page in ("uploads", "clips", "statistics"):
        for block in blocks(DOCS / f"{page}.md"):
            if block.file is not None:
                (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    return tmp_path


async def said_by(folder: Path, program: str, *arguments: str, url: str = "") -> str:
    """What a program of a page prints; it has to succeed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        *arguments,
        cwd=folder,
        env={**os.environ, "LIVEREACTOR_LOCAL_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        told, complained = await process.communicate()
    assert process.returncode == 0, (told, complained)
    return told.decode()


async def test_pictures_are_hung_on_the_wall(folder: Path) -> None:
    cv2.imwrite(str(folder / "red.png"), np.full((360, 640, 3), (0, 0, 255), np.uint8))
    size = (folder / "red.png").stat().st_size
    with livereactor_run(folder / "wall.py", log_path=folder / "log") as server:
        told = await said_by(folder, "hang.py", "red.png", url=server.url)
        assert told == f"{size} of {size} bytes\nred.png (image/png) is on the wall\n"
        told = await said_by(folder, "stripes.py", url=server.url)
    page = (DOCS / "uploads.md").read_text(encoding="utf-8")
    promised = re.search(r"It prints `(.*?)`", page)
    assert promised is not None
    assert told.strip() == promised[1]


async def test_a_clip_is_kept_and_fetched_again_later(folder: Path) -> None:
    film = make_film(10)
    async with scripted(style="local", reply=recording, files=files_of(film)) as server:
        told = await said_by(folder, "keep.py", url=server.url)
        *parts, last = told.splitlines()
        assert parts[-1].startswith("10 of 10 parts")
        assert last.startswith("10.0 s in pond.mp4; for others: ")
        assert [number for _, number in pictures(folder / "pond.mp4")] == film.shown
        (folder / "later.py").write_text((folder / "later.py").read_text().replace("…", "a-token"))
        await said_by(folder, "later.py", last.rpartition(" ")[2])
        assert (folder / "later.mp4").read_bytes() == (folder / "pond.mp4").read_bytes()


async def test_the_figures_of_a_connection_are_printed(folder: Path) -> None:
    with livereactor_run(REPOSITORY / "examples/pond.py", log_path=folder / "log") as server:
        track, path, age, *_, connect = (await said_by(folder, "watch.py", url=server.url)).splitlines()
    assert re.fullmatch(r"main_video: VP8 \d+x\d+, \d+ frames a second", track)
    assert re.fullmatch(r"\d+\.\d Mbit/s by (host|prflx), \d+ ms round trip", path)
    assert re.fullmatch(r"a frame is \d+ ms old when it arrives, p95 \d+ ms", age)
    assert re.fullmatch(r"\d+ ms to connect", connect)
