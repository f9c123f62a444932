"""A stand-alone runtime that was given a key: the page for everybody, the model for whoever shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from livereactor.playground import page_directory
from livereactor.runtime.http import create_app
from livereactor.web.access import Access
from tests.integration.models import Plain
from tests.integration.rig import serving

KEY = "correct horse battery"


@asynccontextmanager
async def locked() -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(Plain) as served:
        app = create_app(served.runtime, access=Access(any_host=True), page=page_directory(), key=KEY)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gpu.example:8080") as http:
            yield http


async def test_the_page_and_health_need_no_key() -> None:
    async with locked() as http:
        for path in ("/", "/js/main.js", "/health"):
            assert (await http.get(path)).status_code == 200


async def test_a_session_needs_it_and_is_refused_in_words_that_browsers_may_read() -> None:
    async with locked() as http:
        refused = await http.post("/start_session")
        assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHORIZED")
        assert "send it as Authorization: Bearer" in refused.json()["error"]
        assert refused.headers["access-control-allow-origin"] == "*"
        for headers in ({"Authorization": f"Bearer {KEY}"}, {"Reactor-API-Key": KEY}, {"X-API-Key": KEY}):
            assert (await http.post("/start_session", headers=headers)).status_code == 200


async def test_a_preflight_carries_no_key_and_is_answered() -> None:
    async with locked() as http:
        answer = await http.options("/start_session", headers={"Origin": "https://studio.example"})
        assert answer.status_code == 204
        assert "Authorization" in answer.headers["access-control-allow-headers"]


async def test_a_file_is_announced_with_the_key_and_sent_without() -> None:
    async with locked() as http:
        shown = {"X-API-Key": KEY}
        session = (await http.post("/start_session", headers=shown)).json()["session_id"]
        asked = {"name": "a.txt", "size": 3, "mime_type": "text/plain"}
        assert (await http.post(f"/sessions/{session}/uploads", json=asked)).status_code == 401
        slot = (await http.post(f"/sessions/{session}/uploads", json=asked, headers=shown)).json()
        sent = await http.put(slot["presigned_url"], content=b"abc", headers={"Content-Type": "text/plain"})
        assert sent.is_success
