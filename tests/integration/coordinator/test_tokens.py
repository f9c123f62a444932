"""Tokens, shares and keys over HTTP, on a real database, as official clients and operators ask for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from livereactor.base.limits import Limits
from livereactor.coordinator.auth.authenticator import Authenticator
from livereactor.coordinator.http.routes import tokens
from livereactor.protocol.tokens import KeyRequest
from livereactor.settings import resolve
from livereactor.store.port import Store
from livereactor.store.records import SessionRecord, SessionState
from livereactor.web.access import Access
from livereactor.web.guard import Guard
from livereactor.web.problems import handle_errors
from livereactor.wiring.data import open_data

ALL = ["view", "control", "record", "upload"]


class Served:
    """The routes over a store in a data folder."""

    def __init__(self, store: Store, auth: Authenticator, http: httpx2.AsyncClient) -> None:
        self.store, self.auth, self.http = store, auth, http

    async def key(self, **asked: Any) -> str:
        return (await self.auth.keys.create(KeyRequest.model_validate({"account": "acme", **asked}))).key

    async def mint(self, key: str, **asked: Any) -> httpx2.Response:
        return await self.http.post("/tokens", json=asked, headers={"Reactor-API-Key": key})

    async def session(self, session: str = "ses_1", account: str = "acme") -> None:
        record = SessionRecord(session, account, "m", SessionState.WAITING, 1, 1)
        await self.store.transact(lambda tx: tx.add_session(record))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    settings = resolve(tmp_path, command_line={"coordinator.data_dir": tmp_path / "data"}, environ={}).settings
    async with open_data(settings, make=True) as data:
        api = FastAPI()
        api.state.authenticator, api.state.options = data.authenticator, data.options
        api.include_router(tokens.routes)
        api.include_router(tokens.key_routes)
        handle_errors(api, otherwise="the page is at /")
        transport = httpx2.ASGITransport(app=Guard(api, Access(any_host=True), Limits()))
        async with httpx2.AsyncClient(transport=transport, base_url="http://live.example") as http:
            yield Served(data.store, data.authenticator, http)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/octet-stream"),  # Python 0.8.0
        (b"null", "application/json"),  # Python 1.13.0
        (b"{}", "application/json"),
        (b"", None),
    ],
)
async def test_an_empty_body_of_any_kind_mints_an_unscoped_token(served: Served, content: bytes, kind: str) -> None:
    headers = {"Reactor-API-Key": await served.key()} | ({"Content-Type": kind} if kind else {})
    answer = await served.http.post("/tokens", content=content, headers=headers)
    assert answer.status_code == 200
    body = answer.json()
    assert body["jwt"].count(".") == 2
    assert abs(body["expires_at"] - time.time() - 21_600) <= 2
    assert "authorization_details" not in body


async def test_a_lifetime_is_granted_clamped_or_refused(served: Served) -> None:
    key, now = await served.key(), time.time()
    assert abs((await served.mint(key, expires_after=60)).json()["expires_at"] - now - 60) <= 2
    assert abs((await served.mint(key, expires_after=99_999)).json()["expires_at"] - now - 21_600) <= 2
    for wrong in (0, -5, 1.5, "60", True):
        answer = await served.mint(key, expires_after=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
        assert "expires_after" in answer.json()["detail"]


async def test_what_official_clients_ask_for_is_granted_and_echoed(served: Served) -> None:
    key = await served.key()
    await served.session("S")
    creating = {"type": "session", "resources": {"models": {"match": ["m"]}}}
    creating["constraints"] = {"max_session_duration_seconds": 600}
    granted = (await served.mint(key, authorization_details=[creating])).json()["authorization_details"]
    assert granted == [{**creating, "constraints": {"max_sessions": 5, "max_session_duration_seconds": 600}}]
    adopting = {"type": "session", "resources": {"models": {"all": True}, "sessions": {"bind": ["S"]}}}
    granted = (await served.mint(key, authorization_details=[adopting])).json()["authorization_details"]
    assert granted == [{**adopting, "constraints": {"max_sessions": 1}}]


async def test_refusals_have_the_status_that_clients_know(served: Served) -> None:
    key, bound = await served.key(), {"models": {"all": True}, "sessions": {"bind": ["theirs"]}}
    await served.session("theirs", account="other")
    assert (await served.http.post("/tokens")).status_code == 401
    assert (await served.mint("rk_" + "A" * 33)).status_code == 401
    assert (await served.mint(key, scope=["admin"])).status_code == 403
    foreign = await served.mint(key, authorization_details=[{"type": "session", "resources": bound}])
    assert (foreign.status_code, foreign.json()["code"]) == (404, "NOT_FOUND")
    broken = await served.http.post("/tokens", content=b"{", headers={"X-API-Key": key})
    assert broken.status_code == 400


async def test_a_wrong_key_tried_too_often_is_told_when_to_try_again(served: Served) -> None:
    for _ in range(30):
        assert (await served.mint("rk_" + "A" * 33)).status_code == 401
    refused = await served.mint("rk_" + "A" * 33)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert (refused.json()["quota_type"], refused.json()["limit"]) == ("wrong_keys", 30)


async def test_a_link_shares_one_session_to_be_watched(served: Served) -> None:
    key = await served.key()
    await served.session()
    answer = await served.http.post("/sessions/ses_1/share", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["url"] == f"http://live.example/#session=ses_1&token={body['jwt']}"
    shown = [(b"authorization", f"Bearer {body['jwt']}".encode())]
    viewer = await served.auth.caller(HTTPConnection({"type": "http", "headers": shown, "client": None}))
    assert (viewer.scopes, viewer.bound) == ({"view"}, {"ses_1"})
    again = await served.http.post(
        "/sessions/ses_1/share", json={"scope": ["control"]}, headers={"Authorization": f"Bearer {body['jwt']}"}
    )
    assert (again.status_code, again.json()["code"]) == (403, "FORBIDDEN")
    assert "lacks the scope `control`; it grants `view`" in again.json()["error"]


async def test_keys_are_made_listed_and_revoked_by_operators_only(served: Served) -> None:
    plain, operator = await served.key(), {"X-API-Key": await served.key(scopes=["admin"], account="ops")}
    assert (await served.http.get("/keys")).status_code == 401
    refused = await served.http.get("/keys", headers={"X-API-Key": plain})
    assert (refused.status_code, "`admin`" in refused.json()["error"]) == (403, True)
    made = await served.http.post("/keys", json={"name": "shop", "account": "shop"}, headers=operator)
    assert made.status_code == 201
    key = made.json()["key"]
    assert (await served.mint(key)).status_code == 200
    listed = (await served.http.get("/keys", headers=operator)).json()["keys"]
    shop = next(each for each in listed if each["name"] == "shop")
    assert (shop["account"], shop["scopes"]) == ("shop", sorted(ALL))
    assert shop["used_at"] >= shop["created_at"]
    assert key not in str(listed)
    assert (await served.http.delete(f"/keys/{shop['id']}", headers=operator)).status_code == 204
    assert (await served.http.delete(f"/keys/{shop['id']}", headers=operator)).status_code == 204
    assert (await served.mint(key)).status_code == 401
    assert (await served.http.delete("/keys/nope", headers=operator)).status_code == 404


async def test_nothing_of_a_whole_flow_stands_in_the_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with structlog.testing.capture_logs() as records:
        key = await served.key()
        token = (await served.mint(key)).json()["jwt"]
        await served.session()
        shown = {"Authorization": f"Bearer {token}"}
        link = (await served.http.post("/sessions/ses_1/share", headers=shown)).json()["jwt"]
        await served.http.post("/sessions/ses_1/share", content=b"{", headers={"Authorization": f"Bearer {token}x"})
        await served.http.get("/keys", headers={"X-API-Key": key})
    said = repr(records) + caplog.text
    assert "request" in said
    assert [secret for secret in (key, token, link) if secret in said] == []


async def test_twenty_mint_at_once(served: Served) -> None:
    key = await served.key()
    answers = await asyncio.gather(*(served.mint(key) for _ in range(20)))
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["jwt"] for each in answers}) == 20
