"""Clips of a stand-alone runtime over HTTP: playlists, parts and their ranges, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import httpx2
import pytest

from livereactor.playground import page_directory
from livereactor.protocol.playlists import Playlist, read_playlist
from livereactor.runtime.http import create_app
from livereactor.web import clips
from livereactor.web.access import Access
from tests.integration.models import Plain
from tests.integration.rig import URL, Served, serving
from tests.tools.films import Film, make_film, pictures
from tests.tools.kept_clips import Kept, finish, keep, promise

KEY = "correct horse battery"


@pytest.fixture(scope="module")
def film() -> Film:
    return make_film(3)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(Plain) as served:
        yield served


async def playlist_of(http: httpx2.AsyncClient, kept: Kept) -> Playlist:
    answer = await http.get("/clips", params=kept.params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    return read_playlist(answer.content, f"{URL}/clips")


async def test_a_clip_is_fetched_part_by_part_and_is_the_film_that_was_kept(served: Served, film: Film) -> None:
    playlist = await playlist_of(served.http, await keep(served.runtime.blobs, film))
    assert playlist.is_complete
    parts = [await served.http.get(each.url) for each in playlist.parts]
    init = await served.http.get(playlist.init)
    assert init.headers["content-type"] == "video/mp4"
    assert {each.headers["content-type"] for each in parts} == {"video/iso.segment"}
    fetched = init.content + b"".join(each.content for each in parts)
    assert [number for _, number in pictures(fetched)] == list(range(90))
    assert pictures(fetched)[0][0] == 0


async def test_a_clip_that_is_being_made_is_answered_202_with_nothing_and_then_the_playlist(
    served: Served, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "HOLD", 0.01)
    kept = await promise(served.runtime.blobs)
    pending = await served.http.get("/clips", params=kept.params)
    assert (pending.status_code, pending.content, pending.headers["retry-after"]) == (202, b"", "0.2")
    await finish(served.runtime.blobs, kept, film)
    assert len((await playlist_of(served.http, kept)).parts) == 3


async def test_a_page_of_another_origin_may_read_them(served: Served, film: Film) -> None:
    kept = await keep(served.runtime.blobs, film)
    origin = {"Origin": "http://localhost:3000"}
    playlist = await playlist_of(served.http, kept)
    for url in (f"{URL}/clips?{httpx2.QueryParams(kept.params)}", playlist.init):
        answer = await served.http.get(url, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


async def test_a_range_of_a_part_is_that_range(served: Served, film: Film) -> None:
    url = (await playlist_of(served.http, await keep(served.runtime.blobs, film))).parts[1].url
    whole, size = film.parts[1], len(film.parts[1])
    for asked, begin, end in (("0-9", 0, 10), ("100-", 100, size), (f"10-{size * 2}", 10, size)):
        answer = await served.http.get(url, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, whole[begin:end])
        assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
    beyond = await served.http.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


async def test_head_tells_the_size_and_sends_nothing(served: Served, film: Film) -> None:
    url = (await playlist_of(served.http, await keep(served.runtime.blobs, film))).parts[0].url
    answer = await served.http.head(url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(film.parts[0]))
    assert (answer.headers["content-type"], answer.headers["accept-ranges"]) == ("video/iso.segment", "bytes")


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "-1"},
        {"start": "nan"},
        {"end": "nan"},
        {"end": "inf"},
        {"start": "2", "end": "2"},
        {"start": "5", "end": "4"},
        {"start": "a"},
        {"end": ""},
        {"start": "1e999"},
    ],
)
async def test_a_range_that_is_none_is_a_bad_request(served: Served, film: Film, wrong: dict[str, str]) -> None:
    kept = await keep(served.runtime.blobs, film)
    answer = await served.http.get("/clips", params=kept.params | wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("missing", ["session_id", "start", "end"])
async def test_all_of_the_address_is_needed(served: Served, film: Film, missing: str) -> None:
    params = (await keep(served.runtime.blobs, film)).params
    answer = await served.http.get("/clips", params={name: params[name] for name in params if name != missing})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


async def test_unknown_and_aged_clips_are_gone(served: Served, film: Film) -> None:
    aged = await keep(served.runtime.blobs, film, expires_us=1)
    late = await promise(served.runtime.blobs, predicted_ready_us=1)
    for params in (aged.params, late.params, {**aged.params, "session_id": "../x"}):
        answer = await served.http.get("/clips", params=params)
        assert (answer.status_code, answer.json()["code"]) == (410, "CLIP_GONE")


async def test_no_path_leads_out_of_the_shelf(served: Served, film: Film) -> None:
    kept = await keep(served.runtime.blobs, film)
    query = httpx2.URL((await playlist_of(served.http, kept)).init).query.decode()
    expected = {
        f"{kept.id}/asked.json": 404,
        f"{kept.id}/%2e%2e%2fasked.json": 404,
        f"{kept.id}/..%2finit.mp4": 404,
        f"{kept.id}/chunk_00001.m4s": 403,
        "..%2f..%2fetc/init.mp4": 404,
        "%2e%2e/init.mp4": 410,
        f"{uuid.uuid4()}/init.mp4": 403,
        f"{kept.id}/chunk_00001.m4s/x": 404,
    }
    for path, status in expected.items():
        answer = await served.http.get(httpx2.URL(f"{URL}/clips/chunks/{path}?{query}"))
        assert answer.status_code == status, path
        assert answer.json()["error"]


async def test_with_a_key_the_playlist_needs_it_and_its_parts_do_not(served: Served, film: Film) -> None:
    app = create_app(served.runtime, access=Access(any_host=True), page=page_directory(), key=KEY)
    kept = await keep(served.runtime.blobs, film)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=URL) as http:
        assert (await http.get("/clips", params=kept.params)).status_code == 401
        shown = await http.get("/clips", params=kept.params, headers={"X-API-Key": KEY})
        playlist = read_playlist(shown.content, f"{URL}/clips")
        assert (await http.get(playlist.init)).content == film.init
        assert (await http.head(playlist.init)).status_code == 200
        assert (await http.get(playlist.init.partition("?")[0])).status_code == 403
        assert (await http.post(playlist.init)).status_code == 401
