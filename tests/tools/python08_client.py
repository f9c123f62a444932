"""The official Python client 0.8.0, driven from outside by the same operations as 1.13.0; a process of its own venv.

It is pure Python over aiortc, speaks JSON on the data channel, and its commands have no replies: a test waits for the
message that follows. `Old` gives it the names that `operations` asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.tools.operations import serve

try:
    from aiortc import VideoStreamTrack
    from av import VideoFrame
    from reactor_sdk import FileRef, Reactor, ReactorStatus
except ImportError as error:  # the checkout's own environment has 1.13.0
    raise SystemExit("run this with the interpreter of .venv-client-08") from error


class Camera(VideoStreamTrack):
    """A camera track whose pictures are pushed; whoever is late sends the newest."""

    def __init__(self) -> None:
        super().__init__()
        self._newest: asyncio.Queue[Any] = asyncio.Queue(1)

    def push_frame(self, pixels: Any, user_data: None = None) -> None:
        """The next picture: uint8, shape (height, width, 3), RGB. This client has no user data."""
        assert user_data is None
        if self._newest.full():
            self._newest.get_nowait()
        self._newest.put_nowait(pixels)

    async def recv(self) -> Any:
        frame = VideoFrame.from_ndarray(await self._newest.get(), format="rgb24")
        frame.pts, frame.time_base = await self.next_timestamp()
        return frame


class OldTrack:
    """A track by name, as 1.13.0 has it."""

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor, self.name = reactor, name
        self._camera = Camera()
        self.push_frame = self._camera.push_frame
        self.callbacks: list[Callable[..., Any]] = []
        self.on_frame = self.callbacks.append

    async def publish(self) -> None:
        await self._reactor.publish_track(self.name, self._camera)

    async def pause(self) -> None:
        await self._reactor.pause_track(self.name)

    async def resume(self) -> None:
        await self._reactor.resume_track(self.name)


class Old:
    """The surface of 1.13.0 that `operations` uses, over 0.8.0."""

    def __init__(self, reactor: Any, clip_jwt: str | None) -> None:
        self._reactor, self._clip_jwt = reactor, clip_jwt
        self._tracks: dict[str, OldTrack] = {}
        reactor.set_frame_callback(self._frame)

    def on(self, event: str, handler: Callable[[Any], Any]) -> None:
        self._reactor.on(event, lambda first, *_: handler(first))

    def track(self, name: str) -> OldTrack:
        return self._tracks.setdefault(name, OldTrack(self._reactor, name))

    def _frame(self, frame: Any, *_: Any) -> None:
        for callback in self.track("main_video").callbacks:
            callback(frame, 0, 0, None)

    @property
    def status(self) -> Any:
        return self._reactor.get_status()

    @property
    def session_id(self) -> str | None:
        return self._reactor.get_session_id()

    @property
    def tracks(self) -> list[Any]:
        found = self._reactor.get_capabilities() or {"tracks": []}  # a dictionary, as it came
        return [SimpleNamespace(**each, paused=None) for each in found["tracks"]]

    async def connect(self, session_id: str | None = None) -> None:
        ready = asyncio.Event()
        self._reactor.on_status(ReactorStatus.READY)(lambda *_: ready.set())
        await self._reactor.connect(session_id=session_id)
        await asyncio.wait_for(ready.wait(), 30.0)  # its `connect` returns before

    async def reconnect(self) -> None:
        await self._reactor.reconnect()

    async def disconnect(self) -> None:
        await self._reactor.disconnect()

    async def send_command(self, name: str, data: Any) -> None:
        await self._reactor.send_command(name, data)

    async def upload_file(self, data: bytes, *, name: str, mime_type: str) -> Any:
        return await self._reactor.upload_file(data, name=name, mime_type=mime_type)

    async def request_clip(self, seconds: float) -> Any:
        return await self._reactor.request_clip(seconds)

    async def request_recording(self) -> Any:
        return await self._reactor.request_recording()

    async def download(self, clip: Any, path: str) -> None:
        await self._reactor.download_clip_as_file(clip, path, jwt=self._clip_jwt)

    def close(self) -> None:
        return


def make(url: str, *, model: str = "conformance", api_key: str | None = None, clip_jwt: str | None = None) -> Old:
    """A client for the coordinator at `url`; its local mode knows one port only. Clips are fetched with `clip_jwt`."""
    return Old(Reactor(model, api_key=api_key, api_url=url), clip_jwt)


def make_ref(upload_id: str) -> Any:
    """A reference to an upload that this client did not make."""
    return FileRef(upload_id=upload_id, name="no.png", mime_type="image/png", size=10)


if __name__ == "__main__":
    asyncio.run(serve(make, make_ref))
