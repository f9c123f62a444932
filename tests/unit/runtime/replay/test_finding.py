"""Journals among recordings, and in files that somebody took from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from livereactor.blobs.journals import NoJournalError
from livereactor.blobs.port import BlobKey
from livereactor.runtime.replay.finding import (
    NoFileError,
    files_in,
    journal_in,
    kept_journal,
)
from livereactor.runtime.replay.journal_format import FileDigest, JournalError, digest_of
from tests.tools.memory_blobs import MemoryBlobs


async def put(blobs: MemoryBlobs, key: str, data: bytes) -> None:
    await blobs.put(BlobKey.parse(key), data)


async def recorded(blobs: MemoryBlobs, recording: str, session: str, *pieces: bytes) -> None:
    await put(blobs, f"recorded/{session}/{recording}", b"")
    await put(blobs, f"recordings/{recording}/recording.json", json.dumps({"session": session}).encode())
    for number, piece in enumerate(pieces):
        await put(blobs, f"recordings/{recording}/journal-{number:05d}.jsonl", piece)


async def test_a_journal_is_found_by_its_session_and_by_its_recording() -> None:
    blobs = MemoryBlobs()
    await recorded(blobs, "r1", "ses_1", b"a\n", b"b\n")
    await recorded(blobs, "r2", "ses_2", b"c\n")
    await put(blobs, "recordings/r3/recording.json", b"not JSON")
    assert await kept_journal(blobs, "ses_1", "here") == b"a\nb\n"
    assert await kept_journal(blobs, "r2", "here") == b"c\n"


async def test_of_sessions_of_one_name_the_newest_is_found() -> None:
    now = 1000.0
    blobs = MemoryBlobs(lambda: now)
    for recording in ("r1", "r3", "r2"):
        now += 1
        await recorded(blobs, recording, "ses_1", recording.encode())
    assert await kept_journal(blobs, "ses_1", "here") == b"r2"


async def test_a_recording_that_has_gone_meanwhile_is_passed_over() -> None:
    now = 1000.0
    blobs = MemoryBlobs(lambda: now)
    await recorded(blobs, "r1", "ses_1", b"a\n")
    now += 1
    await put(blobs, "recorded/ses_1/r2", b"")
    assert await kept_journal(blobs, "ses_1", "here") == b"a\n"


async def test_names_that_no_session_can_have_are_not_found() -> None:
    for name in ("../x", "", "a/b", "ä"):
        with pytest.raises(NoJournalError):
            await kept_journal(MemoryBlobs(), name, "here")


async def test_an_unknown_session_is_told_with_where_it_was_looked_for() -> None:
    with pytest.raises(NoJournalError, match=r"no session 'ses_9' among the recordings in /data/blobs: .*--data-dir"):
        await kept_journal(MemoryBlobs(), "ses_9", "/data/blobs")


async def test_a_recording_without_a_journal_is_told() -> None:
    blobs = MemoryBlobs()
    await recorded(blobs, "r1", "ses_1")
    with pytest.raises(NoJournalError, match="'ses_1' in here has no journal"):
        await kept_journal(blobs, "ses_1", "here")


def test_a_journal_is_read_from_its_folder_from_a_piece_and_from_one_file(tmp_path: Path) -> None:
    for number in (0, 1, 100_000, 2):
        (tmp_path / f"journal-{number:05d}.jsonl").write_bytes(b"%d\n" % number)
    (tmp_path / "init.mp4").write_bytes(b"no")
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes(b"all\n")
    assert journal_in(tmp_path) == journal_in(tmp_path / "journal-00001.jsonl") == b"0\n1\n2\n100000\n"
    assert journal_in(whole) == b"all\n"


def test_a_folder_without_a_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal in"):
        journal_in(tmp_path)


def test_a_file_is_found_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"456")
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "sub").mkdir()
    assert files_in(tmp_path)(FileDigest(name="../x", mime_type="", size=3, digest=digest_of(b"456"))) == b"456"
    with pytest.raises(NoFileError, match=r"'x' \(3 bytes\).*--files"):
        files_in(tmp_path)(FileDigest(name="x", mime_type="", size=3, digest=digest_of(b"789")))
    with pytest.raises(NoFileError):
        files_in(None)(FileDigest(name="x", mime_type="", size=3, digest=digest_of(b"789")))
