"""A visitor sends prompts and pictures that the operator's hook refuses, to `run` and to `serve`."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import livereactor as lr
from tests.tools.processes import livereactor_run
from tests.tools.serving import livereactor_serve
from tests.tools.webhooks import Receiver

PATIENCE = 60.0
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
MODEL = """
import os

import numpy as np

import livereactor as lr


class Seen(lr.Message):
    text: str


class Painter(lr.Model):
    main_video = lr.VideoOut(width=64, height=48, fps=30)

    def open(self, session: lr.Session) -> None:
        self.seen = []

    @lr.command(moderate=True)
    def paint(self, prompt: str) -> None:
        self.seen.append(prompt)

    @lr.command(moderate=True)
    def show(self, picture: lr.File) -> None:
        self.seen.append(picture.name)

    @lr.command
    def told(self) -> Seen:
        return Seen(text=" ".join(self.seen))

    @lr.command
    def environment(self) -> Seen:
        return Seen(text=repr(dict(os.environ)))

    def stream(self):
        while True:
            yield np.zeros((48, 64, 3), np.uint8)
"""


class Hook:
    """The operator's service: refuses what says so, and keeps what it was asked; checks each signature."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self.genuine = Receiver(SECRET)

    def answer(self, headers: Any, body: bytes) -> dict[str, Any]:
        assert self.genuine.take(headers, body) == 204, self.genuine.wrong
        asked = json.loads(body)
        self.asked.append(asked)
        said = str([asked["texts"], (asked["file"] or {}).get("name")])
        action = next((each for each in ("terminate", "refuse") if each in said), "allow")
        return {"action": action, "message": "be kind", "categories": ["rude"]}


@contextmanager
def hooked() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps(hook.answer({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, name="hook", daemon=True).start()
        try:
            yield hook
        finally:
            server.shutdown()


@contextmanager
def reactors(program: str, folder: Path, hook: Hook) -> Iterator[Any]:
    """Makes clients of a program that asks the hook."""
    (folder / "painter.py").write_text(MODEL)
    environment = {
        "LIVEREACTOR_MODERATION__URL": hook.url,
        "LIVEREACTOR_MODERATION__SECRETS": json.dumps([SECRET]),
        "LIVEREACTOR_MODERATION__ON_FAILURE": "closed",
    }
    target, log_path = folder / "painter.py", folder / "log"
    if program == "run":
        with livereactor_run(target, log_path=log_path, environment=environment) as found:
            yield lambda: lr.Reactor("painter", local=found.url)
    else:
        with livereactor_serve([target], log_path=log_path, environment=environment) as served:
            served.wait_for_worker()
            yield lambda: lr.Reactor("painter", served.key, api_url=served.url)


@pytest.mark.parametrize("program", ["run", "serve"])
async def test_the_model_sees_only_what_is_allowed(program: str, tmp_path: Path) -> None:
    with hooked() as hook, reactors(program, tmp_path, hook) as make:
        notices: asyncio.Queue[Any] = asyncio.Queue()
        async with asyncio.timeout(PATIENCE), make() as reactor:
            reactor.on("moderation", notices.put_nowait)
            await reactor.send_command("paint", {"prompt": "a koi"})
            with pytest.raises(lr.ReactorError) as refused:
                await reactor.send_command("paint", {"prompt": "refuse this"})
            assert (refused.value.code, "be kind" in str(refused.value)) == ("MODERATED", True)
            notice = await notices.get()
            assert (notice["action"], notice["input_kind"], notice["command"]) == ("warn", "text", "paint")
            good = await reactor.upload_file(b"\x89PNG", name="koi.png", mime_type="image/png")
            await reactor.send_command("show", {"picture": good})
            bad = await reactor.upload_file(b"\x89PNG", name="refuse.png", mime_type="image/png")
            with pytest.raises(lr.ReactorError, match="MODERATED"):
                await reactor.send_command("show", {"picture": bad})
            assert (await reactor.send_command("told"))["data"]["text"] == "a koi koi.png"
            shown = (await reactor.send_command("environment"))["data"]["text"]
            if program == "serve":  # a stand-alone runtime is one process, which asks by itself
                assert SECRET not in shown
                assert hook.url not in shown
            with pytest.raises(lr.ReactorError):
                await reactor.send_command("paint", {"prompt": "terminate this"})
            actions = [(await notices.get())["action"] for _ in range(2)]
            assert actions == ["warn", "terminate"]
        assert [each["file"]["name"] for each in hook.asked if each["file"]] == ["koi.png", "refuse.png"]
        assert {each["model"] for each in hook.asked} == {"painter"}
        assert {each["account"] for each in hook.asked} == {"tests" if program == "serve" else ""}
        # The next visitor is served.
        async with asyncio.timeout(PATIENCE), make() as reactor:
            await reactor.send_command("paint", {"prompt": "a pond"})
