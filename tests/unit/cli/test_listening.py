"""The socket that a runtime listens on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from livereactor.wiring.process import listen, url_of


async def test_small_answers_are_sent_at_once() -> None:
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken: socket.socket = writer.get_extra_info("socket")
        accepted.set_result(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(connected, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await asyncio.wait_for(accepted, 5.0)
            writer.close()


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "localhost"), ("0.0.0.0", "first-machine"), ("::", "first-machine"), ("::1", "localhost")],
)
def test_the_address_that_is_told_is_one_to_give_to_others(
    monkeypatch: pytest.MonkeyPatch, host: str, name: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "first-machine")
    with listen(host, 0) as listener:
        assert url_of(listener) == f"http://{name}:{listener.getsockname()[1]}"
