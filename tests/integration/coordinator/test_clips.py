"""Clips through a coordinator: whose they are, without a memory of its own, and parts without a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from livereactor.blobs.folder import FolderBlobs
from livereactor.coordinator.options import CoordinatorOptions, Rates
from livereactor.protocol.playlists import read_playlist
from tests.integration.coordinator.asking import UNLIMITED, bearer, creating, key_of, must_be_problem, until
from tests.integration.coordinator.rig import Served, coordinating, working
from tests.tools.films import Film, make_film, pictures
from tests.tools.kept_clips import Kept, keep, promise

ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}


@pytest.fixture(scope="module")
def film() -> Film:
    return make_film(2)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    options = CoordinatorOptions(quotas=UNLIMITED)
    async with coordinating(options, blobs=FolderBlobs(tmp_path)) as served:
        yield served


async def ask(served: Served, kept: Kept, headers: dict[str, str]) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        return await http.get("/clips", params=kept.params, headers=headers)


async def test_a_clip_is_fetched_with_a_token_and_its_parts_without(served: Served, film: Film) -> None:
    kept = await keep(served.blobs, film, account="acme")
    answer = await ask(served, kept, await bearer(served))
    assert answer.status_code == 200, answer.text
    playlist = read_playlist(answer.content, f"{served.url}/clips")
    async with httpx2.AsyncClient() as http:
        urls = [playlist.init, *(part.url for part in playlist.parts)]
        fetched = b"".join([(await http.get(url)).content for url in urls])
        tolerated = await http.get(urls[1], headers={"Authorization": "Bearer whatever"})
        assert tolerated.content == film.parts[0]
        must_be_problem(await http.get(urls[1].partition("?")[0]), 403, "signature_refused")
        size = await http.head(urls[1])
        assert (size.status_code, size.headers["content-length"]) == (200, str(len(film.parts[0])))
    assert [number for _, number in pictures(fetched)] == list(range(60))


async def test_another_coordinator_on_the_same_blobs_serves_it_as_well(served: Served, film: Film) -> None:
    kept = await keep(served.blobs, film, account="acme")
    playlist = read_playlist((await ask(served, kept, await bearer(served))).content, f"{served.url}/clips")
    async with coordinating(store=served.store, blobs=served.blobs) as other, httpx2.AsyncClient() as http:
        assert (await ask(other, kept, await bearer(other))).status_code == 200
        assert (await http.get(playlist.init.replace(served.url, other.url))).content == film.init


async def test_without_a_token_there_is_none(served: Served, film: Film) -> None:
    await key_of(served, "acme")  # there is a key, so nobody is a guest
    kept = await keep(served.blobs, film, account="acme")
    must_be_problem(await ask(served, kept, {}), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("account", ["acme", ""])
async def test_another_accounts_clip_is_gone_as_one_that_never_was(served: Served, film: Film, account: str) -> None:
    kept = await keep(served.blobs, film, account=account)
    foreign = must_be_problem(await ask(served, kept, await key_of(served, "rival")), 410, "CLIP_GONE")
    never = replace(kept, params=kept.params | {"session_id": kept.folder[-36:][::-1]})
    assert must_be_problem(await ask(served, never, await key_of(served, "rival")), 410, "CLIP_GONE") == foreign


async def test_a_token_that_may_not_record_fetches_none(served: Served, film: Film) -> None:
    kept = await keep(served.blobs, film, account="acme")
    caller = await bearer(served, scope=["view", "control"])
    refused = must_be_problem(await ask(served, kept, caller), 403, "FORBIDDEN")
    assert "lacks the scope `record`" in refused


async def test_an_operator_may_see_every_clip(served: Served, film: Film) -> None:
    kept = await keep(served.blobs, film, account="acme")
    operator = await key_of(served, "ops", scopes=["view", "record", "admin"])
    assert (await ask(served, kept, operator)).status_code == 200


async def test_a_scoped_token_reaches_the_clips_of_its_own_sessions_only(served: Served, film: Film) -> None:
    async with working(served):
        visitor = await bearer(served, authorization_details=creating("pond"), subject="visitor")
        other = await bearer(served, authorization_details=creating("pond"), subject="other")
        created = await served.http.post("/sessions", json={"model": {"name": "pond"}}, headers=visitor)
        session = created.json()["session_id"]
        kept = await keep(served.blobs, film, account="acme", session=session)
        assert (await ask(served, kept, visitor)).status_code == 200
        must_be_problem(await ask(served, kept, other), 410, "CLIP_GONE")
        strange = await keep(served.blobs, film, account="acme", session="ses_reaped")
        must_be_problem(await ask(served, strange, visitor), 410, "CLIP_GONE")
        assert (await ask(served, strange, await bearer(served))).status_code == 200


async def test_who_may_record_by_a_share_link_sees_the_clips_of_that_session_and_of_no_other(
    served: Served, film: Film
) -> None:
    async with working(served):
        session = await served.session()
        link = (await served.http.post(f"/sessions/{session}/share", json={"scope": ["view", "record"]})).json()["jwt"]
        viewer = {"Authorization": f"Bearer {link}"}
        kept = await keep(served.blobs, film, account="acme", session=session)
        assert (await ask(served, kept, viewer)).status_code == 200
        strange = await keep(served.blobs, film, account="acme", session="ses_2")
        must_be_problem(await ask(served, strange, viewer), 410, "CLIP_GONE")


async def test_a_clip_outlives_its_session(served: Served, film: Film) -> None:
    async with working(served):
        session = await served.session()
        kept = await keep(served.blobs, film, account="acme", session=session)
        await served.http.delete(f"/sessions/{session}")
        headers = await bearer(served)
        await until(lambda: _is_closed(served, session))
        assert (await ask(served, kept, headers)).status_code == 200


async def test_a_token_without_the_scope_is_told_which(served: Served, film: Film) -> None:
    kept = await keep(served.blobs, film, account="acme")
    only = await key_of(served, "acme", scopes=["upload"])
    assert "`record`" in must_be_problem(await ask(served, kept, only), 403, "FORBIDDEN")


async def test_a_bad_range_is_refused_and_a_clip_that_nobody_finished_is_gone(served: Served, film: Film) -> None:
    kept, late = (
        await keep(served.blobs, film, account="acme"),
        await promise(served.blobs, account="acme", predicted_ready_us=1),
    )
    backwards = replace(kept, params=kept.params | {"start": 3, "end": 1})
    must_be_problem(await ask(served, backwards, await bearer(served)), 400, "BAD_REQUEST")
    must_be_problem(await ask(served, late, await bearer(served)), 410, "CLIP_GONE")


async def test_signed_parts_are_no_requests_without_a_token(film: Film) -> None:
    options = CoordinatorOptions(quotas=UNLIMITED, rates=Rates(anonymous=3, creating=0))
    async with coordinating(options) as served, httpx2.AsyncClient() as http:
        kept = await keep(served.blobs, film, account="acme")
        init = read_playlist((await ask(served, kept, await bearer(served))).content, f"{served.url}/clips").init
        for _ in range(10):
            assert (await http.get(init, headers=ELSEWHERE)).status_code == 200
        unsigned = [await http.get(init.partition("?")[0], headers=ELSEWHERE) for _ in range(5)]
        assert unsigned[-1].status_code == 429


async def _is_closed(served: Served, session: str) -> bool:
    return (await served.http.get(f"/sessions/{session}")).json()["state"] == "CLOSED"
