"""Clients: they open sessions, watch, steer, upload, keep clips and leave, each in its own way, and note it all."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx2

from bench.chaos.ledger import Ledger, Seen
from bench.chaos.promises import clip_bytes
from bench.chaos.stack import URL
from livereactor import Reactor
from livereactor.client.errors import ReactorError, RecordingError
from livereactor.probes.watching import read_barcode
from tests.tools.processes import REPOSITORY

MODELS: Final = ("numbered", "goes-on")
# Seconds after which a call hangs: what bounds it, and what a machine full of processes adds to that.
PATIENCE: Final = 60.0  # to connect; twenty for each of two commands; five to leave
UPLOADS: Final = 150.0  # forty of standing still, as many for the last try (`client.files.resuming`), thirty for `keep`
CLIPS: Final = 150.0  # ten for the question, thirty to be there, thirty for each silence of a server
UPLOAD: Final = 200_000  # bytes


class Visitor:
    """One client after another, until told to stop."""

    def __init__(self, number: int, key: str, ledger: Ledger, seed: int) -> None:
        self._key, self._ledger = key, ledger
        self._dice = random.Random(f"{seed} visitor {number}")

    async def run(self, until: float) -> None:
        """Until then (monotonic)."""
        kinds: tuple[Callable[[], Awaitable[None]], ...] = (self._watch, self._watch, self._vanish, self._queue)
        while time.monotonic() < until:
            await self._dice.choice(kinds)()
            await asyncio.sleep(self._dice.uniform(0.0, 2.0))

    async def _vanish(self) -> None:
        """Come, look, and be gone without a word: by SIGKILL."""
        model = self._dice.choice(MODELS)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.chaos.vanishing", model, str(PATIENCE)),
            cwd=REPOSITORY,
            env={**os.environ, "LIVEREACTOR_API_KEY": self._key},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        seen: Seen | None = None
        try:
            async with asyncio.timeout(2 * PATIENCE):
                said = (await process.stdout.readline()).decode().strip() or "!nothing"
            if said.startswith("!"):
                self._ledger.tally[f"vanish: {said[1:]}"] += 1
                return
            seen = self._ledger.see(said, model, time.time())
            await asyncio.sleep(self._dice.uniform(2.0, 8.0))
            self._ledger.tally["vanished"] += 1
        except TimeoutError:
            self._ledger.wrong.append(f"connect() of a client of its own took more than {2 * PATIENCE:.0f} s")
        finally:
            if seen is not None:
                seen.ends, seen.vanished = time.time(), True
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _watch(self) -> None:
        """Stay for a while, steer, upload, keep a clip, and say goodbye."""
        model = self._dice.choice(MODELS)
        reactor = Reactor(
            model, self._key, api_url=URL, auto_reconnect=True, connect_timeout=PATIENCE, log_level="error"
        )
        had: list[Seen] = []  # one, or several where its worker was lost and it was given another session
        try:
            if await self._come(reactor, model, had):
                await self._stay(reactor, had[-1])
        finally:
            for seen in had:
                seen.ends = time.time()
            await self._leave(reactor)
            reactor.close()

    async def _come(self, reactor: Reactor, model: str, had: list[Seen]) -> bool:
        def status(_: object) -> None:
            if reactor.session_id is not None and reactor.session_id not in {each.session for each in had}:
                had.append(self._ledger.see(reactor.session_id, model, time.time()))

        reactor.on("status_changed", status)
        try:
            async with asyncio.timeout(PATIENCE + 10.0):  # it has a bound itself
                await reactor.connect()
        except ReactorError as error:
            self._ledger.tally[f"connect: {error.code}"] += 1
            return False
        except TimeoutError:
            self._ledger.wrong.append(f"connect(): no answer and no error in {PATIENCE + 10.0:.0f} s")
            return False
        self._ledger.tally["connected"] += 1
        return bool(had)

    async def _stay(self, reactor: Reactor, seen: Seen) -> None:
        @reactor.track("main_video").on_frame
        def frame(pixels: Any, *_: object) -> None:
            code = read_barcode(pixels)
            if code is not None:
                seen.frames.append((time.time(), code.counter))

        leave = time.monotonic() + self._dice.uniform(4.0, 20.0)
        while time.monotonic() < leave:
            await self._attempt("command", self._steer(reactor), PATIENCE)
            if self._dice.random() < 0.2:
                await self._attempt("upload", self._upload(reactor), UPLOADS)
            if self._dice.random() < 0.2:
                kept: list[str] = []
                await self._attempt("clip", self._keep(reactor, kept), CLIPS)
                for url in kept:
                    await self._read(url, seen)
            await asyncio.sleep(self._dice.uniform(0.5, 2.0))
            if reactor.session_id != seen.session:
                return

    async def _attempt(self, what: str, doing: Awaitable[None], within: float) -> None:
        """Under fault it may fail, in time and with a code of ours."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(within):
                await doing
            self._ledger.tally[what] += 1
        except (ReactorError, RecordingError) as error:
            self._ledger.tally[f"{what}: {error.code}"] += 1
        except TimeoutError:
            self._ledger.wrong.append(f"{what}: no answer and no error in {time.monotonic() - began:.0f} s")

    async def _steer(self, reactor: Reactor) -> None:
        text = f"{self._dice.random()}"
        first = await reactor.send_command("note", {"text": text}, timeout=20.0)
        again = await reactor.send_command("note", {"text": text}, timeout=20.0)
        # A worker that was lost in between has forgotten it.
        if first and again and again["data"]["before"] not in (text, ""):
            self._ledger.wrong.append(f"a session has somebody else's note: {again['data']['before']!r}")

    async def _upload(self, reactor: Reactor) -> None:
        data = self._dice.randbytes(UPLOAD)
        file = await reactor.upload_file(data, name="noise.bin", mime_type="application/octet-stream")
        reply = await reactor.send_command("keep", {"image": file}, timeout=30.0)
        if reply and reply["data"]["size"] != UPLOAD:
            self._ledger.wrong.append(f"an upload of {UPLOAD} bytes has {reply['data']['size']} at the model")

    async def _keep(self, reactor: Reactor, kept: list[str]) -> None:
        clip = await reactor.request_clip(3)
        await reactor.download_clip(clip, ready_timeout=30.0)
        kept.append(clip.playlist_url)

    async def _read(self, url: str, seen: Seen) -> None:
        """Know what the clip is, to look whether it stays that; this is no call of the client's."""
        try:
            headers = {"Authorization": f"Bearer {self._key}"}
            async with asyncio.timeout(PATIENCE), httpx2.AsyncClient(timeout=30.0, headers=headers) as http:
                seen.clips[url] = await clip_bytes(http, url)
        except (httpx2.HTTPError, TimeoutError):
            self._ledger.tally["clip: had, and not read again"] += 1  # judged at the end only where it was

    async def _leave(self, reactor: Reactor) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await reactor.disconnect()
        except ReactorError as error:
            self._ledger.tally[f"goodbye: {error.code}"] += 1
        except TimeoutError:
            self._ledger.wrong.append(f"disconnect() took more than {PATIENCE:.0f} s")

    async def _queue(self) -> None:
        """Take a place in the queue over plain HTTP, ask a few times, and never come."""
        model = self._dice.choice(MODELS)
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": f"{self._dice.getrandbits(64)}"}
        async with httpx2.AsyncClient(base_url=URL, headers=headers, timeout=30.0) as http:
            session = None
            for _ in range(6):  # as a client does: the same request, under the same key
                try:
                    answer = await http.post("/sessions", json={"model": {"name": model}})
                except httpx2.TransportError:
                    self._ledger.tally["create: hung up"] += 1
                else:
                    self._ledger.tally[f"create: {answer.status_code}"] += 1
                    by_us = answer.headers.get("content-type", "").startswith("application/")  # a proxy's is HTML
                    if answer.status_code == 503 and by_us and "retry-after" not in answer.headers:
                        self._ledger.wrong.append(f"503 without Retry-After: {answer.text[:200]}")
                    if answer.status_code == 201:
                        session = answer.json()["session_id"]
                        self._ledger.see(session, model, time.time()).ends = time.time()
                        break
                await asyncio.sleep(1.0)
            if session is not None:
                await self._ask(http, session)

    async def _ask(self, http: httpx2.AsyncClient, session: str) -> None:
        for _ in range(self._dice.randrange(3)):
            try:
                answer = await http.get(f"/sessions/{session}", params={"wait": 2})
            except httpx2.TransportError:
                self._ledger.tally["poll: hung up"] += 1
                continue
            self._ledger.tally[f"poll: {answer.status_code}"] += 1
            if answer.status_code == 404:
                self._ledger.wrong.append(f"session {session} is not known: 404")
