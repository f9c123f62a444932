"""A stand-in for a server that keeps recordings: the playlist of a film and its parts, with every fault as data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from livereactor.wiring.process import Server, listen
from tests.tools.films import Film

PATIENCE = 30.0  # seconds for what takes a moment on an idle machine
RECORDING = "f22024ab-78bb-4774-b5fe-1e0c30d8a511"
PLAYLIST = f"/clips?session_id={RECORDING}&start=0.000&end=4.000"


@dataclass
class ClipServer:
    """One clip.

    Attributes:
        pending: how many more times the playlist is not there yet.
        retry_after: what a 202 says of it.
        token: what the playlist asks for; parts ask for nothing.
        parts_at: where the playlist says the parts are; empty = a path.
        edit: what becomes of the playlist before it is sent.
        faults: answers in place of the file of that name, `playlist` among them.
        asked: file and Authorization of each request.
        held: files that are not answered before `release` is set.
    """

    film: Film
    url: str = ""
    pending: int = 0
    retry_after: str = "0.001"
    token: str = ""
    parts_at: str = ""
    edit: Callable[[str], str] = lambda text: text
    faults: dict[str, Response] = field(default_factory=dict[str, Response])
    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    held: set[str] = field(default_factory=set[str])
    release: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def playlist_url(self) -> str:
        return self.url + PLAYLIST

    def files(self) -> list[str]:
        """What was asked for, in order."""
        return [file for file, _ in self.asked]

    async def until_asked(self, *files: str) -> None:
        """Wait until all of these were asked for."""
        async with asyncio.timeout(PATIENCE):
            while not set(files) <= set(self.files()):
                self.changed.clear()
                await self.changed.wait()

    async def answer(self, request: Request) -> Response:
        file = request.url.path.rpartition("/")[2] if "chunks" in request.url.path else "playlist"
        self.asked.append((file, request.headers.get("authorization")))
        self.changed.set()
        if file in self.held:
            await self.release.wait()
        if file in self.faults:
            return self.faults[file]
        return self._playlist(request) if file == "playlist" else self._part(file)

    def _playlist(self, request: Request) -> Response:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return Response(status_code=401)
        if self.pending:
            self.pending -= 1
            return Response(status_code=202, headers={"Retry-After": self.retry_after})
        return Response(self.edit(self.playlist()), media_type="application/vnd.apple.mpegurl")

    def playlist(self) -> str:
        """As the official runtime writes it."""
        where = f"{self.parts_at}/clips/chunks/{RECORDING}"
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:1", "#EXT-X-PLAYLIST-TYPE:VOD"]
        lines.append(f'#EXT-X-MAP:URI="{where}/init.mp4"')
        for number in range(len(self.film.parts)):
            lines += ["#EXTINF:1.000,", f"{where}/chunk_{number:05}.m4s"]
        return "\n".join([*lines, "#EXT-X-ENDLIST", ""])

    def _part(self, file: str) -> Response:
        if file == "init.mp4":
            return Response(self.film.init, media_type="video/mp4")
        return Response(self.film.parts[int(file[6:11])], media_type="video/iso.segment")


@asynccontextmanager
async def serving_clip(film: Film) -> AsyncIterator[ClipServer]:
    """A stand-in on a free port of this machine."""
    clips = ClipServer(film)
    app = Starlette(routes=[Route("/{path:path}", clips.answer)])
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    with listen("127.0.0.1", 0) as listener:
        clips.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield clips
        finally:
            clips.release.set()
            server.should_exit = server.force_exit = True
            await serving
