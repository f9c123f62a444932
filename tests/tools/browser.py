"""The official JavaScript client in headless Chromium, unmodified: bundled at test time, served on loopback, driven.

`BrowserClients` is the counterpart of `drivers.PythonClients`; its page is `official_page.js`.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from livereactor.probes.watching import ReceivedFrame, summarize
from tests.tools.drivers import Client, ClientError
from tests.tools.processes import REPOSITORY

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
PAGE = "<!doctype html><title>official client</title><body><script src='page.js'></script></body>"


def chromium() -> str:
    """The system's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    raise FileNotFoundError("no chromium; `make setup-test` installs it")


def bundle(directory: Path) -> None:
    """Write the page and its script, with the official client inside, into `directory`."""
    command = [
        str(REPOSITORY / "node_modules/.bin/esbuild"),
        str(REPOSITORY / "tests/tools/official_page.js"),
        "--bundle",
        "--format=iife",
        "--log-level=error",
        '--define:process.env.NODE_ENV="production"',
        f"--outfile={directory / 'page.js'}",
    ]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    (directory / "index.html").write_text(PAGE)


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """A loopback URL for the files in `directory`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)


@asynccontextmanager
async def browser(*flags: str) -> AsyncIterator[Browser]:
    """Headless Chromium, in the network of the calling thread."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=[*FLAGS, *flags], ignore_default_args=["--headless"]
        )
        try:
            yield launched
        finally:
            await launched.close()


class BrowserClient(Client):
    """The official JavaScript client. Its commands have no answer: `command` waits for the message that follows."""

    async def send(self, command: str, /, **data: Any) -> None:
        """Send a command and wait for nothing."""
        await self.ask("send", name=command, data=data)

    async def command(self, command: str, /, **data: Any) -> Any:
        """Send a command and return the next message of the type that answers it."""
        reply = REPLIES[command]
        before = len(await self.ask("wait_messages", type=reply, count=0, timeout=0))
        await self.send(command, **data)
        found = await self.ask("wait_messages", type=reply, count=1, start=before, timeout=10.0)
        if not found:
            raise ClientError({"error": "NoAnswer", "code": None, "message": f"no {reply} after {command}"})
        return found[0]

    async def frames(self, count: int = 1, *, timeout: float = 10.0, track: str = "main_video") -> dict[str, Any]:
        return _summary(await self.ask("wait_seen", count=count, timeout=timeout, track=track))

    async def frames_for(self, seconds: float, *, track: str = "main_video") -> dict[str, Any]:
        return _summary(await self.ask("seen_for", seconds=seconds, track=track))


REPLIES = {
    "echo": "echo_reply",
    "set_prompt": "prompt_changed",
    "set_source": "source_changed",
    "set_pacing": "pacing_changed",
    "set_size": "size_changed",
    "flash": "flashed",
    "set_image": "image_received",
    "webcam_stats": "webcam_stats",
    "get_state": "model_state",
}


class BrowserClients:
    """A page with official JavaScript clients in it."""

    def __init__(self, page: Page, offset_ms: float) -> None:
        self.page = page
        self.warnings: list[str] = []  # what the client tells the developer's console only
        page.on("console", self._note)
        self._offset_ms = offset_ms
        self._numbers = itertools.count(1)

    @classmethod
    @asynccontextmanager
    async def started(cls, directory: Path) -> AsyncIterator[BrowserClients]:
        """Bundle into `directory`, start Chromium and open the page."""
        bundle(directory)
        with serving(directory) as url:
            async with browser() as launched:
                page = await launched.new_page()
                await page.goto(url)
                yield cls(page, await _clock_offset(page))

    async def new(self, url: str, **options: Any) -> BrowserClient:
        client = BrowserClient(self, f"javascript-{next(self._numbers)}")
        await client.ask("new", url=url, offset=self._offset_ms, **options)
        return client

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.warnings.append(message.text)

    async def ask(self, op: str, **args: Any) -> Any:
        request = json.dumps({"op": op, "args": args})
        answer = json.loads(await self.page.evaluate("request => window.ask(request)", request))
        if "failed" in answer:
            raise ClientError(answer["failed"])
        return answer["result"]


async def _clock_offset(page: Page) -> float:
    """What added to the page's clock gives monotonic milliseconds; of 20 tries, the one that took least."""
    best = (float("inf"), 0.0)
    for _ in range(20):
        before = time.monotonic()
        there = await page.evaluate("window.now()")
        after = time.monotonic()
        best = min(best, (after - before, (before + after) / 2 * 1e3 - there))
    return best[1]


def _summary(frames: list[dict[str, Any]]) -> dict[str, Any]:
    return summarize(
        [ReceivedFrame(**{**frame, "middle": tuple(round(value) for value in frame["middle"])}) for frame in frames]
    )
