"""What HTTP answers when something is wrong, and what it does not wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from livereactor.base.limits import Limits
from livereactor.runtime.http import FOLLOWERS
from livereactor.web import guard as web_guard
from livereactor.web.access import Access
from livereactor.web.guard import Guard
from tests.integration.models import Plain
from tests.integration.rig import serving


async def test_an_unforeseen_error_is_a_problem_with_its_request_id_and_logged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(web_guard.log, "exception", lambda _, **fields: logged.append(fields))
    async with serving(Plain) as served:
        monkeypatch.setattr(served.runtime, "describe", lambda: 1 / 0)
        answer = await served.http.get("/session", headers={"X-Request-Id": "abc-1"})
        assert answer.status_code == 500
        assert answer.json()["code"] == "INTERNAL_ERROR"
        assert "request id abc-1" in answer.json()["error"]
        assert "ZeroDivision" not in answer.text
        assert answer.headers["x-request-id"] == "abc-1"
        assert logged == [{"method": "GET", "path": "/session", "request_id": "abc-1"}]


async def test_clips_are_gone_and_a_wrong_method_names_the_right_ones() -> None:
    async with serving(Plain) as served:
        clips = await served.http.get("/clips", params={"session_id": "x", "start": 0, "end": 1})
        assert (clips.status_code, clips.json()["code"]) == (410, "CLIP_GONE")
        wrong = await served.http.delete("/session")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
        assert "use GET" in wrong.json()["error"]
        wrong = await served.http.delete(served.path("x", "sdp_params"))
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST, PUT")


async def test_readers_of_the_events_are_counted() -> None:
    async with serving(Plain) as served:
        readers = [served.runtime.event_log.follow(0) for _ in range(FOLLOWERS)]
        for reader in readers:
            await anext(reader)
        answer = await served.http.get("/events")
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        for reader in readers:
            await reader.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert served.runtime.event_log.followers == 0


async def test_a_refused_host_is_told_what_opens_the_runtime() -> None:
    async with serving(Plain) as served:
        text = (await served.http.get("/session", headers={"Host": "a.example"})).json()["error"]
        assert "[runtime] origins" in text
        assert "--insecure" in text


async def _reading(_: Any, receive: Any, send: Any) -> None:
    """Read the whole body, then wait for the client to leave."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
    await receive()


async def _asked(pieces: AsyncIterator[dict[str, Any]], *, upload: bool) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    method, path = ("PUT", "/uploads/x") if upload else ("POST", "/start_session")
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"localhost")]}
    await Guard(_reading, Access(), Limits(), body_wait=0.05)(scope, pieces.__anext__, send)
    return sent


async def _one_then_none() -> AsyncIterator[dict[str, Any]]:
    yield {"type": "http.request", "body": b"a", "more_body": True}
    await asyncio.Event().wait()


async def _whole_then_silent(pause: float) -> AsyncIterator[dict[str, Any]]:
    yield {"type": "http.request", "body": b"a", "more_body": False}
    await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=pause)
    yield {"type": "http.disconnect"}


@pytest.mark.parametrize("upload", [True, False])
async def test_a_body_that_stays_away_is_408(upload: bool) -> None:
    sent = await asyncio.wait_for(_asked(_one_then_none(), upload=upload), 5)
    assert sent[0]["status"] == 408
    assert b"0.05 s" in sent[1]["body"]


async def test_a_request_whose_body_came_is_held_for_longer() -> None:
    sent = await asyncio.wait_for(_asked(_whole_then_silent(0.2), upload=False), 5)
    assert [each.get("status") for each in sent] == [200, None]
