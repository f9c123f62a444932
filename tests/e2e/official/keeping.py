"""What every official client that has clips does with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.drivers import Client
from tests.tools.films import complaints, late_pictures, length, pictures


async def keeps_what_was_asked_for(viewer: Client, tmp_path: Path) -> None:
    """A clip and the whole recording are files that show what was asked for."""
    await viewer.frames(120, timeout=20.0)
    clip = await viewer.ask("keep", path=str(tmp_path / "clip.mp4"), seconds=2.0)
    whole = await viewer.ask("keep", path=str(tmp_path / "all.mp4"))
    assert (clip["kind"], whole["kind"], whole["start_marker"]) == ("snap", "recording", 0.0)
    assert clip["end_marker"] - clip["start_marker"] == pytest.approx(2.0)
    for path in (tmp_path / "clip.mp4", tmp_path / "all.mp4"):
        assert complaints(path) == []
        assert pictures(path)[0][0] == 0
    assert length(tmp_path / "clip.mp4") == pytest.approx(2.0, abs=0.1)
    markers = clip["start_marker"], clip["end_marker"]
    assert late_pictures(tmp_path / "clip.mp4", tmp_path / "all.mp4", *markers) <= 3  # of a busy machine
