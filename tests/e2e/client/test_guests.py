"""Clients of this machine without credentials, at a `serve` that has no API keys: each is served, as the page is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import livereactor as lr
from livereactor.client.errors import AuthError
from livereactor.protocol.tokens import KeyRequest
from tests.e2e.cli.command import PATIENCE, Serving, ended, serving, written
from tests.tools.processes import free_port, request
from tests.tools.serving import made_key

pytestmark = pytest.mark.asyncio(loop_scope="module")
CREDENTIALS = ("API_KEY", "JWT", "API_URL", "LOCAL", "DATA_DIR")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guests")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_door(folder: Path) -> AsyncIterator[Serving]:
    model = written(folder, "")
    arguments = ("serve", model, "--host", "127.0.0.1", "--port", str(free_port()), "--data-dir", folder / "data")
    async with serving(*arguments) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(f"LIVEREACTOR_{name}", raising=False)
        monkeypatch.delenv(f"REACTOR_{name}", raising=False)


async def test_a_reactor_without_a_key_sees_a_picture(open_door: Serving) -> None:
    async with lr.Reactor("grey", api_url=open_door.url) as reactor:
        picture = await reactor.track("main_video").read(timeout=30.0)
    assert picture.shape == (180, 320, 3)


async def test_a_sync_reactor_without_a_key_sees_a_picture(open_door: Serving) -> None:
    def seen() -> tuple[int, ...]:
        with lr.SyncReactor("grey", api_url=open_door.url) as reactor:
            return reactor.track("main_video").read(timeout=30.0).shape

    assert await asyncio.to_thread(seen) == (180, 320, 3)


async def test_connect_without_a_key_counts_frames(open_door: Serving) -> None:
    done = await ended("connect", "grey", "--url", open_door.url, "--seconds", "1", "--json")
    assert done.code == 0, done.log
    assert json.loads(done.out)["frames"] > 0


async def test_probe_without_a_key_gets_to_the_first_frame(open_door: Serving) -> None:
    done = await ended("probe", open_door.url)
    assert done.code == 0, done.out + done.log
    assert "asking as a guest" in done.out


async def test_bench_without_a_key_measures(open_door: Serving) -> None:
    done = await ended("bench", open_door.url, "--seconds", "1", "--json")
    assert done.code == 0, done.out + done.log


async def test_after_the_first_key_the_servers_own_sentence_says_what_to_do(open_door: Serving, folder: Path) -> None:
    made_key(folder / "data", KeyRequest(account="somebody"))
    async with asyncio.timeout(PATIENCE):
        while (await asyncio.to_thread(request, f"{open_door.url}/sessions"))[0] != 401:  # noqa: ASYNC110  (another process makes the key)
            await asyncio.sleep(0.1)
    with pytest.raises(AuthError, match="this server has API keys, so everyone needs a key or token"):
        async with lr.Reactor("grey", api_url=open_door.url):
            pass
    done = await ended("connect", "grey", "--url", open_door.url)
    assert done.code == 2
    assert done.log.strip().endswith("add --key or --jwt, or --local for a runtime")
    done = await ended("probe", open_door.url)
    assert done.code == 1
    assert "set LIVEREACTOR_API_KEY" in done.out
