"""Whose word about a client is taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from livereactor.web.access import OF_PROXIES, base_url, is_of_this_machine, is_on_this_machine
from livereactor.web.proxies import BehindProxies

NEAR, CLIENT, FAR = "127.0.0.1", "192.0.2.7", "198.51.100.9"


def seen(
    headers: dict[str, str] | list[tuple[str, str]],
    *,
    peer: str | None = NEAR,
    proxies: tuple[str, ...] = ("127.0.0.1", "::1"),
    kind: str = "http",
) -> HTTPConnection:
    """A request as the app behind the middleware sees it."""
    found: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    async def nothing(*_: Any) -> Message:
        return {}

    given = list(headers.items()) if isinstance(headers, dict) else headers
    scope: Scope = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "path": "/",
        "query_string": b"",
        "server": ("127.0.0.1", 8080),
        "client": None if peer is None else (peer, 40_000),
        "headers": [(b"host", b"127.0.0.1:8080"), *((name.encode(), value.encode()) for name, value in given)],
    }
    asyncio.run(BehindProxies(app, proxies)(scope, nothing, nothing))  # type: ignore[arg-type]
    return HTTPConnection(found[0])


def host_of(request: HTTPConnection) -> str:
    assert request.client is not None
    return request.client.host


def test_a_known_proxy_says_who_asks_and_how_it_is_reached() -> None:
    request = seen({"x-forwarded-for": CLIENT, "x-forwarded-proto": "https", "x-forwarded-host": "live.example:8443"})
    assert host_of(request) == CLIENT
    assert base_url(request) == "https://live.example:8443"
    assert not is_on_this_machine(request)


def test_a_proxy_that_passes_the_host_on_need_not_name_it() -> None:
    assert base_url(seen({"x-forwarded-for": CLIENT, "x-forwarded-proto": "https"})) == "https://127.0.0.1:8080"


def test_nobody_else_is_believed_and_the_log_says_so() -> None:
    headers = {"x-forwarded-for": NEAR, "x-forwarded-proto": "https", "x-forwarded-host": "evil.example"}
    with capture_logs() as logs:
        request = seen(headers, peer=FAR)
    assert host_of(request) == FAR
    assert base_url(request) == "http://127.0.0.1:8080"
    assert [(each["log_level"], each["address"]) for each in logs] == [("warning", FAR)]
    assert f'set proxies = ["127.0.0.1", "::1", "{FAR}"] in [coordinator]' in logs[0]["todo"]


def test_who_claims_to_be_behind_a_proxy_is_never_on_this_machine() -> None:
    assert not is_on_this_machine(seen({"x-forwarded-for": NEAR}))
    assert not is_on_this_machine(seen({"x-forwarded-for": NEAR}, peer=FAR))
    assert is_on_this_machine(seen({}))


@pytest.mark.parametrize("name", OF_PROXIES)
def test_whatever_a_proxy_adds_shows_that_it_is_there(name: str) -> None:
    assert not is_on_this_machine(seen({name: NEAR}, proxies=()))


def test_a_page_of_elsewhere_and_a_name_that_points_here_are_not_of_this_machine() -> None:
    assert is_of_this_machine(seen({"origin": "http://localhost:3000"}))
    rebound = HTTPConnection({**seen({}).scope, "headers": [(b"host", b"rebound.example")]})
    for request in (seen({"origin": "https://evil.example"}), rebound):
        assert is_on_this_machine(request)
        assert not is_of_this_machine(request)


@pytest.mark.parametrize(
    ("told", "client"),
    [
        (f"{FAR}, {CLIENT}", CLIENT),  # the left one is the client's own invention
        (f"{CLIENT}, 10.1.2.3", CLIENT),
        ("10.1.2.3, 10.9.9.9", "10.1.2.3"),
        (f"unknown, {CLIENT}", CLIENT),
        (f"{CLIENT}, unknown", NEAR),
        (f"{CLIENT}:50123", CLIENT),
        ("[2001:db8::7]:50123", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        (f"::ffff:{CLIENT}", CLIENT),
        ("", NEAR),
        (", ".join(["10.1.2.3"] * 100), "10.1.2.3"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_proxy(told: str, client: str) -> None:
    assert host_of(seen({"x-forwarded-for": told}, proxies=(NEAR, "10.0.0.0/8"))) == client


def test_several_headers_are_one_list() -> None:
    headers = [("x-forwarded-for", FAR), ("x-forwarded-for", CLIENT)]
    assert host_of(seen(headers)) == CLIENT


@pytest.mark.parametrize("peer", ["::1", "::ffff:127.0.0.1", "10.0.0.5"])
def test_networks_and_both_families_are_known(peer: str) -> None:
    assert host_of(seen({"x-forwarded-for": CLIENT}, peer=peer, proxies=(NEAR, "::1", "10.0.0.0/24"))) == CLIENT


@pytest.mark.parametrize(
    "headers",
    [{"x-forwarded-proto": "gopher"}, {"x-forwarded-host": "a/../b"}, {"x-forwarded-host": ""}, {}],
)
def test_what_makes_no_url_is_left_out(headers: dict[str, str]) -> None:
    assert base_url(seen(headers)) == "http://127.0.0.1:8080"


def test_a_socket_of_a_worker_has_its_address_too() -> None:
    request = seen({"x-forwarded-for": CLIENT, "x-forwarded-proto": "https"}, kind="websocket")
    assert (host_of(request), request.url.scheme) == (CLIENT, "wss")


def test_a_client_without_address_stays_as_it_is() -> None:
    assert seen({"x-forwarded-for": CLIENT}, peer=None).client is None
