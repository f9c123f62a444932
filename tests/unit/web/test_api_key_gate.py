"""The one key of a stand-alone runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from livereactor.base.errors import QuotaError, UnauthorizedError
from livereactor.playground import page_directory
from livereactor.web.api_key_gate import ApiKeyGate
from livereactor.web.rates import ALLOWED

KEY = "correct horse battery"


class App:
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1


class Gate:
    """An `ApiKeyGate` before an app."""

    def __init__(self, page: Path | None = None) -> None:
        self.app = App()
        self.gate = ApiKeyGate(self.app, KEY, page)

    async def ask(self, method: str, path: str, *, peer: str = "192.0.2.1", **headers: str) -> bool:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        before = self.app.reached
        await self.gate(
            {"type": "http", "method": method, "path": path, "headers": raw, "client": (peer, 1)}, _nothing, _ignored
        )
        return self.app.reached == before + 1


async def _nothing() -> Message:
    return {}


async def _ignored(message: Message) -> None:
    return None


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"reactor_api_key": KEY},
        {"x_api_key": KEY},
        {"authorization": "Bearer local", "x_api_key": KEY},
    ],
)
async def test_whoever_shows_the_key_comes_in(headers: dict[str, str]) -> None:
    assert await Gate().ask("POST", "/start_session", **headers)


@pytest.mark.parametrize("path", ["/start_session", "/session", "/schema", "/metrics", "/events", "/js", "/x", "//"])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer local"}, {"authorization": "Bearer "}])
async def test_without_the_key_nothing_is_served_and_it_is_said_how_to_show_it(
    path: str, headers: dict[str, str]
) -> None:
    with pytest.raises(UnauthorizedError, match=r"send it as Authorization: Bearer, .*#key="):
        await Gate(page_directory()).ask("GET", path, **headers)


async def test_page_files_and_health_are_anybodys() -> None:
    gate = Gate(page_directory())
    for path in ("/", "/health", "/index.html", "/js/main.js", "/icon.svg"):
        assert await gate.ask("GET", path)
        assert await gate.ask("HEAD", path)
    with pytest.raises(UnauthorizedError):
        await gate.ask("POST", "/")


async def test_a_signed_upload_needs_no_key_but_announcing_one_does() -> None:
    gate = Gate()
    assert await gate.ask("PUT", "/uploads/u1")
    for method, path in (("GET", "/uploads/u1"), ("POST", "/sessions/s/uploads"), ("PUT", "/sessions/s")):
        with pytest.raises(UnauthorizedError):
            await gate.ask(method, path)


async def test_a_signed_part_of_a_clip_needs_no_key_but_its_playlist_does() -> None:
    gate = Gate()
    for method in ("GET", "HEAD"):
        assert await gate.ask(method, "/clips/chunks/a/init.mp4")
    for method, path in (("GET", "/clips"), ("DELETE", "/clips/chunks/a/init.mp4"), ("GET", "/clips/chunksx")):
        with pytest.raises(UnauthorizedError):
            await gate.ask(method, path)


@pytest.mark.parametrize("wrong", [KEY[:-1], KEY + "x", KEY.upper(), "é", "x" * 10_000])
async def test_a_wrong_key_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(UnauthorizedError, match="not the key of this runtime") as refused:
        await Gate().ask("GET", "/session", x_api_key=wrong)
    assert wrong not in refused.value.message
    assert KEY not in refused.value.message


async def guessed(gate: Gate, peer: str) -> Gate:
    """The gate after as many wrong keys from that address as it answers."""
    for _ in range(ALLOWED):
        with pytest.raises(UnauthorizedError):
            await gate.ask("GET", "/session", x_api_key="wrong", peer=peer)
    return gate


async def test_guessing_is_bounded() -> None:
    gate = await guessed(Gate(), "2001:db8::1")
    for key in ("wrong", KEY):  # the right one too, or whoever guesses it would be told
        with pytest.raises(QuotaError):
            await gate.ask("GET", "/session", x_api_key=key, peer="2001:db8::2")
    with pytest.raises(UnauthorizedError):
        await gate.ask("GET", "/session", x_api_key="wrong", peer="2001:db8:0:1::1")


async def test_guessing_stops_nobody_who_came_in_before_from_the_same_address() -> None:
    gate = Gate()
    assert await gate.ask("GET", "/session", x_api_key=KEY, peer="2001:db8::2")
    await guessed(gate, "2001:db8::1")
    assert await gate.ask("GET", "/session", x_api_key=KEY, peer="2001:db8::1")
    with pytest.raises(QuotaError):
        await gate.ask("GET", "/session", x_api_key="wrong", peer="2001:db8::1")
