"""The documentation builds without a warning, and its pages ask nobody but their own server for anything."""

import re
import subprocess
import sys
from pathlib import Path

from tests.tools.processes import REPOSITORY

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src=["'](?:https?:)?//|<link[^>]+rel=["']?stylesheet[^>]+//"""
)


def test_the_site_builds_strictly_and_fetches_nothing_from_outside(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 8
    assert [str(page) for page in pages if FETCHED.search(page.read_text(encoding="utf-8"))] == []
