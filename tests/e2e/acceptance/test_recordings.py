"""Clips and recordings, as a runtime shows them to official Python clients."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.tools.drivers import Client, ClientError
from tests.tools.films import complaints, late_pictures, length, pictures
from tests.tools.fixtures import SMALL, Start
from tests.tools.processes import Program
from tests.tools.trying import in_one_of_three

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def streamed(client: Client, seconds: float) -> None:
    """Until so much has been seen since it joined, pauses of a busy machine left out."""
    await client.command("set_pacing", pacing="backpressure")
    seen = 0
    while seen < seconds * 30:
        seen += (await client.frames(30, timeout=20.0))["count"]


async def kept(client: Client, path: Path, seconds: float | None = None) -> dict[str, Any]:
    """A clip, or the recording, as a file that FFmpeg has nothing to say against."""
    clip = await client.ask("keep", path=str(path), seconds=seconds)
    assert complaints(path) == []
    assert pictures(path)[0][0] == 0
    return clip


@pytest.mark.alone
async def test_ten_seconds_are_a_film_of_ten_seconds_from_zero(viewer: Client, tmp_path: Path) -> None:
    await streamed(viewer, 12.0)
    clip = await kept(viewer, tmp_path / "clip.mp4", 10.0)
    await kept(viewer, tmp_path / "all.mp4")
    shown = [number for _, number in pictures(tmp_path / "clip.mp4")]
    assert length(tmp_path / "clip.mp4") == pytest.approx(10.0, abs=0.1)
    assert 100 <= shown[-1] - shown[0] <= 302  # fewer than 300, where others use this machine's cores
    assert len(shown) >= 100
    # Raises where the clip shows a picture that is not of its seconds, or leaves one out before its last.
    late_pictures(tmp_path / "clip.mp4", tmp_path / "all.mp4", clip["start_marker"], clip["end_marker"])


@pytest.mark.alone
async def test_a_recording_is_all_of_it(viewer: Client, tmp_path: Path) -> None:
    await streamed(viewer, 2.0)
    began = time.monotonic()
    first = await kept(viewer, tmp_path / "first.mp4")
    await streamed(viewer, 10.0)
    later = await kept(viewer, tmp_path / "all.mp4")
    assert (first["kind"], first["start_marker"]) == ("recording", 0.0)
    assert (later["kind"], later["start_marker"]) == ("recording", 0.0)
    grown = later["end_marker"] - first["end_marker"]
    assert grown <= time.monotonic() - began
    assert grown >= 10.0 - 0.3
    assert length(tmp_path / "all.mp4") == pytest.approx(later["end_marker"], abs=0.3)
    counters = [number for _, number in pictures(tmp_path / "all.mp4")]
    assert counters == sorted(set(counters))
    assert counters[: len(pictures(tmp_path / "first.mp4")) - 1] == [
        number for _, number in pictures(tmp_path / "first.mp4")[:-1]
    ]


async def test_more_than_the_longest_clip_is_the_longest(join: Any, start: Start, tmp_path: Path) -> None:
    shortened = start("examples/conformance.py", environment={**SMALL, "LIVEREACTOR_RECORDER__CLIP_MAX_SECONDS": "3"})
    client = await join(at=shortened)
    await streamed(client, 5.0)
    clip = await kept(client, tmp_path / "clip.mp4", 600.0)
    assert clip["end_marker"] - clip["start_marker"] == pytest.approx(3.0)
    assert length(tmp_path / "clip.mp4") == pytest.approx(3.0, abs=0.1)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_after_four_hundred_seconds_the_longest_clip_is_of_three_hundred(join: Any, tmp_path: Path) -> None:
    client = await join()
    until = time.monotonic() + 400.0
    while time.monotonic() < until:
        await client.frames(30, timeout=20.0)
    clip = await kept(client, tmp_path / "clip.mp4", 600.0)
    assert clip["end_marker"] - clip["start_marker"] == pytest.approx(300.0)
    assert clip["start_marker"] > 90.0
    assert length(tmp_path / "clip.mp4") == pytest.approx(300.0, abs=0.1)


async def test_more_than_there_is_begins_at_zero(viewer: Client, tmp_path: Path) -> None:
    await streamed(viewer, 1.0)
    clip = await kept(viewer, tmp_path / "clip.mp4", 250.0)
    assert (clip["kind"], clip["start_marker"]) == ("snap", 0.0)


async def test_several_clips_at_once_are_each_their_own(viewer: Client, tmp_path: Path) -> None:
    await streamed(viewer, 5.0)
    asked = [1.0, 4.0, 2.0, 3.0]
    clips = await asyncio.gather(*(kept(viewer, tmp_path / f"{each}.mp4", each) for each in asked))
    assert len({clip["session_id"] for clip in clips}) == 4
    for clip, seconds in zip(clips, asked, strict=True):
        assert clip["end_marker"] - clip["start_marker"] == pytest.approx(seconds)
        assert length(tmp_path / f"{seconds}.mp4") == pytest.approx(seconds, abs=0.1)


async def test_ffmpeg_plays_the_playlist_as_it_is(viewer: Client, server: Program, tmp_path: Path) -> None:
    await streamed(viewer, 3.0)
    clip = await kept(viewer, tmp_path / "clip.mp4", 2.0)
    url = str(httpx2.URL(server.url).join(clip["playlist_url"]))
    played, fetched = await asyncio.to_thread(pictures, url), pictures(tmp_path / "clip.mp4")
    assert [number for _, number in played] == [number for _, number in fetched]
    assert [at for at, _ in played] == pytest.approx([at for at, _ in fetched], abs=0.001)


@in_one_of_three
async def test_a_runtime_that_records_nothing_says_so_at_once(join: Any, start: Start) -> None:
    silent = start("examples/conformance.py", environment=SMALL, arguments=["--no-record"])
    client = await join(at=silent)
    await client.frames(1)
    began = time.monotonic()
    with pytest.raises(ClientError) as refused:
        await client.ask("clip", seconds=10.0)
    assert time.monotonic() - began <= 0.2
    assert refused.value.code == "RECORDER_DISABLED"


async def test_an_expired_clip_is_gone(join: Any, start: Start) -> None:
    brief = {**SMALL, "LIVEREACTOR_RECORDER__RETENTION_HOURS": str(4.0 / 3600)}
    program = start("examples/conformance.py", environment=brief)
    client = await join(at=program)
    await streamed(client, 1.0)
    clip = await client.ask("clip", seconds=1.0)
    url = httpx2.URL(program.url).join(clip["playlist_url"])
    async with httpx2.AsyncClient() as http:
        assert (await http.get(url)).status_code == 200
        async with asyncio.timeout(30.0):
            while (answer := await http.get(url)).status_code == 200:
                await client.frames(5)
    assert (answer.status_code, answer.json()["code"]) == (410, "CLIP_GONE")
