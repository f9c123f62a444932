"""Python's collector runs where it likes, libwebrtc's threads too: a process that frees a track there must not stop."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tools.processes import REPOSITORY

ENDS_EARLY = """
import asyncio, sys
from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.port import PeerConfig, Section, Use

async def main(steps):
    engine = LibwebrtcEngine()
    peer = await engine.peer(PeerConfig(), lambda _: None)
    offering = asyncio.create_task(peer.offer([Section("video", Use.RECEIVE)], ["data"]))
    for _ in range(steps):
        await asyncio.sleep(0)
    offering.cancel()
    closing = asyncio.create_task(peer.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    outcomes = await asyncio.gather(offering, closing, return_exceptions=True)
    await peer.aclose()  # goes on where the one that was cancelled began
    return outcomes  # their tracebacks outlive the loop

kept = asyncio.run(main(int(sys.argv[1])))
print("done")
"""


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_process_that_ends_while_it_offers_and_closes_is_not_aborted(steps: int) -> None:
    """A connection that closes in an interpreter that is gone panics, and takes the process's exit code with it."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS_EARLY, str(steps)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


def test_tracks_collected_on_the_network_thread_stop_nothing() -> None:
    """Before `Held` it stood still within the first ten connections."""
    program = [sys.executable, "-m", "tests.contract.engine.freeing"]
    done = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["done", "True"], done.stderr[-2000:]
