"""A site that uses a token which was made for the pages of another one."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.integration.coordinator.rig import Served, coordinating
from tests.tools.browser import browser, serving

SHOP, STUDIO, EVIL = "https://shop.example", "https://studio.example", "https://evil.example"


def _key(served: Served) -> dict[str, str]:
    return {"Reactor-API-Key": served.key}


async def _status(served: Served, token: str, **headers: str) -> tuple[int, str]:
    shown = {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(base_url=served.url) as http:
        answer = await http.get("/sessions", headers=shown)
    return answer.status_code, answer.json().get("code", "")


async def test_a_token_serves_the_pages_that_it_was_made_for_and_no_others() -> None:
    async with coordinating() as served:
        token = await served.token(origins=[SHOP, STUDIO + ":443"])
        for origin in (SHOP, STUDIO):  # browsers leave the default port out
            assert await _status(served, token, Origin=origin) == (200, "")
        for origin in (EVIL, "null", SHOP + ".evil.example", SHOP + ":8443", "http://shop.example", SHOP.upper()):
            assert await _status(served, token, Origin=origin) == (403, "ORIGIN_REFUSED")


async def test_a_token_that_is_bound_serves_no_program_and_an_unbound_one_everybody() -> None:
    async with coordinating() as served:
        token = await served.token(origins=[SHOP])
        assert await _status(served, token) == (403, "ORIGIN_REFUSED")
        # Without an `Origin`, the browser's word for a page of this server counts for this server's own origin only.
        assert await _status(served, token, Sec_Fetch_Site="same-origin") == (403, "ORIGIN_REFUSED")
        anybodys = await served.token()
        assert await _status(served, anybodys) == (200, "")
        assert await _status(served, anybodys, Origin=EVIL) == (200, "")


async def test_a_page_of_the_server_itself_uses_its_own_token() -> None:
    async with coordinating() as served:
        own = served.url
        token = await served.token(origins=[own])
        assert await _status(served, token, Sec_Fetch_Site="same-origin") == (200, "")
        assert await _status(served, token, Sec_Fetch_Site="cross-site") == (403, "ORIGIN_REFUSED")
        assert await _status(served, token, Sec_Fetch_Site="same-origin", Origin=EVIL) == (403, "ORIGIN_REFUSED")


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "shop.example",
        "https://shop.example/",
        "https://Shop.example",
        "https://shop.example/a",
        "https://me@shop.example",
        "ftp://shop.example",
        "https://shöp.example",
        "https://shop.example:0",
    ],
)
async def test_an_origin_that_no_browser_would_send_is_refused_when_the_token_is_made(origin: str) -> None:
    async with coordinating() as served:
        answer = await served.http.post("/tokens", json={"origins": [origin]}, headers=_key(served))
        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
        assert "origins" in answer.json()["detail"]


async def test_at_most_eight_origins_are_named() -> None:
    async with coordinating() as served:
        named = [f"https://{number}.example" for number in range(9)]
        refused = await served.http.post("/tokens", json={"origins": named}, headers=_key(served))
        assert refused.status_code == 400
        await served.token(origins=named[:8])


ASK = """async ([url, token]) => {
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
    return [answer.status, (await answer.json()).code ?? ""];
}"""


async def test_chromium_shows_where_a_page_is_from(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>A shop</title>")
    async with coordinating() as served, browser() as chromium:
        with serving(tmp_path) as shop, serving(tmp_path) as evil:
            bound = await served.token(origins=[shop])
            own = await served.token(origins=[served.url])
            page = await chromium.new_page()
            for at, token, expected in (
                (shop, bound, [200, ""]),
                (evil, bound, [403, "ORIGIN_REFUSED"]),
                (served.url + "/health", own, [200, ""]),  # no `Origin` comes with it
                (served.url + "/health", bound, [403, "ORIGIN_REFUSED"]),
                (shop, own, [403, "ORIGIN_REFUSED"]),
            ):
                await page.goto(at)
                assert await page.evaluate(ASK, [served.url + "/sessions", token]) == expected, at
