"""`livereactor export`: a recording in the blobs becomes an MP4, also a torn one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from livereactor.base.errors import LivereactorError, UsageError
from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.port import BlobKey
from livereactor.cli.main import app
from livereactor.media.clip import NothingRecordedError
from livereactor.media.h264 import open_h264
from tests.tools.tapes import HEIGHT, WIDTH, Tape, record, seen

RECORDING = "0197f3c2-a1d8-4c11-a3f0-d2c4b5e69788"
STARTS = range(0, 3 * 90_000, 3000)


@pytest.fixture(scope="module")
def tape() -> Tape:
    return record(open_h264(WIDTH, HEIGHT, 30, 500_000), STARTS, end=3 * 90_000)


def keep(folder: Path, files: dict[str, bytes]) -> None:
    async def put() -> None:
        blobs = FolderBlobs(folder)
        await blobs.put(BlobKey(f"recorded/ses_1/{RECORDING}"), b"")
        await blobs.put(BlobKey(f"recordings/{RECORDING}/recording.json"), b'{"session": "ses_1"}')
        for name, data in files.items():
            await blobs.put(BlobKey(f"recordings/{RECORDING}/{name}"), data)

    asyncio.run(put())


def files_of(tape: Tape) -> dict[str, bytes]:
    return {"init.mp4": tape.segmenter.init} | {f"chunk_{n:05}.m4s": bytes(data) for n, data in tape.files.items()}


def exported(folder: Path, film: Path, session: str = "ses_1") -> dict[str, float]:
    result = CliRunner().invoke(app, ["export", session, str(film), "--blobs", str(folder), "--json"])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def test_all_of_it_is_one_film(tape: Tape, tmp_path: Path) -> None:
    keep(tmp_path / "blobs", files_of(tape))
    for name in ("ses_1", RECORDING):
        told = exported(tmp_path / "blobs", tmp_path / "film.mp4", name)
        assert told == {"seconds": 3.0, "segments": len(tape.files), "left_out": 0}
        assert len(seen((tmp_path / "film.mp4").read_bytes()).counters) == len(STARTS)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["blobs", "film.mp4"]


def test_what_a_killed_worker_tore_off_is_left_out_and_all_before_it_plays(tape: Tape, tmp_path: Path) -> None:
    files = files_of(tape)
    torn = "chunk_00001.m4s"
    files[torn] = files[torn][:-9]
    keep(tmp_path / "blobs", files)
    told = exported(tmp_path / "blobs", tmp_path / "film.mp4")
    assert (told["segments"], told["left_out"]) == (2, len(tape.files) - 2)
    assert 1.0 < told["seconds"] < 2.0
    assert len(seen((tmp_path / "film.mp4").read_bytes()).counters) == round(told["seconds"] * 30)


def test_where_there_is_none_or_no_picture_it_is_told_and_nothing_is_left(tape: Tape, tmp_path: Path) -> None:
    keep(tmp_path / "blobs", {})
    for session, kind, sentence in (
        ("ses_2", UsageError, "no session 'ses_2' among the recordings"),
        ("ses_1", NothingRecordedError, "its pictures are missing or expired"),
    ):
        with pytest.raises(kind) as caught:
            exported(tmp_path / "blobs", tmp_path / "film.mp4", session)
        assert isinstance(caught.value, LivereactorError)
        assert sentence in caught.value.message
    assert [each.name for each in tmp_path.iterdir()] == ["blobs"]
