"""Clients that come one after another, each with a whole Session over libwebrtc; what a process holds after them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import psutil

from livereactor.engine.libwebrtc.engine import LibwebrtcEngine
from livereactor.engine.port import Section, Use
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from tests.tools.client_side import ClientSide

PATIENCE = 20.0
WHITE = 200  # of 255; VP8 changes it by a few


@dataclass(frozen=True)
class Used:
    """What a process holds: resident bytes, threads, descriptors."""

    rss: int
    threads: int
    descriptors: int

    @classmethod
    def by(cls, process: psutil.Process) -> Used:
        return cls(process.memory_info().rss, process.num_threads(), process.num_fds())


class Door(Protocol):
    """How a Session of `models.Remembers` is begun and ended: by a runtime alone, or through a coordinator."""

    async def begin(self, http: httpx2.AsyncClient) -> str:
        """Its id; signalling works."""
        ...

    async def end(self, http: httpx2.AsyncClient, session: str) -> None: ...


class Visitors:
    """Clients of one server, each with a Session of its own."""

    def __init__(self, engine: LibwebrtcEngine, http: httpx2.AsyncClient, door: Door) -> None:
        self._engine, self._http, self._door = engine, http, door
        self._count = 0

    async def visit(self, times: int) -> None:
        """So many whole Sessions."""
        for _ in range(times):
            self._count += 1
            await self._session(f"visitor {self._count}")

    async def _session(self, name: str) -> None:
        sid = await self._door.begin(self._http)
        base = f"/sessions/{sid}/transport/webrtc/connections"
        base += f"/{(await posted(self._http, base))['connection_id']}/sdp_params"
        side = await ClientSide.make(self._engine)
        try:
            await self._connect(side, base)
            frames = await self._watch(side)
            first = await asyncio.wait_for(frames.get(), PATIENCE)
            assert first.pixels.mean() < 40, f"{name} sees the last one's picture"
            assert await self._note(side, name) == "", f"{name} reads the last one's notes"
            async with asyncio.timeout(PATIENCE):
                while (await frames.get()).pixels.mean() < WHITE - 20:
                    pass
            await self._door.end(self._http, sid)
        finally:
            await side.aclose()

    async def _connect(self, side: ClientSide, path: str) -> None:
        offer = await side.offer([Section("video", Use.RECEIVE, "main_video")])
        tracks = [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}]
        client = {"sdk_version": "1", "sdk_type": "test"}
        await posted(self._http, path, {"sdp_offer": offer, "client_info": client, "track_mapping": tracks})
        async with asyncio.timeout(PATIENCE):
            while (answer := await self._http.get(path)).status_code == 202:
                pass
        assert answer.status_code == 200, answer.text
        await side.take_answer(answer.json()["sdp_answer"])
        await side.connected("data", "control")
        await side.until(lambda: "0" in side.tracks)

    async def _watch(self, side: ClientSide) -> asyncio.Queue[Frame]:
        loop, frames = asyncio.get_running_loop(), asyncio.Queue[Frame]()

        def arrived(frame: Frame) -> None:
            loop.call_soon_threadsafe(frames.put_nowait, frame)

        side.tracks["0"].on_frame(arrived)
        self._say(side, m.ResumeTrack("main_video"))
        return frames

    async def _note(self, side: ClientSide, text: str) -> str:
        self._say(side, m.Command("note", {"text": text, "grey": WHITE}, request_id="data_1"))
        while True:
            received = await side.receive("data", PATIENCE)
            message = v1.decode_server("data", received.data, limit=1 << 20)
            if isinstance(message, m.ModelMessage) and message.request_id == "data_1":
                return message.data["before"]

    def _say(self, side: ClientSide, message: m.ClientMessage) -> None:
        wire = v1.encode_client(message)
        assert wire is not None
        side.send(*wire)


async def posted(http: httpx2.AsyncClient, path: str, body: Any = None) -> Any:
    """The answer's body."""
    answer = await http.post(path, json=body or {})
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


async def visited(
    door: Door, http: httpx2.AsyncClient, pids: Sequence[int], *, warm_up: int, sessions: int
) -> list[tuple[Used, Used]]:
    """What each process holds after the warm-up, and after these many more Sessions."""
    engine, processes = LibwebrtcEngine(), [psutil.Process(pid) for pid in pids]
    await engine.start()
    try:
        visitors = Visitors(engine, http, door)
        await visitors.visit(warm_up)
        before = [Used.by(process) for process in processes]
        await visitors.visit(sessions)
        return [(used, await settled(process, used)) for process, used in zip(processes, before, strict=True)]
    finally:
        await engine.aclose()


def is_back(now: Used, before: Used) -> bool:
    """No thread and no descriptor more, but for two that come and go."""
    return now.threads <= before.threads + 2 and now.descriptors <= before.descriptors + 2


async def settled(process: psutil.Process, before: Used) -> Used:
    """What is held once threads and descriptors are as `before`, or after some seconds: sockets close late."""
    for _ in range(100):
        if is_back(Used.by(process), before):
            break
        await asyncio.sleep(0.1)  # the operating system has no event for this
    return Used.by(process)
