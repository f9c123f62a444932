"""`livereactor keys` and `livereactor token` towards a coordinator that runs elsewhere, over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from livereactor.base.limits import Limits
from livereactor.cli.admin import RemoteError
from livereactor.cli.main import app
from livereactor.coordinator.http.routes import tokens
from livereactor.protocol.tokens import KeyRequest
from livereactor.settings import resolve
from livereactor.web.access import Access
from livereactor.web.guard import Guard
from livereactor.web.problems import handle_errors
from livereactor.wiring.data import open_data
from livereactor.wiring.process import Server, listen


class Elsewhere:
    """A coordinator's key and token routes, served by a thread of this process."""

    def __init__(self, folder: Path) -> None:
        self.url, self.admin, self.plain = "", "", ""
        self._folder, self._ready = folder, threading.Event()
        self._server: Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="elsewhere")

    def __enter__(self) -> Elsewhere:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(10)

    async def _serve(self) -> None:
        settings = resolve(self._folder, command_line={"coordinator.data_dir": self._folder}, environ={}).settings
        async with open_data(settings, make=True) as data:
            made = await data.authenticator.keys.create(KeyRequest(account="ops", scopes=["view", "admin"]))
            self.admin, self.plain = made.key, (await data.authenticator.keys.create(KeyRequest())).key
            api = FastAPI()
            api.state.authenticator, api.state.options = data.authenticator, data.options
            api.include_router(tokens.routes)
            api.include_router(tokens.key_routes)
            handle_errors(api, otherwise="the page is at /")
            guarded: Any = Guard(api, Access(any_host=True), Limits())
            with listen("127.0.0.1", 0) as listener:
                self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                self._server = Server(uvicorn.Config(guarded, log_config=None, access_log=False, lifespan="off"))
                self._ready.set()
                await self._server.serve([listener])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    with capture_logs(), Elsewhere(tmp_path / "elsewhere") as found:  # the thread would log to the command's stdout
        yield found


def said(elsewhere: Elsewhere, *arguments: str, key: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--coordinator", elsewhere.url + "/"], env={"LIVEREACTOR_API_KEY": key})


def test_keys_are_made_listed_and_revoked_elsewhere(elsewhere: Elsewhere) -> None:
    made = json.loads(said(elsewhere, "keys", "create", "--name", "shop", "--json", key=elsewhere.admin).stdout)
    assert made["key"].startswith("rk_")
    listed = said(elsewhere, "keys", "list", "--json", key=elsewhere.admin).stdout.splitlines()
    assert made["id"] in [json.loads(line)["id"] for line in listed]
    assert said(elsewhere, "keys", "revoke", made["id"], key=elsewhere.admin).exit_code == 0
    refused = said(elsewhere, "token", key=made["key"])
    assert isinstance(refused.exception, RemoteError)
    assert (refused.exception.code, made["key"] in refused.exception.message) == ("UNAUTHORIZED", False)


def test_a_token_is_minted_elsewhere_by_the_key_in_the_environment_or_the_option(elsewhere: Elsewhere) -> None:
    answer = json.loads(said(elsewhere, "token", "--scope", "view", "--json", key=elsewhere.plain).stdout)
    assert answer["scope"] == ["view"]
    bound = said(elsewhere, "token", "--origin", "https://shop.example", "--json", key=elsewhere.plain)
    assert json.loads(bound.stdout)["origins"] == ["https://shop.example"]
    token = said(elsewhere, "token", "--key", elsewhere.plain, key="rk_wrong").stdout.strip()
    assert token.count(".") == 2


def test_what_the_coordinator_refuses_is_told_in_its_own_words(elsewhere: Elsewhere) -> None:
    refused = said(elsewhere, "keys", "list", key=elsewhere.plain)
    assert isinstance(refused.exception, RemoteError)
    assert refused.exception.message.startswith("this token lacks the scope `admin`")
    assert "`admin`" in str(said(elsewhere, "token", "--admin", key=elsewhere.plain).exception)
