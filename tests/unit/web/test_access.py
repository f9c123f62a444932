"""Hosts and origins as requests spell them, more than one and damaged ones too."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import HTTPConnection

from livereactor.base.limits import Limits
from livereactor.web.access import Access, page_origin
from livereactor.web.guard import Guard

HERE, THERE = (b"host", b"localhost"), (b"host", b"attacker.example")


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "query_string": b"",
        "headers": [*headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def status(*headers: tuple[bytes, bytes]) -> int:
    said: list[Any] = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        said.append(message)

    await Guard(app, Access(), Limits())(scope(*headers), receive, send)
    return said[0]["status"]


@pytest.mark.parametrize("hosts", [(HERE, THERE), (THERE, HERE)])
async def test_every_host_of_a_request_is_judged(hosts: tuple[tuple[bytes, bytes], ...]) -> None:
    assert await status(*hosts) == 403
    assert await status(HERE) == 200
    assert await status(HERE, HERE) == 200


def test_a_host_that_is_no_address_is_of_no_page() -> None:
    asked = HTTPConnection(scope((b"host", b"[::1"), (b"sec-fetch-site", b"same-origin")))
    assert page_origin(asked) is None
