"""Every route, asked by a stranger where there is a key: what answers is what the page on security lists as public."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from starlette.routing import Route

from livereactor.coordinator.auth import keys
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.runtime import http as runtime_http
from tests.integration.coordinator.rig import coordinating
from tests.integration.models import Plain
from tests.integration.rig import serving
from tests.tools.processes import REPOSITORY

ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


def documented(program: str) -> set[tuple[str, str]]:
    """Methods and paths in the table of the page whose first column is the route of that program."""
    text = (REPOSITORY / "docs/security.md").read_text(encoding="utf-8")
    table = text.split(f"| route of `{program}` |", 1)[1].split("\n\n", 1)[0]
    return {(method, path) for method, path in re.findall(r"`([A-Z]+) (/[^`]*)`", table)}


async def answering(http: httpx2.AsyncClient, routes: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the routes that do not ask a stranger for credentials."""
    found = set[tuple[str, str]]()
    for method, path in routes:
        filled = re.sub(r"\{cid\}", "1001", path)
        filled = re.sub(r"\{[^}]*\}", "x", filled)
        if path == "/events":  # it never ends where it begins
            async with http.stream(method, filled, headers=ELSEWHERE) as answer:
                status = answer.status_code
        else:
            status = (await http.request(method, filled, headers=ELSEWHERE)).status_code
        assert status < 500, (method, path)
        if status != 401:
            found.add((method, path))
    return found


async def test_serve_answers_strangers_what_the_page_lists() -> None:
    async with coordinating() as served, httpx2.AsyncClient(base_url=served.url, timeout=30) as nobody:
        document = (await nobody.get("/openapi.json")).json()
        operations = {
            (method.upper(), path.replace("{key:path}", "{key}")): operation
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        found = await answering(nobody, sorted(operations))
        assert found == documented("serve")
        assert {each for each, operation in operations.items() if operation.get("security") == []} == found


async def test_run_with_a_key_answers_strangers_what_the_page_lists() -> None:
    async with serving(Plain) as served:
        routes = set(_routes_of(served.runtime))
        assert ("POST", "/start_session") in routes
        transport = httpx2.ASGITransport(app=runtime_http.create_app(served.runtime, key="k" * 32))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as nobody:
            assert await answering(nobody, sorted(routes)) == documented("run")


def _routes_of(runtime: Any) -> Iterator[tuple[str, str]]:
    parts = ("session_routes", "signalling_routes", "upload_routes", "clip_routes", "observation_routes")
    for each in parts:
        router: APIRouter = getattr(runtime_http, each)(runtime)
        for route in router.routes:
            assert isinstance(route, Route)
            for method in (route.methods or set()) & METHODS:
                yield method, route.path


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        (CoordinatorOptions(quotas=Quotas(0, 0)), True),
        (CoordinatorOptions(quotas=Quotas(0, 0), guests=True), True),  # there is a key
        (CoordinatorOptions(quotas=Quotas(0, 0), guests=True, guests_from_anywhere=True), False),
    ],
    ids=["nobody", "until a key", "everybody"],
)
async def test_the_document_says_who_may_ask_now(options: CoordinatorOptions, needs: bool) -> None:
    async with coordinating(options) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        document = (await nobody.get("/openapi.json")).json()
        assert ({} not in document["security"]) is needs
        assert ((await nobody.get("/sessions", headers=ELSEWHERE)).status_code == 401) is needs


async def test_the_document_changes_with_the_last_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "COUNTED", 0)  # microseconds for which their number is remembered
    options = CoordinatorOptions(quotas=Quotas(0, 0), guests=True)
    async with coordinating(options) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        before = (await nobody.get("/openapi.json")).json()
        assert {} not in before["security"]
        for key in await served.auth.keys.list():
            await served.auth.keys.revoke(key.id)
        after = (await nobody.get("/openapi.json")).json()
        assert {} in after["security"]
        assert {**after, "security": None} == {**before, "security": None}
