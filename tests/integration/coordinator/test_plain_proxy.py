"""A real nginx that was told nothing but where to pass requests to: who comes through it is nobody of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from livereactor.coordinator.options import CoordinatorOptions
from tests.integration.coordinator.asking import CREATE, UNLIMITED, must_be_problem, until
from tests.integration.coordinator.rig import Served, coordinating
from tests.tools.processes import free_port

HOSTING = CoordinatorOptions(quotas=UNLIMITED, guests=True)  # as `serve` is on 127.0.0.1
_CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        server_name live.example;
        {more}
        location / {{ proxy_pass {url}; }}
    }}
}}
"""


@asynccontextmanager
async def proxied(served: Served, folder: Path, more: str = "") -> AsyncGenerator[httpx2.AsyncClient]:
    """A visitor, who shows no credentials."""
    port, configuration = free_port(), folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, url=served.url, more=more))
    nginx = await asyncio.create_subprocess_exec("nginx", "-c", configuration, "-e", folder / "errors")
    try:
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Host": "live.example"}, timeout=30
        ) as visitor:

            async def answers() -> bool:
                assert nginx.returncode is None, (folder / "errors").read_text()
                try:
                    return (await visitor.get("/health")).status_code == 200
                except httpx2.TransportError:
                    return False

            await until(answers)
            yield visitor
    finally:
        if nginx.returncode is None:
            nginx.terminate()
        await nginx.wait()


async def test_visitors_of_a_site_are_no_guests_of_the_machine(tmp_path: Path) -> None:
    async with coordinating(HOSTING) as served, proxied(served, tmp_path) as visitor:
        await _without_keys(served)
        assert (await visitor.get("/openapi.json")).status_code == 200
        for method, path, body in (("POST", "/sessions", CREATE), ("GET", "/sessions", None), ("POST", "/tokens", {})):
            must_be_problem(await visitor.request(method, path, json=body), 401, "UNAUTHORIZED")
        must_be_problem(await visitor.get("/metrics"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_once_there_is_a_key_no_proxy_makes_guests_of_anybody(tmp_path: Path, version: str) -> None:
    more = f"proxy_http_version {version};"
    async with coordinating(HOSTING) as served, proxied(served, tmp_path, more) as visitor:
        must_be_problem(await visitor.post("/sessions", json=CREATE), 401, "UNAUTHORIZED")
        async with httpx2.AsyncClient(base_url=served.url) as here:
            said = must_be_problem(await here.post("/sessions", json=CREATE), 401, "UNAUTHORIZED")
            assert "this server has API keys" in said


async def _without_keys(served: Served) -> None:
    """The key of the rig's is revoked, and this machine has its guests."""
    for key in await served.auth.keys.list():
        await served.auth.keys.revoke(key.id)
    async with httpx2.AsyncClient(base_url=served.url) as here:

        async def is_guest() -> bool:
            return (await here.get("/sessions")).status_code == 200

        await until(is_guest)
