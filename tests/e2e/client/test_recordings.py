"""Clips and recordings, seen by our client; the long films with a bucket (test_bucket.py)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from livereactor import Reactor, download_clip
from livereactor.client.errors import RecordingError
from tests.e2e.acceptance.test_recordings import (
    test_more_than_there_is_begins_at_zero,
)
from tests.e2e.client.conftest import BOTH_DOORS, CONFORMANCE, CONFORMANCE_AV, ENVIRONMENT, Make
from tests.tools.browser import browser, serving
from tests.tools.films import boxes, complaints, length, lengths, pictures
from tests.tools.fixtures import Start
from tests.tools.processes import LIVEREACTOR, REPOSITORY, Program, background, livereactor_run
from tests.tools.serving import Coordinator, livereactor_serve
from tests.tools.trying import in_one_of_three

__all__ = [
    "test_more_than_there_is_begins_at_zero",
]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), BOTH_DOORS]
SECRET = "tests-only-worker-0123456789-0123456789"
PLAY = """url => new Promise(done => {
    const video = document.createElement("video");
    const tell = () => done({
        error: video.error && video.error.message,
        size: [video.videoWidth, video.videoHeight],
        ended: video.currentTime,
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
    });
    video.onended = video.onerror = tell;
    video.src = url;
    document.body.append(video);
    video.play().catch(tell);
})"""


@pytest.fixture(scope="module")
def targets() -> tuple[str, ...]:
    """What is needed here."""
    return CONFORMANCE, CONFORMANCE_AV


@pytest.fixture(scope="module")
def brief(door: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server whose clips last for four seconds."""
    with recorder(door, tmp_path_factory.mktemp("brief"), RETENTION_HOURS=str(4.0 / 3600)) as program:
        yield program


@pytest.fixture(scope="module")
def silent(door: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that records nothing."""
    with recorder(door, tmp_path_factory.mktemp("silent"), ENABLED="false") as program:
        yield program


def recorder(door: str, folder: Path, **settings: str) -> AbstractContextManager[Program]:
    """A server with these settings of its recorder."""
    variables = {**ENVIRONMENT, **{f"LIVEREACTOR_RECORDER__{name}": value for name, value in settings.items()}}
    target, log_path = REPOSITORY / CONFORMANCE, folder / "log"
    if door == "serve":
        return livereactor_serve([target], log_path=log_path, environment=variables)
    return livereactor_run(target, log_path=log_path, environment=variables)


async def watched(reactor: Reactor, count: int, track: str = "main_video") -> None:
    """Until so many frames have come."""
    frames: AsyncIterator[Any] = reactor.track(track).frames()
    async with asyncio.timeout(30.0):
        for _ in range(count):
            await anext(frames)


def files_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def token(server: Program) -> str | None:
    return server.token() if isinstance(server, Coordinator) else None


async def test_a_clip_is_an_ordinary_film_with_its_index_first(make: Make, server: Program, tmp_path: Path) -> None:
    reactor = make(server)
    await reactor.connect()
    await watched(reactor, 90)
    told: list[tuple[int, int, int]] = []
    clip = await reactor.request_clip(2)
    path = await reactor.download_clip_as_file(clip, tmp_path / "clip.mp4", on_progress=lambda *now: told.append(now))
    assert path == tmp_path / "clip.mp4"
    assert [kind for kind, _ in boxes(path.read_bytes())][:2] == ["ftyp", "moov"]
    assert "moof" not in [kind for kind, _ in boxes(path.read_bytes())]
    assert complaints(path) == []
    assert told[-1][0] == told[-1][1] > 1
    assert files_in(tmp_path) == ["clip.mp4"]
    raw = await reactor.download_clip(clip, raw=True)
    assert [number for _, number in pictures(raw)] == [number for _, number in pictures(path)]


async def test_chromium_plays_a_clip_to_its_end_and_shows_every_picture(
    make: Make, start: Start, tmp_path: Path
) -> None:
    reactor = make(start(CONFORMANCE_AV))
    await reactor.connect()
    await watched(reactor, 90)
    clip = await reactor.request_clip(1.7)
    await reactor.download_clip(clip, tmp_path / "flat.mp4")
    await reactor.download_clip(clip, tmp_path / "raw.mp4", raw=True)
    with serving(tmp_path) as url:
        async with browser() as chromium:
            page = await chromium.new_page()
            for name in ("flat.mp4", "raw.mp4"):
                played = await page.evaluate(PLAY, f"{url}/{name}")
                assert played["error"] is None
                assert played["size"] == [640, 360]
                assert played["ended"] == pytest.approx(length(tmp_path / name), abs=0.05)
                assert played["frames"] == pytest.approx(len(pictures(tmp_path / name)), abs=1)


@in_one_of_three
async def test_picture_and_sound_of_a_clip_begin_at_zero_and_end_together(
    make: Make, start: Start, tmp_path: Path
) -> None:
    reactor = make(start(CONFORMANCE_AV))
    await reactor.connect()
    await watched(reactor, 120)
    for name, seconds in (("a", 1.5), ("b", 0.77)):
        clip = await reactor.request_clip(seconds)
        path = await reactor.download_clip(clip, tmp_path / f"{name}.mp4")
        assert complaints(path) == []
        assert pictures(path)[0][0] == 0
        assert length(path) == pytest.approx(seconds, abs=0.1)
        assert abs(lengths(path)["video"] - lengths(path)["audio"]) <= 0.05


async def test_a_clip_is_fetched_after_its_session_and_without_a_client(
    make: Make, server: Program, tmp_path: Path
) -> None:
    reactor = make(server)
    await reactor.connect()
    await watched(reactor, 60)
    clip, whole = await asyncio.gather(reactor.request_clip(1), reactor.request_recording())
    await reactor.disconnect()
    path = await download_clip(clip, tmp_path / "clip.mp4", jwt=token(server))
    assert length(path) == pytest.approx(1.0, abs=0.05)
    everything = await download_clip(whole.playlist_url, jwt=token(server))
    assert complaints(everything) == complaints(path) == []
    assert length(everything) == pytest.approx(whole.end_marker, abs=0.1)


async def test_a_clip_of_no_length_is_refused(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(RecordingError) as refused:
            await reactor.request_clip(seconds)
        assert refused.value.code == "INVALID_DURATION"


@in_one_of_three
async def test_a_server_that_records_nothing_says_so_at_once(make: Make, silent: Program) -> None:
    reactor = make(silent)
    await reactor.connect()
    began = time.monotonic()
    with pytest.raises(RecordingError) as refused:
        await reactor.request_clip(10)
    assert time.monotonic() - began <= 0.2
    assert (refused.value.code, refused.value.recoverable) == ("RECORDER_DISABLED", False)


async def test_an_expired_clip_is_gone(make: Make, brief: Program) -> None:
    reactor = make(brief)
    await reactor.connect()
    await watched(reactor, 30)
    clip = await reactor.request_clip(0.5)
    headers = {"Authorization": f"Bearer {token(brief)}"} if token(brief) else {}
    async with httpx2.AsyncClient(headers=headers) as http:
        assert (await http.get(clip.playlist_url)).status_code == 200
        async with asyncio.timeout(30.0):
            while (answer := await http.get(clip.playlist_url)).status_code == 200:
                await watched(reactor, 5)
    assert (answer.status_code, answer.json()["code"]) == (410, "CLIP_GONE")
    with pytest.raises(RecordingError) as gone:
        await reactor.download_clip(clip)
    assert gone.value.code == "CLIP_GONE"


async def test_another_accounts_clip_is_gone(make: Make, server: Program, tmp_path: Path) -> None:
    if not isinstance(server, Coordinator):
        pytest.skip("a stand-alone runtime has no accounts")
    reactor = make(server)
    await reactor.connect()
    await watched(reactor, 30)
    clip = await reactor.request_clip(0.5)
    with pytest.raises(RecordingError) as gone:
        await download_clip(clip, tmp_path / "stolen.mp4", jwt=server.key_of("rival"))
    assert gone.value.code == "CLIP_GONE"
    assert not (tmp_path / "stolen.mp4").exists()


async def test_a_worker_elsewhere_leaves_its_clips_with_the_coordinator_and_they_outlive_it(
    make: Make, door: str, tmp_path: Path
) -> None:
    if door == "run":
        pytest.skip("a stand-alone runtime has no workers")
    secret = {"LIVEREACTOR_COORDINATOR__WORKER_SECRET": SECRET}
    with livereactor_serve([], log_path=tmp_path / "log", environment=secret, data_dir=tmp_path / "data") as served:
        command = [*LIVEREACTOR, "worker", CONFORMANCE, "--coordinator", served.url]
        shown = {**ENVIRONMENT, "LIVEREACTOR_WORKER_SECRET": SECRET}
        with background(command, url=served.url, log_path=tmp_path / "worker", environment=shown) as worker:
            served.wait_until(lambda: "worker registered" in served.log(), timeout=60.0)
            reactor = make(served)
            await reactor.connect()
            await watched(reactor, 60)
            clip, whole = await asyncio.gather(reactor.request_clip(1), reactor.request_recording())
            await reactor.download_clip(clip, tmp_path / "clip.mp4")
            await reactor.download_clip(whole, tmp_path / "all.mp4")
            worker.process.kill()
        assert complaints(tmp_path / "clip.mp4") == complaints(tmp_path / "all.mp4") == []
        again = await download_clip(clip, jwt=served.token())
        assert [number for _, number in pictures(again)] == [number for _, number in pictures(tmp_path / "clip.mp4")]
