"""A clip from a server to a file: what is fetched, with which token, what comes of it, what is left when it fails."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import Response

from livereactor.client.errors import ClipGoneError, ClipNotReadyError, RecordingError
from livereactor.client.files.clips import download
from livereactor.client.files.download import download_clip
from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials
from livereactor.client.types import Clip
from tests.tools.clip_server import ClipServer, serving_clip
from tests.tools.films import Film, boxes, make_film, pictures

FILM = 12  # seconds
TOKEN = "a-token"


@pytest.fixture(scope="module")
def film() -> Film:
    return make_film(FILM)


@pytest.fixture
async def clips(film: Film) -> AsyncIterator[ClipServer]:
    async with serving_clip(film[2:]) as server:
        yield server


def a_clip(clips: ClipServer, *, ready_at: float = 0.0) -> Clip:
    return Clip("recording", "snap", 2.0, 12.0, 12.0, ready_at, clips.playlist_url)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_ten_seconds_become_an_ordinary_film(tmp_path: Path, clips: ClipServer) -> None:
    path = await download_clip(a_clip(clips), tmp_path / "clip.mp4")
    assert path == tmp_path / "clip.mp4"
    shown = pictures(path)
    assert shown[0] == (0.0, 60)
    assert shown[-1] == (pytest.approx(10.0, abs=0.1), 359)
    assert [number for _, number in shown] == list(range(60, 360))
    kinds = [kind for kind, _ in boxes(path.read_bytes())]
    assert kinds.index("moov") < kinds.index("mdat")
    assert left_in(tmp_path) == ["clip.mp4"]


async def test_raw_keeps_the_parts_as_they_are(tmp_path: Path, clips: ClipServer, film: Film) -> None:
    await download_clip(clips.playlist_url, str(tmp_path / "raw.mp4"), raw=True)
    assert (tmp_path / "raw.mp4").read_bytes() == film.init + b"".join(film.parts[2:])


async def test_without_a_path_the_bytes_come_back(clips: ClipServer) -> None:
    assert [number for _, number in pictures(await download_clip(a_clip(clips)))] == list(range(60, 360))


async def test_progress_is_told_after_each_part(clips: ClipServer, film: Film) -> None:
    told: list[tuple[int, int, int]] = []
    await download_clip(a_clip(clips), raw=True, on_progress=lambda *told_now: told.append(told_now))
    assert [(fetched, total) for fetched, total, _ in told] == [(number, 10) for number in range(1, 11)]
    assert [size for _, _, size in told] == [
        len(film.init) + sum(map(len, film.parts[2 : 3 + number])) for number in range(10)
    ]


async def test_a_file_that_was_there_is_replaced_whole(tmp_path: Path, clips: ClipServer) -> None:
    (tmp_path / "clip.mp4").write_text("before")
    await download_clip(a_clip(clips), tmp_path / "clip.mp4")
    assert len(pictures(tmp_path / "clip.mp4")) == 300


@pytest.mark.parametrize("retry_after", ["0", "0.001"])
async def test_a_playlist_that_is_not_there_yet_is_waited_for(clips: ClipServer, retry_after: str) -> None:
    clips.pending, clips.retry_after = 2, retry_after
    started = time.monotonic()
    await download_clip(a_clip(clips), raw=True)
    assert clips.files()[:4] == ["playlist"] * 3 + ["init.mp4"]
    assert 0.4 <= time.monotonic() - started < 3.0  # two waits, each lengthened to 0.2 s


async def test_a_clip_that_stays_away_is_not_ready(tmp_path: Path, clips: ClipServer) -> None:
    clips.pending = 1_000
    with pytest.raises(RecordingError) as raised:
        await download_clip(a_clip(clips), tmp_path / "clip.mp4", ready_timeout=0.3)
    assert (raised.value.code, raised.value.recoverable) == ("CLIP_NOT_READY", True)
    assert len(clips.asked) in (2, 3)  # at once, 0.2 s later, and once more where there is time
    assert left_in(tmp_path) == []


async def test_the_wait_counts_from_the_predicted_moment(clips: ClipServer) -> None:
    clips.pending = 2
    await download_clip(a_clip(clips, ready_at=time.time() + 10), raw=True, ready_timeout=0.0)
    assert clips.files().count("playlist") == 3


@pytest.mark.parametrize("status", [404, 410])
async def test_an_expired_clip_is_gone(clips: ClipServer, status: int) -> None:
    clips.faults["playlist"] = Response(status_code=status)
    with pytest.raises(ClipGoneError) as raised:
        await download_clip(a_clip(clips))
    assert (raised.value.code, raised.value.status, raised.value.recoverable) == ("CLIP_GONE", status, False)


@pytest.mark.parametrize(
    ("file", "answer", "code", "recoverable", "words"),
    [
        ("playlist", Response(status_code=500), "PLAYLIST_FETCH_FAILED", True, "playlist"),
        ("playlist", Response(status_code=403), "PLAYLIST_FETCH_FAILED", False, "playlist"),
        ("playlist", Response("<html>"), "INVALID_PLAYLIST", False, "not a playlist"),
        ("init.mp4", Response(status_code=404), "CHUNK_FETCH_FAILED", False, "init segment"),
        ("chunk_00002.m4s", Response(status_code=500), "CHUNK_FETCH_FAILED", True, "segment 3 of 10"),
        ("chunk_00002.m4s", Response("<html>sign in"), "CHUNK_FETCH_FAILED", False, "segment 3 of 10"),
        ("chunk_00002.m4s", Response(status_code=302), "CHUNK_FETCH_FAILED", False, "segment 3 of 10"),
        ("chunk_00009.m4s", Response(status_code=410), "CLIP_GONE", False, "expired"),
        ("chunk_00009.m4s", Response(b"\0\0\0\x08moofgarbage!!!!"), "DOWNLOAD_UNSUPPORTED", False, "raw"),
    ],
)
async def test_what_fails_says_what_and_leaves_nothing(
    tmp_path: Path, clips: ClipServer, file: str, answer: Response, code: str, recoverable: bool, words: str
) -> None:
    clips.faults[file] = answer
    if code == "DOWNLOAD_UNSUPPORTED":
        clips.faults["init.mp4"] = answer
    with pytest.raises(RecordingError, match=words) as raised:
        await download_clip(a_clip(clips), tmp_path / "clip.mp4")
    assert (raised.value.code, raised.value.recoverable) == (code, recoverable)
    assert left_in(tmp_path) == []


async def test_a_server_that_is_not_there_is_a_failed_fetch() -> None:
    with pytest.raises(RecordingError) as raised:
        await download_clip("http://127.0.0.1:9/clips?session_id=1")
    assert (raised.value.code, raised.value.reason, raised.value.recoverable) == (
        "PLAYLIST_FETCH_FAILED",
        "NETWORK_ERROR",
        True,
    )


async def test_the_token_goes_to_the_playlists_own_origin_only(clips: ClipServer, film: Film) -> None:
    clips.token = TOKEN
    async with serving_clip(film[2:]) as store:
        clips.parts_at = store.url
        await download_clip(a_clip(clips), jwt=lambda: TOKEN, raw=True)
        assert clips.asked == [("playlist", f"Bearer {TOKEN}")]
        assert {authorization for _, authorization in store.asked} == {None}
        assert len(store.asked) == 11


async def test_parts_of_the_same_origin_get_the_token(clips: ClipServer) -> None:
    clips.token = TOKEN
    await download_clip(a_clip(clips), jwt=TOKEN, raw=True)
    assert {authorization for _, authorization in clips.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("kind", [asyncio.Event, threading.Event])
async def test_a_download_that_is_called_off_ends_and_leaves_nothing(
    tmp_path: Path, clips: ClipServer, kind: type[asyncio.Event | threading.Event]
) -> None:
    clips.held.add("chunk_00005.m4s")
    cancel = kind()
    download = asyncio.create_task(download_clip(a_clip(clips), tmp_path / "clip.mp4", cancel=cancel))
    await clips.until_asked("chunk_00005.m4s")
    cancel.set()
    started = time.monotonic()
    with pytest.raises(RecordingError) as raised:
        await download
    assert raised.value.code == "ABORTED"
    assert time.monotonic() - started < 1.0
    assert left_in(tmp_path) == []


async def test_a_cancelled_task_leaves_nothing(tmp_path: Path, clips: ClipServer) -> None:
    clips.held.add("chunk_00005.m4s")
    download = asyncio.create_task(download_clip(a_clip(clips), tmp_path / "clip.mp4"))
    await clips.until_asked("chunk_00005.m4s")
    download.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download
    assert left_in(tmp_path) == []
    assert [task for task in asyncio.all_tasks() if task.get_name() == "part of a clip"] == []


async def test_a_folder_that_is_not_there_fails_before_anything_is_fetched(tmp_path: Path, clips: ClipServer) -> None:
    with pytest.raises(FileNotFoundError):
        await download_clip(a_clip(clips), tmp_path / "nowhere" / "clip.mp4")
    with pytest.raises(IsADirectoryError):
        await download_clip(a_clip(clips), tmp_path)
    assert clips.asked == []


async def test_a_few_parts_come_at_once_and_in_order(tmp_path: Path, clips: ClipServer) -> None:
    clips.held.add("chunk_00000.m4s")
    download = asyncio.create_task(download_clip(a_clip(clips), tmp_path / "clip.mp4"))
    await clips.until_asked("chunk_00001.m4s", "chunk_00002.m4s", "chunk_00003.m4s")
    clips.release.set()
    await download
    assert [number for _, number in pictures(tmp_path / "clip.mp4")] == list(range(60, 360))


# --- with a client that is there ---------------------------------------------------------------------------------


def client_of(clips: ClipServer) -> Api:
    return Api(clips.url, local=False, credentials=Credentials(jwt=TOKEN))


async def test_a_client_shows_its_token_to_its_own_server_only(tmp_path: Path, clips: ClipServer, film: Film) -> None:
    api = client_of(clips)
    async with serving_clip(film[2:]) as store:
        clips.token, clips.parts_at = TOKEN, store.url
        await download(api, a_clip(clips), tmp_path / "a.mp4", is_alive=lambda: True)
        assert clips.asked == [("playlist", f"Bearer {TOKEN}")]
        assert {authorization for _, authorization in store.asked} == {None}
    await api.aclose()
    assert [number for _, number in pictures(tmp_path / "a.mp4")] == list(range(60, 360))


async def test_a_clip_is_waited_for_while_its_session_lives(clips: ClipServer) -> None:
    api, clips.pending = client_of(clips), 1_000

    def is_alive() -> bool:
        return len(clips.asked) < 3

    with pytest.raises(ClipNotReadyError):
        await download(api, a_clip(clips), None, is_alive=is_alive)
    await api.aclose()
    assert len(clips.asked) == 4  # looked at once more when the session had ended: its end closes the last segment


async def test_a_clip_that_the_sessions_end_completes_is_fetched(clips: ClipServer) -> None:
    api, clips.pending = client_of(clips), 2
    film = await download(api, a_clip(clips), None, is_alive=lambda: len(clips.asked) < 2)
    await api.aclose()
    assert isinstance(film, bytes)
    assert len(pictures(film)) == 300


async def test_the_time_that_was_given_counts_even_while_the_session_lives(clips: ClipServer) -> None:
    api, clips.pending = client_of(clips), 1_000
    with pytest.raises(ClipNotReadyError):
        await download(api, a_clip(clips), None, is_alive=lambda: True, ready_timeout=0.1)
    await api.aclose()
