"""A file over a network that breaks, to a coordinator of ours: it goes on from what landed; what is wrong is told."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest

from livereactor.base.limits import KIB, MIB
from livereactor.blobs.port import BlobKey
from livereactor.client.errors import ReactorError
from livereactor.client.files import uploads
from livereactor.client.files.uploads import upload_file
from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials
from livereactor.client.types import FileRef
from livereactor.protocol import messages as m
from tests.integration.coordinator.rig import Served
from tests.integration.coordinator.test_uploads import running
from tests.tools.memory_blobs import MemoryBlobs

DATA = bytes(range(256)) * 12 * KIB  # 3 MiB


class Network:
    """Between client and server; every connection in `cuts` is cut after so many bytes from the client.

    Attributes:
        sent: bytes of each connection that the client sent.
    """

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._port, self._cuts = port, cuts
        self.sent: list[int] = []
        self.is_down = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.sent)
        self.sent.append(0)
        if self.is_down:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        down = asyncio.create_task(self._pump(there, writer))
        try:
            while chunk := await reader.read(16 * KIB):
                back.write(chunk)
                await back.drain()
                self.sent[number] += len(chunk)
                if len(chunk) == 16 * KIB and self._cuts and self.sent[number] >= self._cuts[0]:
                    self._cuts.pop(0)
                    break
        except OSError:
            pass
        finally:
            down.cancel()
            for each in (writer, back):
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(64 * KIB):
                writer.write(chunk)
                await writer.drain()
        writer.close()


class Given:
    """A Session behind a network."""

    def __init__(self, served: Served, session: str, api: Api, network: Network) -> None:
        self.served, self.session, self.api, self.network = served, session, api, network
        self.told: list[int] = []
        self.moving = asyncio.Event()

    async def upload(self, file: Any = DATA) -> FileRef:
        return await upload_file(self.api, self.session, self._say, file, name="a.bin", on_progress=self._progress)

    async def landed(self) -> bytes:
        (slot,) = await self.served.store.read(lambda tx: tx.uploads(self.session))
        found, at = b"", 0
        while at < len(DATA):
            key = slot.key if at == 0 else f"{slot.key}-{at}"
            found += await self.served.blobs.get(BlobKey(key))
            at = len(found)
        return found

    async def left(self) -> dict[str, bytes]:
        blobs = self.served.blobs
        assert isinstance(blobs, MemoryBlobs)
        return {path: await blobs.get(BlobKey(path)) for path in blobs.paths()}

    def _progress(self, sent: int, total: int) -> None:
        assert total == len(DATA)
        self.told.append(sent)
        self.moving.set()

    async def _say(self, message: m.ClientMessage) -> None:
        """Nobody looks at what is said."""


@asynccontextmanager
async def given(*cuts: int) -> AsyncGenerator[Given]:
    async with running() as (served, session, _):
        network = Network(httpx2.URL(served.url).port or 0, list(cuts))
        server = await asyncio.start_server(network.carry, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            api = Api(f"http://127.0.0.1:{port}", local=False, credentials=Credentials(jwt=await served.token()))
            try:
                yield Given(served, session, api, network)
            finally:
                await api.aclose()


async def test_a_file_goes_on_where_the_network_cut_it_off() -> None:
    async with given(MIB, MIB // 2) as a:
        ref = await a.upload()
        assert await a.landed() == DATA
        assert ref.size == len(DATA)
        assert a.told == sorted(set(a.told)), "what is sent again is not told again"
        assert a.told[-1] == len(DATA)
        again = sum(a.network.sent) - len(DATA)
        assert again < 2 * MIB, "a cut costs what was on its way, not what had landed"


async def test_a_network_that_stays_away_is_a_failed_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PAUSES", (0.0, 0.01, 0.02))
    async with given(MIB) as a:
        uploading = asyncio.create_task(a.upload())
        await a.moving.wait()
        a.network.is_down = True
        with pytest.raises(ReactorError, match=r"upload stopped at \S+ of 3 MiB") as raised:
            await uploading
        assert (raised.value.code, raised.value.reason, raised.value.recoverable) == (
            "UPLOAD_FAILED",
            "NETWORK_ERROR",
            True,
        )


async def test_a_file_that_is_not_what_was_hashed_is_refused_and_nothing_lands() -> None:
    class Changing(io.BytesIO):
        """As a file that somebody writes meanwhile."""

        rounds = 0

        def read(self, size: int | None = -1, /) -> bytes:
            block = super().read(size)
            if self.tell() == len(DATA):
                self.rounds += 1
                return block if self.rounds == 1 else block[:-1] + b"?"
            return block

    async with given() as a:
        with pytest.raises(ReactorError, match="SHA-256") as raised:
            await a.upload(Changing(DATA))
        assert (raised.value.code, raised.value.reason) == ("UPLOAD_FAILED", "UPLOAD_CORRUPTED")
        assert await a.left() == {}
        assert await a.upload(), "the network and the session are well"


async def test_a_cancelled_upload_leaves_nothing_within_a_second() -> None:
    async with given() as a:
        uploading = asyncio.create_task(a.upload())
        await a.moving.wait()
        uploading.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await uploading
        assert time.monotonic() - started < 1.0
        assert await a.left() == {}


async def test_what_the_programs_own_progress_raises_ends_it_with_nothing_left() -> None:
    async with given() as a:

        async def say(message: m.ClientMessage) -> None:
            raise AssertionError("the model must not hear of it")

        def broken(sent: int, total: int) -> None:
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await upload_file(a.api, a.session, say, DATA, on_progress=broken)
        assert await a.left() == {}


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[Api, list[bytes]]]:
    """A server that reads each request whole and answers with the next; and the heads of what it was asked."""
    heads: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        writer.write(left.pop(0).replace(b"40000", str(port).encode()))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    api = Api(f"http://127.0.0.1:{port}", local=False, credentials=Credentials(jwt="a-token"))
    async with server:
        try:
            yield api, heads
        finally:
            await api.aclose()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", "Connection: close", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


BODY = b'{"presigned_id": "up-1", "presigned_url": "http://127.0.0.1:40000/uploads/up-1", "path": "p"}'


async def quiet(_: m.ClientMessage) -> None:
    """Nobody looks at what is said."""


SLOT = http("201 Created", BODY, "Upload-Offset: 0")


@pytest.mark.parametrize("status", ["405 Method Not Allowed", "501 Not Implemented"])
async def test_where_a_proxy_lets_no_patch_through_the_file_is_put(status: str) -> None:
    async with answering(SLOT, http(status), http("204 No Content")) as (api, heads):
        assert (await upload_file(api, "s-1", quiet, b"x" * 100)).upload_id == "up-1"
        assert [head.split(b" ")[0] for head in heads] == [b"POST", b"PATCH", b"PUT"]


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "410 Gone"])
async def test_an_address_that_is_no_longer_good_is_not_tried_again(status: str) -> None:
    async with answering(SLOT, http(status)) as (api, heads):
        with pytest.raises(ReactorError) as raised:
            await upload_file(api, "s-1", quiet, b"x" * 100)
        assert raised.value.code == "UPLOAD_EXPIRED"
        assert len(heads) == 2


async def test_a_lost_answer_is_asked_for_again_without_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PAUSES", (0.0,))
    head = http("200 OK", b"", "Upload-Offset: 100").replace(b"Content-Length: 0\r\n", b"")
    done = http("204 No Content", b"", "Upload-Offset: 100")
    async with answering(SLOT, b"", head, done) as (api, heads):
        await upload_file(api, "s-1", quiet, b"x" * 100)
        assert [each.split(b" ")[0] for each in heads] == [b"POST", b"PATCH", b"HEAD", b"PATCH"]
        assert b"content-length: 0\r\n" in heads[-1].lower()
