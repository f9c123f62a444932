"""A file on its way to a Session, over real HTTP: what is announced, what is sent, and what each refusal becomes."""

from __future__ import annotations

import asyncio
import io
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from livereactor.base.limits import MIB
from livereactor.client.errors import ReactorError
from livereactor.client.files.uploads import upload_file
from livereactor.client.http.api import Api
from livereactor.client.http.credentials import Credentials
from livereactor.client.types import FileRef
from livereactor.engine.memory.engine import MemoryEngine
from livereactor.protocol import messages as m
from tests.tools.script import HANGS, Fault, refuses
from tests.tools.scripted_server import ScriptedServer, scripted


class Given:
    """A Session of a server, and what the client said on its channel."""

    def __init__(self, server: ScriptedServer, api: Api, session_id: str) -> None:
        self.server, self.api, self.session_id = server, api, session_id
        self.said: list[m.ClientMessage] = []

    async def upload(self, file: Any, **how: Any) -> FileRef:
        return await upload_file(self.api, self.session_id, self._say, file, **how)

    async def _say(self, message: m.ClientMessage) -> None:
        self.said.append(message)

    @property
    def announced(self) -> dict[str, Any]:
        return self.server.of("U1")[-1].json

    @property
    def written(self) -> bytes:
        return self.server.of("U2")[-1].body


@asynccontextmanager
async def given(**script: Any) -> AsyncIterator[Given]:
    async with scripted(engine=MemoryEngine(), **script) as server:
        api = Api(server.url, local=script.get("style") == "local", credentials=Credentials(jwt="a-token"))
        try:
            yield Given(server, api, "s-1")
        finally:
            await api.aclose()


@pytest.fixture
async def a() -> AsyncIterator[Given]:
    async with given() as made:
        yield made


async def test_a_file_is_announced_written_and_told_of(a: Given, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"png bytes")
    reference = await a.upload(path)
    assert a.announced == {"name": "picture.png", "size": 9, "mime_type": "image/png"}
    assert a.written == b"png bytes"
    assert reference == FileRef(reference.upload_id, "picture.png", "image/png", 9)
    assert reference.upload_id in a.server.uploads
    assert a.said == [m.FileUploaded(m.UploadReference(reference.upload_id, "picture.png", "image/png", 9))]


@pytest.mark.parametrize(
    ("file", "announced"),
    [
        (b"bytes", {"name": "upload", "mime_type": "application/octet-stream"}),
        (bytearray(b"bytes"), {"name": "upload", "mime_type": "application/octet-stream"}),
        (memoryview(b"--bytes--")[2:7], {"name": "upload", "mime_type": "application/octet-stream"}),
        (io.BytesIO(b"bytes"), {"name": "upload", "mime_type": "application/octet-stream"}),
    ],
    ids=["bytes", "bytearray", "memoryview", "file object"],
)
async def test_bytes_of_any_kind_are_a_file(a: Given, file: Any, announced: dict[str, str]) -> None:
    await a.upload(file)
    assert a.announced == {**announced, "size": 5}
    assert a.written == b"bytes"


async def test_name_and_type_can_be_given(a: Given) -> None:
    reference = await a.upload(b"x", name="a.txt")
    assert (reference.name, reference.mime_type) == ("a.txt", "text/plain")
    reference = await a.upload(b"x", name="a.txt", mime_type="text/markdown")
    assert (reference.name, reference.mime_type) == ("a.txt", "text/markdown")


async def test_an_open_file_is_read_from_where_it_stands_and_stays_open(a: Given, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"header,bytes")
    with (tmp_path / "a.bin").open("rb") as file:
        file.seek(7)
        await a.upload(file)
        assert not file.closed
    assert (a.announced["name"], a.written) == ("a.bin", b"bytes")


async def test_a_pipe_is_a_file_too(a: Given) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        await a.upload(pipe)
    assert (a.announced["size"], a.written) == (14, b"through a pipe")


async def test_to_an_official_server_a_file_goes_by_one_put(a: Given) -> None:
    await a.upload(b"x" * MIB)
    assert [each.step for each in a.server.requests] == ["U1", "U2"]
    assert (a.server.of("U2")[0].method, a.written) == ("PUT", b"x" * MIB)


async def test_no_token_goes_with_the_bytes(a: Given) -> None:
    await a.upload(b"x")
    assert a.server.of("U1")[0].headers["authorization"] == "Bearer a-token"
    put = a.server.of("U2")[0].headers
    assert "authorization" not in put
    assert (put["content-length"], put["content-type"]) == ("1", "application/octet-stream")


async def test_a_local_runtime_that_calls_itself_localhost_is_written_to_where_it_is() -> None:
    body = {"presigned_id": "up-1", "presigned_url": "http://localhost:1/uploads/up-1?sig=a%2Fb", "path": "p"}
    async with given(style="local", faults={"U1": Fault(201, body)}) as a:
        assert (await a.upload(b"x")).upload_id == "up-1"
        (put,) = a.server.of("U2")
        assert (put.path, put.query) == ("/uploads/up-1", {"sig": "a/b"})


@pytest.mark.parametrize(
    ("file", "error"),
    [
        (b"", ValueError),
        (io.BytesIO(), ValueError),
        (io.StringIO("text"), TypeError),
        (7, TypeError),
        ("/nowhere/at/all", FileNotFoundError),
        ("/", IsADirectoryError),
    ],
    ids=["no bytes", "an empty file", "a text file", "a number", "no such path", "a folder"],
)
async def test_what_is_no_file_is_an_argument_error_before_anything_is_sent(
    a: Given, file: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await a.upload(file)
    assert a.server.requests == []


@pytest.mark.parametrize(
    ("fault", "code", "recoverable"),
    [
        (refuses(413), "UPLOAD_TOO_LARGE", False),
        (refuses(415), "UPLOAD_TYPE_REFUSED", False),
        (Fault(415, {"error": "no", "code": "UPLOAD_TYPE_REFUSED"}), "UPLOAD_TYPE_REFUSED", False),
        (refuses(500), "UPLOAD_FAILED", True),
        (refuses(404), "NOT_FOUND", False),
        (refuses(401), "UNAUTHORIZED", False),
        (Fault(201, {"presigned_id": "x"}), "DECODE_FAILED", False),
    ],
)
async def test_a_refused_announcement_sends_no_byte(fault: Fault, code: str, recoverable: bool) -> None:
    async with given(faults={"U1": fault}) as a:
        with pytest.raises(ReactorError) as raised:
            await a.upload(b"x" * 100)
        assert (raised.value.code, raised.value.recoverable) == (code, recoverable)
        assert raised.value.operation == "upload_file"
        assert a.server.of("U2") == []
        assert a.said == []


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (refuses(403), "UPLOAD_EXPIRED", "FORBIDDEN"),
        (refuses(404), "UPLOAD_EXPIRED", "NOT_FOUND"),
        (refuses(409), "UPLOAD_FAILED", "CONFLICT"),
        (refuses(400), "UPLOAD_FAILED", "BAD_REQUEST"),
        (refuses(413), "UPLOAD_TOO_LARGE", "UPLOAD_TOO_LARGE"),
        (refuses(503), "UPLOAD_FAILED", "SERVER_ERROR"),
    ],
)
async def test_a_refused_write_tells_the_model_nothing(fault: Fault, code: str, reason: str) -> None:
    async with given(faults={"U2": fault}) as a:
        with pytest.raises(ReactorError) as raised:
            await a.upload(b"x" * MIB)
        assert (raised.value.code, raised.value.reason, raised.value.status) == (code, reason, fault.status)
        assert a.said == []


async def test_a_server_that_goes_away_is_a_failed_upload() -> None:
    body = {"presigned_id": "up-1", "presigned_url": "http://127.0.0.1:9/uploads/up-1", "path": "p"}
    async with given(faults={"U1": Fault(201, body)}) as a:
        with pytest.raises(ReactorError, match="upload stopped at 0 of 1 MiB") as raised:
            await a.upload(b"x" * MIB)
        assert (raised.value.code, raised.value.reason) == ("UPLOAD_FAILED", "NETWORK_ERROR")


async def test_progress_counts_up_and_ends_when_the_server_has_it_all(a: Given) -> None:
    told: list[tuple[int, int]] = []
    await a.upload(b"x" * (MIB + 1), on_progress=lambda sent, total: told.append((sent, total)))
    sent = [each for each, _ in told]
    assert sent == sorted(set(sent))
    assert sent[-1] == MIB + 1
    assert {total for _, total in told} == {MIB + 1}
    assert len(told) > 3


async def test_what_the_programs_own_progress_raises_is_raised_as_it_is(a: Given) -> None:
    def broken(sent: int, total: int) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await a.upload(b"x" * MIB, on_progress=broken)


async def test_a_file_that_cannot_be_read_on_is_no_broken_network(a: Given) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        await a.upload(Broken(b"abc"))


async def test_a_file_that_shrinks_meanwhile_is_a_failed_upload(a: Given, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 4 * MIB)

    def shrink(sent: int, total: int) -> None:
        os.truncate(tmp_path / "a.bin", MIB)

    with pytest.raises(ReactorError, match="changed while it was being sent") as raised:
        await a.upload(tmp_path / "a.bin", on_progress=shrink)
    assert raised.value.code == "UPLOAD_FAILED"


async def test_cancelling_leaves_no_task_and_tells_the_model_nothing() -> None:
    async with given(faults={"U2": HANGS}) as a:
        before = asyncio.all_tasks()
        upload = asyncio.create_task(a.upload(b"x" * MIB))
        await a.server.until(lambda: bool(a.server.of("U2")))
        upload.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await upload
        assert time.monotonic() - started < 1.0
        await a.server.until(lambda: a.server.of("U2")[0].ended_at is not None)
        assert [task for task in asyncio.all_tasks() - before if "upload" in repr(task)] == []
        assert a.said == []


async def memory_of(upload: Callable[[], Any]) -> int:
    """The most bytes that Python held at a time."""
    tracemalloc.start()
    try:
        await upload()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def unheard(_: m.ClientMessage) -> None:
    """Where nobody looks at what is said."""


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_memory_does_not_grow_with_the_file(tmp_path: Path, method: str) -> None:
    (tmp_path / "large.bin").write_bytes(b"")
    os.truncate(tmp_path / "large.bin", 40 * MIB)
    size = 0

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal size
        head = await reader.readuntil(b"\r\n\r\n")
        body = b""
        if head.startswith(b"POST"):
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            url = f"http://127.0.0.1:{port}/uploads/up-1"
            body = f'{{"presigned_id": "up-1", "presigned_url": "{url}", "path": "p"}}'.encode()
        else:
            assert head.startswith(method.encode())
            while size < 40 * MIB:
                size += len(await reader.read(64 * 1024))
        status = b"201 Created" if body else b"200 OK"
        offset = b"" if method == "PUT" else b"Upload-Offset: %d\r\n" % (0 if body else size)
        head = b"HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n" % (status, offset, len(body))
        writer.write(head + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(sink, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    api = Api(f"http://127.0.0.1:{port}", local=False, credentials=Credentials(jwt="a-token"))
    async with server:
        try:
            held = await memory_of(lambda: upload_file(api, "s-1", unheard, tmp_path / "large.bin"))
        finally:
            await api.aclose()
    assert size == 40 * MIB
    assert held < 8 * MIB
