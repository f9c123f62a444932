"""A runtime in this process, over the in-memory engine, and clients of it that speak HTTP and both wire formats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import httpx2

from livereactor.base.limits import Limits
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.engine.port import PeerConfig, Section, Use
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from livereactor.runtime.authoring.model import Model
from livereactor.runtime.http import create_app
from livereactor.runtime.session.service import Runtime, RuntimeOptions
from livereactor.web.access import Access
from livereactor.web.proxies import BehindProxies
from tests.tools.client_side import ClientSide
from tests.tools.memory_blobs import MemoryBlobs

URL = "http://localhost:8080"
PATIENCE = 30.0  # seconds for what takes a moment on an idle machine


class Caller:
    """One client: its transport, its Connection's id and its wire format (`v0` or `v1`)."""

    def __init__(self, served: Served, side: ClientSide, number: int, codec: ModuleType) -> None:
        self.served, self.side, self.number, self.codec = served, side, number, codec
        self._requests = 0
        self._kept: list[m.ServerMessage] = []

    def say(self, message: m.ClientMessage) -> None:
        """Send one message of the wire's own vocabulary."""
        label, frame = self.codec.encode_client(message)
        self.side.send(label, frame.decode() if self.codec.TEXT else frame)

    async def hear(self, label: str = "data", timeout: float = PATIENCE) -> Any:
        """The next message on a channel."""
        received = await self.side.receive(label, timeout)
        assert received.text is self.codec.TEXT
        return self.codec.decode_server(label, received.data, limit=1 << 30)

    async def hear_of(self, *kinds: type[Any], label: str = "data") -> Any:
        """The next message of one of these kinds; others are passed over."""
        while True:
            if isinstance(message := await self.hear(label), kinds):
                return message

    def begin(self, name: str, /, **arguments: Any) -> str:
        """Send a command; its request id."""
        self._requests += 1
        request_id = f"data_{self._requests}"
        self.say(m.Command(name, arguments, request_id=request_id))
        return request_id

    async def outcome(self, request_id: str) -> Any:
        """Ack, reply or Failure of a command; what comes meanwhile is passed over."""
        while True:
            message = await self.hear_of(m.ModelMessage, m.Ack, m.Failure, m.StepResult)
            if message.request_id == request_id:
                return message

    async def command(self, name: str, /, **arguments: Any) -> Any:
        """Send a command and wait for its outcome."""
        return await self.outcome(self.begin(name, **arguments))

    async def told(self) -> str:
        """What the model has seen in this session."""
        return (await self.command("told")).data["text"]

    async def synced(self) -> None:
        """Everything said before has been heard."""
        await self.command("note", text="sync")

    async def gone(self) -> None:
        """Wait until the runtime has closed this peer."""
        await self.side.until(lambda: self.side.state.value == "closed")


class Served:
    """The runtime and its HTTP."""

    def __init__(self, runtime: Runtime, http: httpx2.AsyncClient, engine: MemoryEngine, blobs: MemoryBlobs) -> None:
        self.runtime, self.http, self.engine, self.blobs = runtime, http, engine, blobs

    async def start_session(self, **body: Any) -> str:
        answer = await self.http.post("/start_session", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["session_id"]

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Until it holds, looked at whenever the Session's state moved."""
        await self.runtime.changes.until(condition, timeout)
        assert condition()

    async def state(self, value: str) -> None:
        await self.until(lambda: self.runtime.state.value == value)

    def path(self, sid: str, rest: str) -> str:
        return f"/sessions/{sid}/transport/webrtc/{rest}"

    async def offer_text(
        self, side: ClientSide, channels: Sequence[str], *, receive_only: bool = False
    ) -> dict[str, Any]:
        """The body of an offer, its sections in the order of the capabilities."""
        tracks = (await self.http.get("/session")).json()["capabilities"]["tracks"]
        sections = [
            Section(each["kind"], Use.RECEIVE if each["direction"] == "recvonly" else Use.SEND, each["name"])
            for each in tracks
        ]
        text = await side.offer(sections, channels)
        return {
            "sdp_offer": text,
            "client_info": {"sdk_version": "1", "sdk_type": "test"},
            "track_mapping": [{"mid": str(mid), **each} for mid, each in enumerate(tracks)],
        }

    async def client(
        self,
        sid: str,
        codec: ModuleType = v1,
        *,
        flat: bool = False,
        number: int | None = None,
        channels: Sequence[str] | None = None,
        role: str | None = None,
        sdk: str = "test",
        resume: Sequence[str] = (),
        method: str = "POST",
        chunking: bool = True,
    ) -> Caller:
        """A client whose transport is up and whose channels are open."""
        channels = channels or (("data",) if flat else ("data", "control"))
        side = await ClientSide.make(self.engine, PeerConfig(chunking=chunking))
        if flat:
            number, base = 1001, self.path(sid, "")
        else:
            if number is None:
                made = await self.http.post(self.path(sid, "connections"), json={})
                assert made.status_code == 201, made.text
                number = int(made.json()["connection_id"])
            base = self.path(sid, f"connections/{number}/")
        body = await self.offer_text(side, channels)
        body["client_info"]["sdk_type"] = sdk
        headers = {"Livereactor-Role": role} if role else {}
        posted = await self.http.request(method, base + "sdp_params", json=body, headers=headers)
        assert posted.status_code == 202, posted.text
        answer = await self.http.get(base + "sdp_params")
        assert answer.status_code == 200, answer.text
        await side.take_answer(answer.json()["sdp_answer"])
        await side.connected(*channels)
        caller = Caller(self, side, number, codec)
        for track in resume:
            caller.say(m.ResumeTrack(track))
        return caller


@asynccontextmanager
async def serving(
    model: type[Model],
    *,
    limits: Limits | None = None,
    access: Access | None = None,
    options: dict[str, Any] | None = None,
    loaded: bool = True,
) -> AsyncIterator[Served]:
    """A runtime of `model`, loaded unless a test wants to see it load."""
    engine, blobs = MemoryEngine(), MemoryBlobs()
    made = RuntimeOptions(limits=limits or Limits(exit_timeout=4.0), **(options or {}))
    runtime = Runtime(model, engine=engine, blobs=blobs, options=made)
    app = BehindProxies(create_app(runtime, access=access))
    await runtime.start()
    transport = httpx2.ASGITransport(app=app)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=URL, timeout=30.0) as http:
            served = Served(runtime, http, engine, blobs)
            if loaded:
                await served.state("ready")
            yield served
    finally:
        async with asyncio.timeout(PATIENCE):
            await runtime.aclose()


async def next_session_works(served: Served) -> None:
    """The process still serves: end what runs, start anew, connect, ask, be answered, see a picture."""
    await served.http.post("/stop_session")
    sid = await served.start_session()
    caller = await served.client(sid, resume=["main_video"])
    reply = await caller.command("echo", text="still here")
    assert reply.data == {"text": "still here"}
    pictures = asyncio.Event()
    loop = asyncio.get_running_loop()

    def seen(_: Frame) -> None:
        loop.call_soon_threadsafe(pictures.set)

    caller.side.tracks["0"].on_frame(seen)
    await asyncio.wait_for(pictures.wait(), PATIENCE)
    await served.http.post("/stop_session")
    await caller.gone()
