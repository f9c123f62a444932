"""Python's collector runs where it likes, libwebrtc's threads too: a process that frees a track there must not stop."""

from __future__ import annotations

import subprocess
import sys

from tests.tools.processes import REPOSITORY


def test_tracks_collected_on_the_network_thread_stop_nothing() -> None:
    """Before `Held` it stood still within the first ten connections."""
    program = [sys.executable, "-m", "tests.contract.engine.freeing"]
    done = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["done", "True"], done.stderr[-2000:]
