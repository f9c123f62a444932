"""An upload to a server that does not do its part ends with an error in a bounded time, whatever it is that stays out.

The bounds are shortened, so that each is met within a second; what they are, `uploads` and `http` say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import pytest

from livereactor.base.limits import MIB
from livereactor.client.errors import ReactorError
from livereactor.client.files import uploads
from livereactor.client.files.uploads import upload_file
from livereactor.client.http import api as api_module
from livereactor.client.http import client as http_module
from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials
from tests.integration.client.test_resumed_uploads import BODY, http, quiet

SILENCE, STALLED, ALL = 0.2, 0.5, 5.0  # seconds: without a byte, in all tries, and what a slow machine adds to them
SIZE = 16 * MIB  # more than sockets take in whose other end reads nothing

Head: TypeAlias = bytes
Serve: TypeAlias = Callable[[Head, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def short_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "SILENCE", SILENCE)
    monkeypatch.setattr(api_module, "PATIENCE", SILENCE)
    monkeypatch.setattr(uploads, "STALLED", STALLED)


@asynccontextmanager
async def serving(serve: Serve, *, resumes: bool = True) -> AsyncIterator[tuple[Api, Counter[str]]]:
    """A server that gives a slot, and does with every other request what `serve` does; how often each was asked."""
    asked = Counter[str]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            asked[method := head.split(b" ")[0].decode()] += 1
            if method == "POST":
                offset = ["Upload-Offset: 0"] if resumes else []
                writer.write(http("201 Created", BODY.replace(b"40000", str(port).encode()), *offset))
            else:
                await serve(head, reader, writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    api = Api(f"http://127.0.0.1:{port}", local=False, credentials=Credentials(jwt="a-token"))
    try:
        yield api, asked
    finally:
        server.close()
        await api.aclose()


async def failed(api: Api, file: bytes) -> ReactorError:
    async with asyncio.timeout(ALL):
        with pytest.raises(ReactorError, match="upload stopped at") as raised:
            await upload_file(api, "s-1", quiet, file)
    assert raised.value.code == "UPLOAD_FAILED"
    return raised.value


async def body_of(head: Head, reader: asyncio.StreamReader) -> None:
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))


async def never(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and neither reads nor answers."""
    await asyncio.Event().wait()


async def takes(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads all, and does not answer."""
    await body_of(head, reader)
    await never(head, reader, writer)


async def hints(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says again and again that an answer will come."""
    await body_of(head, reader)
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(SILENCE / 4)


async def drips(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers, a byte at a time, without an end."""
    await body_of(head, reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(SILENCE / 4)


@pytest.mark.parametrize("resumes", [True, False], ids=["PATCH", "PUT"])
@pytest.mark.parametrize("serve", [never, takes, hints, drips])
async def test_a_server_that_gives_no_answer_is_given_up(serve: Serve, resumes: bool) -> None:
    async with serving(serve, resumes=resumes) as (api, _):
        assert (await failed(api, bytes(SIZE))).reason == "REQUEST_TIMEOUT"


async def test_one_that_says_for_ever_that_it_is_away_is_given_up() -> None:
    async def away(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await body_of(head, reader)
        writer.write(http("503 Service Unavailable", b"", "Retry-After: 0"))

    async with serving(away) as (api, asked):
        error = await failed(api, bytes(100))
        assert (error.reason, error.status, error.recoverable) == ("SERVER_ERROR", 503, True)
        assert asked["PATCH"] + asked["HEAD"] > 1


async def test_one_that_does_not_say_what_it_has_is_given_up() -> None:
    async def mute(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"HEAD"):
            await never(head, reader, writer)

    async with serving(mute) as (api, asked):
        await failed(api, bytes(100))
        assert asked["HEAD"]


async def test_one_that_forgets_what_it_had_gets_no_tries_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PAUSES", (0.0,) * 4)
    looks = 0

    async def forgets(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal looks
        if head.startswith(b"HEAD"):
            looks += 1
            writer.write(f"HTTP/1.1 200 OK\r\nUpload-Offset: {50 * (looks % 2)}\r\nConnection: close\r\n\r\n".encode())
        else:
            await body_of(head, reader)

    async with serving(forgets) as (api, asked):
        assert (await failed(api, bytes(100))).reason == "NETWORK_ERROR"
        assert asked["HEAD"] == 5  # the first found more than there ever was, which starts the count anew


async def test_one_that_says_it_has_more_than_there_is_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PAUSES", (0.0,))

    async def boasts(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 200 OK\r\nUpload-Offset: 101\r\nConnection: close\r\n\r\n")

    async with serving(boasts) as (api, _):
        assert "the server has 101 of 100 bytes" in (await failed(api, bytes(100))).message


async def test_a_program_that_takes_its_time_to_give_the_next_piece_is_no_silent_server() -> None:
    async def reads(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await body_of(head, reader)
        writer.write(http("204 No Content"))

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(2):
            await asyncio.sleep(SILENCE * 2)
            yield b"x"

    async with serving(reads) as (api, _):
        answer = await api.at_address("PUT", f"{api.url}/a", headers={"Content-Length": "2"}, content=slow())
        assert answer.status == 204
