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
    from reactor_sdk import FileRef, Reactor, ReactorStatus
except ImportError as error:  # the checkout's own environment has 1.13.0
    raise SystemExit("run this with the interpreter of .venv-client-08") from error


class Old:
    """The surface of 1.13.0 that `operations` uses, over 0.8.0."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._frames: list[Callable[..., Any]] = []
        reactor.set_frame_callback(self._frame)

    def on(self, event: str, handler: Callable[[Any], Any]) -> None:
        self._reactor.on(event, lambda first, *_: handler(first))

    def track(self, name: str) -> Any:
        return SimpleNamespace(on_frame=self._frames.append, name=name)

    def _frame(self, frame: Any, *_: Any) -> None:
        for callback in self._frames:
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

    def close(self) -> None:
        return


def make(url: str, *, model: str = "conformance", api_key: str | None = None) -> Old:
    """A client for the coordinator at `url`; its local mode knows one port only."""
    return Old(Reactor(model, api_key=api_key, api_url=url))


def make_ref(upload_id: str) -> Any:
    """A reference to an upload that this client did not make."""
    return FileRef(upload_id=upload_id, name="no.png", mime_type="image/png", size=10)


if __name__ == "__main__":
    asyncio.run(serve(make, make_ref))
