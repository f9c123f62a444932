"""The code of the pages on clients runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.integrations.conftest import Serve
from tests.tools.processes import REPOSITORY

PAGES = ["python-client.md", "notebooks-and-gyms.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


def blocks() -> list[tuple[str, str]]:
    """Whole programs of the pages, by page; what is included from `examples/` is run by `test_examples`."""
    found = [(page, block) for page in PAGES for block in BLOCK.findall((REPOSITORY / "docs" / page).read_text())]
    return [(page, block) for page, block in found if "import livereactor" in block]


@pytest.mark.parametrize(("page", "block"), blocks(), ids=lambda text: text if text.endswith(".md") else "")
def test_a_program_on_a_page_runs(page: str, block: str, serve: Serve, tmp_path: Path) -> None:
    server = serve("examples/mirror" if '"mirror"' in block else "examples/pond.py")
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env={**os.environ, "LIVEREACTOR_LOCAL_URL": server.url, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_there_are_programs_to_run() -> None:
    assert len(blocks()) >= 8
