"""The bench's own viewer: a plain client on the engine's seam, driven by `tests/tools/operations.py`.

It measures what a livereactor server can give to a client that takes a frame as soon as it is decoded. Run as
`python -m bench.viewer`; `drivers.PythonClients.started("bench.viewer")` is the other end.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import httpx2

from livereactor.engine.default import make_engine
from livereactor.engine.port import (
    CandidateFound,
    Channel,
    ChannelAdded,
    ChannelEvent,
    Engine,
    MessageReceived,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerState,
    Section,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from tests.tools.operations import serve

PING = 5.0  # seconds
USES = {"recvonly": Use.RECEIVE, "sendonly": Use.SEND}


class Status(StrEnum):
    """As the official clients name them."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    WAITING = "waiting"
    READY = "ready"


class CommandFailedError(Exception):
    """The server answered a command with an error."""

    def __init__(self, failure: m.Failure) -> None:
        super().__init__(failure.message)
        self.code, self.message = failure.code, failure.message


class Track:
    """A handle on one declared track."""

    def __init__(self, viewer: Viewer, name: str) -> None:
        self._viewer, self.name = viewer, name
        self.kind = self.direction = ""
        self.paused = False
        self.handler: Callable[..., None] | None = None

    def on_frame(self, handler: Callable[..., None]) -> None:
        self.handler = handler

    async def pause(self) -> None:
        self._viewer.say(m.PauseTrack(self.name))
        self.paused = True

    async def resume(self) -> None:
        self._viewer.say(m.ResumeTrack(self.name))
        self.paused = False

    def deliver(self, frame: Frame) -> None:
        """On a thread of the engine."""
        if self.handler is not None:
            self.handler(frame.pixels, frame.number, frame.captured_us, frame.user_data)


class Viewer:
    """One viewer of a local runtime; with a key, of a coordinator."""

    engine: Engine | None = None  # one a process

    def __init__(self, url: str, *, model: str = "conformance", api_key: str | None = None) -> None:
        self._model, self._api_key = model, api_key
        self._http = httpx2.AsyncClient(base_url=url, timeout=60.0)
        self._tracks: dict[str, Track] = {}
        self._handlers: dict[str, Callable[[Any], None]] = {}
        self._channels: dict[str, Channel] = {}
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._state = PeerState.NEW
        self._candidates: asyncio.Queue[CandidateFound] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._peer: Peer | None = None
        self.status = Status.DISCONNECTED
        self.session_id: str | None = None
        self.offered_at: float | None = None  # monotonic seconds

    def on(self, event: str, handler: Callable[[Any], None]) -> None:
        self._handlers[event] = handler

    def track(self, name: str) -> Track:
        return self._tracks.setdefault(name, Track(self, name))

    @property
    def tracks(self) -> list[Track]:
        return [track for track in self._tracks.values() if track.direction]

    async def connect(self, session_id: str | None = None) -> None:
        """Start a session, or join the one that is there; ready when both channels are open."""
        self._become(Status.CONNECTING)
        started = await (self._start_local(session_id) if self._api_key is None else self._start(session_id))
        self.session_id = str(started["session_id"])
        self._become(Status.WAITING)
        await self._join(started["capabilities"]["tracks"])
        self._become(Status.READY)

    async def _start_local(self, session_id: str | None) -> dict[str, Any]:
        answer = await (
            self._http.post("/start_session", json={}) if session_id is None else self._http.get("/session")
        )
        return answer.raise_for_status().json()

    async def _start(self, session_id: str | None) -> dict[str, Any]:
        minted = await self._http.post("/tokens", headers={"Reactor-API-Key": self._api_key or ""})
        self._http.headers["Authorization"] = f"Bearer {minted.raise_for_status().json()['jwt']}"
        if session_id is None:
            created = await self._http.post("/sessions", json={"model": {"name": self._model}})
            session_id = str(created.raise_for_status().json()["session_id"])
        while True:  # the coordinator holds each until there is something to say
            state = (await self._http.get(f"/sessions/{session_id}")).raise_for_status().json()
            if "capabilities" in state:
                return state
            if state["state"] == "CLOSED":
                raise ConnectionError(f"the session ended: {state.get('end_reason')}")

    async def send_command(self, name: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """The reply `{type, data}`, None for an acknowledgement."""
        request_id = f"data_{next(self._numbers)}"
        future = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        self.say(m.Command(name, data, request_id=request_id))
        try:
            return await asyncio.wait_for(future, 10.0)
        finally:
            del self._waiting[request_id]

    async def disconnect(self, recoverable: bool = False) -> None:
        """Leave, and end the session unless it is to be recoverable."""
        if self.status is Status.DISCONNECTED:
            return
        await self.leave()
        if recoverable:
            return
        if self._api_key is None:
            await self._http.post("/stop_session")
        else:
            await self._http.delete(f"/sessions/{self.session_id}")

    async def leave(self) -> None:
        """Close the connection; the session goes on."""
        for task in self._tasks:
            task.cancel()
        if self._peer is not None:
            await self._peer.aclose()
        self._become(Status.DISCONNECTED)

    def close(self) -> None:
        return

    def say(self, message: m.ClientMessage) -> None:
        """Send one message on its channel."""
        frame = v1.encode_client(message)
        assert frame is not None
        label, data = frame
        self._channels[label].send(data, text=False)

    # --- connecting ----------------------------------------------------------------------------------------------

    async def _join(self, declared: list[dict[str, str]]) -> None:
        sections: list[Section] = []
        for track in declared:
            handle = self.track(track["name"])
            handle.kind, handle.direction = track["kind"], track["direction"]
            kind = "video" if track["kind"] == "video" else "audio"
            sections.append(Section(kind, USES[track["direction"]], track["name"]))
        self._names = {str(mid): track["name"] for mid, track in enumerate(declared)}
        self._peer = await (await _engine()).peer(PeerConfig(), self._event)
        offer = await self._peer.offer(sections, ["data", "control"])
        base = f"/sessions/{self.session_id}/transport/webrtc/connections"
        connection = (await self._http.post(base, json={})).raise_for_status().json()["connection_id"]
        mapping = [{"mid": str(mid), **track} for mid, track in enumerate(declared)]
        path = f"{base}/{connection}"
        self.offered_at = time.monotonic()
        (
            await self._http.post(f"{path}/sdp_params", json={"sdp_offer": offer, "track_mapping": mapping})
        ).raise_for_status()
        self._go(self._trickle(path))
        await self._peer.take_answer(await self._answer(path))
        async with asyncio.timeout(15.0):
            while self._state is not PeerState.CONNECTED or len(self._channels) < 2:
                self._changed.clear()
                await self._changed.wait()
        for track in declared:
            if track["direction"] == "recvonly":
                self.say(m.ResumeTrack(track["name"]))
        self._go(self._ping())

    async def _answer(self, path: str) -> str:
        """The answer; a server that does not hold the request is asked again after a pause, as official clients do."""
        for pause in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
            answer = await self._http.get(f"{path}/sdp_params")
            if answer.status_code == 200:
                return str(answer.json()["sdp_answer"])
            await asyncio.sleep(pause)
        raise TimeoutError("no answer to the offer")

    async def _trickle(self, path: str) -> None:
        while True:
            found = (await self._candidates.get()).candidate
            body = {"candidate": found.line, "sdp_mid": found.mid, "sdp_mline_index": found.line_index}
            await self._http.post(
                f"{path}/ice_candidates", json={"candidates": [body] if found.line else [], "is_final": not found.line}
            )

    async def _ping(self) -> None:
        while True:
            self.say(m.Ping())
            await asyncio.sleep(PING)

    def _go(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- events --------------------------------------------------------------------------------------------------

    def _event(self, event: PeerEvent) -> None:
        match event:
            case CandidateFound():
                self._candidates.put_nowait(event)
            case StateChanged(state):
                self._state = state
            case TrackAdded(mid, track) if track.kind == "video":
                track.on_frame(self.track(self._names[mid]).deliver)
            case ChannelAdded(channel):
                self._channels[channel.label] = channel
                channel.listen(lambda happened: self._heard(channel.label, happened))
            case _:
                pass
        self._changed.set()

    def _heard(self, label: str, event: ChannelEvent) -> None:
        if not isinstance(event, MessageReceived):
            return
        match v1.decode_server(label, event.data):
            case m.ModelMessage(type, data, request_id):
                message = {"type": type, "data": dict(data)}
                self._settle(request_id, message)
                self._handlers.get("message", lambda _: None)(message)
            case m.Ack(request_id):
                self._settle(request_id, None)
            case m.Failure() as failure:
                future = self._waiting.get(failure.request_id or "")
                if future is not None and not future.done():
                    future.set_exception(CommandFailedError(failure))
            case _:
                pass

    def _settle(self, request_id: str | None, answer: Any) -> None:
        future = self._waiting.get(request_id or "")
        if future is not None and not future.done():
            future.set_result(answer)

    def _become(self, status: Status) -> None:
        self.status = status
        self._handlers.get("status_changed", lambda _: None)(status)


async def _engine() -> Engine:
    if Viewer.engine is None:
        Viewer.engine = make_engine("libwebrtc")
        await Viewer.engine.start()
    return Viewer.engine


if __name__ == "__main__":
    asyncio.run(serve(lambda url, **options: Viewer(url, **options), lambda upload_id: {"upload_id": upload_id}))
