"""Temporary folders of killed processes go; those in use, and everybody else's, stay."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from livereactor.base.scratch import Scratch, remove_left_over

HOLDER = """
import sys
from livereactor.base.scratch import Scratch
print(Scratch("test").folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_folder_goes_with_all_that_is_in_it_and_may_go_twice() -> None:
    scratch = Scratch("test")
    (scratch.folder / "below").mkdir()
    (scratch.folder / "below" / "file").write_bytes(b"x")
    for _ in range(2):
        scratch.close()
    assert not scratch.folder.exists()


def test_what_a_killed_process_left_is_removed_and_what_one_holds_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    (folder / "film").write_bytes(b"x")
    try:
        assert remove_left_over() == 0
        assert (folder / "film").exists()
    finally:
        process.kill()
        process.communicate()
    assert remove_left_over() == 1
    assert not folder.exists()


def test_our_own_is_in_use() -> None:
    scratch = Scratch("test")
    assert remove_left_over() == 0
    assert scratch.folder.exists()
    scratch.close()


def test_what_is_none_of_ours_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "livereactor-by-hand").mkdir()
    (tmp_path / "livereactor-linked").mkdir()
    (elsewhere / ".held").touch()
    (tmp_path / "livereactor-linked" / ".held").symlink_to(elsewhere / ".held")
    (tmp_path / "livereactor-file").touch()
    assert remove_left_over() == 0
    assert len(list(tmp_path.glob("livereactor-*"))) == 3
