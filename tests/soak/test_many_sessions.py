"""Sessions one after another on one process, over libwebrtc: nothing of them is left (behaviour 32.5, C-60, R6)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from livereactor.engine.client_side import ClientSide
from livereactor.engine.libwebrtc import LibwebrtcEngine
from livereactor.engine.port import Section, Use
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from tests.tools.processes import Program, livereactor_run

MODEL = f"{Path(__file__).with_name('models.py')}:Remembers"
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


class Visitors:
    """Clients of one server, each with a Session of its own."""

    def __init__(self, engine: LibwebrtcEngine, http: httpx2.AsyncClient) -> None:
        self._engine, self._http = engine, http
        self._count = 0

    async def visit(self, times: int) -> None:
        """So many whole Sessions."""
        for _ in range(times):
            self._count += 1
            await self._session(f"visitor {self._count}")

    async def _session(self, name: str) -> None:
        sid = (await self._post("/start_session"))["session_id"]
        base = f"/sessions/{sid}/transport/webrtc/connections"
        base += f"/{(await self._post(base))['connection_id']}/sdp_params"
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
            await self._post("/stop_session")
        finally:
            await side.aclose()

    async def _connect(self, side: ClientSide, path: str) -> None:
        offer = await side.offer([Section("video", Use.RECEIVE, "main_video")])
        tracks = [{"mid": "0", "name": "main_video", "kind": "video", "direction": "recvonly"}]
        client = {"sdk_version": "1", "sdk_type": "test"}
        await self._post(path, {"sdp_offer": offer, "client_info": client, "track_mapping": tracks})
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

    async def _post(self, path: str, body: Any = None) -> Any:
        answer = await self._http.post(path, json=body or {})
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


async def settled(process: psutil.Process, before: Used) -> Used:
    """What is held once threads and descriptors are as `before`, or after some seconds: sockets close late."""
    for _ in range(100):
        if is_back(Used.by(process), before):
            break
        await asyncio.sleep(0.1)  # the operating system has no event for this
    return Used.by(process)


def is_back(now: Used, before: Used) -> bool:
    return now.threads <= before.threads + 2 and now.descriptors <= before.descriptors + 2


async def visited(program: Program, *, warm_up: int, sessions: int) -> tuple[Used, Used]:
    """What the server holds after the warm-up, and after these many more Sessions."""
    engine, process = LibwebrtcEngine(), psutil.Process(program.pid)
    await engine.start()
    try:
        async with httpx2.AsyncClient(base_url=program.url, timeout=PATIENCE) as http:
            visitors = Visitors(engine, http)
            await visitors.visit(warm_up)
            before = Used.by(process)
            await visitors.visit(sessions)
            return before, await settled(process, before)
    finally:
        await engine.aclose()


async def test_fifteen_sessions_leave_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    with livereactor_run(MODEL, log_path=tmp_path / "log") as program:
        before, after = await visited(program, warm_up=3, sessions=12)
    assert is_back(after, before), f"{before} before, {after} after"


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_thousand_sessions_leave_nothing(tmp_path: Path) -> None:
    with livereactor_run(MODEL, log_path=tmp_path / "log") as program:
        before, after = await visited(program, warm_up=100, sessions=900)
    assert is_back(after, before), f"{before} before, {after} after"
    assert after.rss < before.rss * 1.05, f"{before} before, {after} after"
