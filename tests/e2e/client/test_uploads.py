"""Uploads, seen by our client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from livereactor import Reactor
from livereactor.client.errors import NotReadyError, UnresolvedUploadError, UploadTooLargeError
from livereactor.client.types import FileRef
from tests.e2e.client.conftest import BOTH_DOORS, Make
from tests.tools.process_memory import peak, reset_peak
from tests.tools.processes import Program
from tests.tools.serving import Coordinator
from tests.tools.trying import in_one_of_three

pytestmark = [pytest.mark.asyncio(loop_scope="module"), BOTH_DOORS]
MIB = 1024 * 1024


async def received(reactor: Reactor, ref: FileRef, *, timeout: float = 10.0) -> dict[str, Any]:
    """What the model says of a file that a command names."""
    reply = await reactor.send_command("set_image", {"image": ref}, timeout=timeout)
    assert reply is not None
    return reply["data"]


async def slot(server: Program, session: str | None, size: int) -> dict[str, Any]:
    """A slot that somebody reserves by hand."""
    headers = {"Authorization": f"Bearer {server.key}"} if isinstance(server, Coordinator) else {}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers) as http:
        body = {"name": "late.bin", "size": size, "mime_type": "application/octet-stream"}
        return (await http.post(f"/sessions/{session}/uploads", json=body)).raise_for_status().json()


async def put(url: str, data: bytes) -> int:
    async with httpx2.AsyncClient() as http:
        return (await http.put(url, content=data)).status_code


@pytest.mark.alone
async def test_fifty_mebibytes_arrive_fast_whole_and_in_little_memory(
    make: Make, server: Program, tmp_path: Path
) -> None:
    path, digest, piece = tmp_path / "film.bin", hashlib.sha256(), bytes(range(256)) * 4096
    with path.open("wb") as file:
        for _ in range(50):
            file.write(piece)
            digest.update(piece)
    reactor = make(server)
    await reactor.connect()
    progress: list[tuple[int, int]] = []
    times: list[float] = []
    ref: FileRef | None = None
    # Resident bytes, not `tracemalloc`: its `stop()` crashes or hangs Python 3.11 while threads of libwebrtc call in
    # (https://github.com/python/cpython/issues/128679).
    before = reset_peak(os.getpid())
    for _ in range(2):  # the first one warms the server's disk up
        reset_peak(os.getpid())
        started = time.monotonic()
        ref = await reactor.upload_file(path, on_progress=lambda sent, total: progress.append((sent, total)))
        times.append(time.monotonic() - started)
    highest = peak(os.getpid())
    assert ref is not None
    assert (ref.name, ref.size) == ("film.bin", 50 * MIB)
    assert min(times) <= 2.0
    assert highest - before < 16 * MIB
    assert progress[-1] == (50 * MIB, 50 * MIB)
    told = await received(reactor, ref)
    assert (told["size"], told["sha256"]) == (50 * MIB, digest.hexdigest())


async def test_a_file_over_the_limit_is_refused_before_a_byte_is_sent(
    make: Make, server: Program, tmp_path: Path
) -> None:
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(101 * MIB)
    reactor = make(server)
    await reactor.connect()
    progress: list[int] = []
    with pytest.raises(UploadTooLargeError) as caught:
        await reactor.upload_file(path, on_progress=lambda sent, total: progress.append(sent))
    assert (caught.value.code, caught.value.recoverable) == ("UPLOAD_TOO_LARGE", False)
    assert "100 MiB" in caught.value.message
    assert not any(progress)
    assert reactor.status == "ready"


async def test_a_slot_takes_its_bytes_once_and_only_all_of_them(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    url = (await slot(server, reactor.session_id, 5))["presigned_url"]
    assert await put(url, b"1234") == 400
    url = (await slot(server, reactor.session_id, 5))["presigned_url"]
    assert await put(url, b"12345") in (200, 204)
    assert await put(url, b"12345") == 409
    parts = httpx2.URL(url)
    unknown = parts.copy_with(path=f"{parts.path.rpartition('/')[0]}/{'0' * 32}")
    assert await put(str(unknown), b"12345") == 404


async def test_a_command_before_its_bytes_runs_once_with_them(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    reserved = await slot(server, reactor.session_id, 5)
    ref = FileRef(reserved["presigned_id"], "late.bin", "application/octet-stream", 5)
    asking = asyncio.ensure_future(received(reactor, ref))
    await asyncio.sleep(2.0)
    assert not asking.done()
    assert await put(reserved["presigned_url"], b"12345") in (200, 204)
    assert (await asking)["sha256"] == hashlib.sha256(b"12345").hexdigest()


async def test_a_ref_of_another_session_is_unresolved(make: Make, server: Program) -> None:
    first = make(server)
    await first.connect()
    ref = await first.upload_file(b"secret", name="a.png")
    assert (await received(first, ref))["filename"] == "a.png"
    await first.disconnect()
    second = make(server)
    await second.connect()
    with pytest.raises(UnresolvedUploadError) as caught:
        await received(second, ref, timeout=15.0)
    assert (caught.value.code, caught.value.recoverable) == ("unresolved_upload", False)


async def test_a_file_that_was_cut_off_goes_on_and_the_model_sees_all_of_it(make: Make, server: Program) -> None:
    reactor, data = make(server), bytes(range(256)) * 4096
    await reactor.connect()
    reserved = await slot(server, reactor.session_id, MIB)
    parts = httpx2.URL(reserved["presigned_url"])
    head = f"PATCH {parts.raw_path.decode()} HTTP/1.1\r\nHost: {parts.netloc.decode()}\r\nUpload-Offset: 0\r\n"
    _, writer = await asyncio.open_connection(parts.host, parts.port)
    writer.write(f"{head}Content-Length: {MIB}\r\n\r\n".encode() + data[: MIB // 2])
    await writer.drain()
    async with httpx2.AsyncClient() as http:
        # The first connection hangs; who asks for the offset takes over what it has brought.
        async with asyncio.timeout(10):
            while (landed := int((await http.head(parts)).headers["upload-offset"])) == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        headers = {"Upload-Offset": str(landed), "Repr-Digest": f"sha-256=:{digest}:"}
        done = await http.patch(parts, content=data[landed:], headers=headers)
    writer.close()
    assert (done.status_code, done.headers["upload-offset"]) == (204, str(MIB))
    ref = FileRef(reserved["presigned_id"], "late.bin", "application/octet-stream", MIB)
    assert (await received(reactor, ref))["sha256"] == hashlib.sha256(data).hexdigest()


async def test_a_name_is_no_path_and_an_address_opens_its_own_file_only(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    for name in ("../../../../tmp/evil.png", "/etc/passwd", "a/../../b.png", "..", "C:\\evil.png"):
        assert (await received(reactor, await reactor.upload_file(b"abc", name=name)))["filename"] == name
    one, other = [httpx2.URL((await slot(server, reactor.session_id, 5))["presigned_url"]) for _ in range(2)]
    async with httpx2.AsyncClient() as http:
        for method in ("PUT", "PATCH", "HEAD", "DELETE"):
            for url in (one.copy_with(query=other.query), one.copy_with(query=b"")):
                refused = await http.request(method, url, content=b"12345", headers={"Upload-Offset": "0"})
                assert refused.status_code == 403
            for tricky in ("..%2F..%2Fcontent", "%2e%2e", "%00"):
                url = httpx2.URL(f"{server.url}/uploads/{tricky}?{one.query.decode()}")
                refused = await http.request(method, url, content=b"12345", headers={"Upload-Offset": "0"})
                assert refused.status_code in (400, 404, 405)
    assert await put(str(one), b"12345") in (200, 204), "and nothing of it was touched"


async def test_what_cannot_be_uploaded_raises_at_the_call(make: Make, server: Program, tmp_path: Path) -> None:
    reactor = make(server)
    with pytest.raises(NotReadyError):
        await reactor.upload_file(b"early")
    await reactor.connect()
    with pytest.raises(ValueError, match="empty"):
        await reactor.upload_file(b"")
    with pytest.raises(FileNotFoundError):
        await reactor.upload_file(tmp_path / "missing.png")
    with pytest.raises(TypeError):
        await reactor.upload_file(3)  # pyright: ignore[reportArgumentType]
    assert reactor.status == "ready"


@in_one_of_three
async def test_a_cancelled_upload_stops_and_the_client_goes_on(make: Make, server: Program, tmp_path: Path) -> None:
    path = tmp_path / "film.bin"
    with path.open("wb") as file:
        file.truncate(90 * MIB)
    reactor = make(server)
    await reactor.connect()
    begun = asyncio.Event()
    uploading = asyncio.ensure_future(reactor.upload_file(path, on_progress=lambda sent, total: begun.set()))
    await begun.wait()
    uploading.cancel()
    started = time.monotonic()
    (outcome,) = await asyncio.gather(uploading, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)
    assert time.monotonic() - started <= 1.0
    ref = await reactor.upload_file(b"next", name="b.png")
    assert (await received(reactor, ref))["size"] == 4
