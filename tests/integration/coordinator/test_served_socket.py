"""The Workers' socket as `livereactor serve` itself sets it up, not as the tests' own coordinator does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from livereactor.protocol import link
from tests.tools.serving import livereactor_serve

SECRET = "a worker secret of the tests, long enough"


class _Listening(ClientConnection):
    """Tells of the pings that it answers."""

    pinged: asyncio.Event

    def process_event(self, event: object) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pinged.set()
        super().process_event(event)  # type: ignore[arg-type]


async def test_it_is_pinged_within_the_lease_and_compresses_nothing(tmp_path: Path) -> None:
    environment = {"LIVEREACTOR_COORDINATOR__WORKER_SECRET": SECRET}
    with livereactor_serve([], log_path=tmp_path / "log", environment=environment) as service:
        url = service.url.replace("http", "ws") + link.PATH
        shown = {"Authorization": f"Bearer {SECRET}"}
        async with connect(url, additional_headers=shown, proxy=None, create_connection=_Listening) as socket:
            assert isinstance(socket, _Listening)
            socket.pinged = asyncio.Event()
            assert socket.response is not None
            assert "Sec-WebSocket-Extensions" not in socket.response.headers
            async with asyncio.timeout(link.LEASE):
                await socket.pinged.wait()
