"""A page that points its own name at this machine and says what only proxies say: refused by the Host it came with."""

from __future__ import annotations

import pytest

from livereactor.web.access import Access
from tests.integration.models import Plain
from tests.integration.rig import serving


@pytest.mark.parametrize("path", ["/session", "/events", "/metrics", "/schema"])
async def test_a_forwarded_host_does_not_excuse_a_foreign_one(path: str) -> None:
    async with serving(Plain) as served:
        headers = {"Host": "evil.example:8080", "X-Forwarded-Host": "localhost"}
        assert (await served.http.get(path, headers=headers)).status_code == 403


async def test_a_proxy_may_say_a_known_name() -> None:
    async with serving(Plain, access=Access(("https://live.example",))) as served:
        for host in ("127.0.0.1:8080", "live.example"):
            headers = {"Host": host, "X-Forwarded-Host": "live.example"}
            assert (await served.http.get("/session", headers=headers)).status_code == 200
