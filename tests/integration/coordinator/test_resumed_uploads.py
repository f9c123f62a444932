"""Uploads that go on where they broke off: `PATCH`, `HEAD` and `DELETE` on the signed URL of a slot."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2
import pytest

from livereactor.blobs.pieces import LEAST
from tests.integration.coordinator.asking import must_be_problem, until
from tests.integration.coordinator.test_uploads import reserve, running, write

DATA = bytes(range(256)) * 1024  # 256 KiB
SIZE, HALF = len(DATA), len(DATA) // 2
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(DATA).digest()).decode()}:"


async def ask(method: str, url: str, content: bytes | AsyncIterator[bytes] = b"", **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient() as nobody:
        return await nobody.request(method, url, content=content, headers=named)


async def reached(url: str) -> int:
    answer = await ask("HEAD", url)
    assert (answer.status_code, answer.headers["upload-length"]) == (200, str(SIZE))
    return int(answer.headers["upload-offset"])


async def cut_off(url: str, data: bytes) -> None:
    """Announce all of the file, send some, and hang up."""
    at = urlsplit(url)
    _, writer = await asyncio.open_connection(at.hostname, at.port)
    head = f"PATCH {at.path}?{at.query} HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Length: {SIZE}\r\n"
    writer.write(head.encode() + b"Upload-Offset: 0\r\n\r\n" + data)
    await writer.drain()
    writer.close()


async def test_the_slot_says_that_it_takes_pieces() -> None:
    async with running() as (served, session, _):
        body = {"name": "a.bin", "size": SIZE, "mime_type": "application/octet-stream"}
        answer = await served.http.post(f"/sessions/{session}/uploads", json=body)
        assert answer.headers["upload-offset"] == "0"
        assert set(answer.json()) == {"presigned_id", "presigned_url", "path"}, "official clients see what they know"


async def test_a_file_that_was_cut_off_goes_on_and_its_worker_is_told_at_its_end_only() -> None:
    async with running() as (served, session, worker):
        url = (await reserve(served, session, size=SIZE))["presigned_url"]
        assert await reached(url) == 0
        await cut_off(url, DATA[:HALF])

        async def is_there() -> bool:
            return await reached(url) == HALF

        await until(is_there)
        assert not any(each.path.endswith("/landed") for each in worker.requests)
        done = await ask("PATCH", url, DATA[HALF:], Upload_Offset=str(HALF), Repr_Digest=DIGEST)
        assert (done.status_code, done.headers["upload-offset"]) == (204, str(SIZE))
        assert worker.requests[-1].path.endswith("/landed")
        assert await reached(url) == SIZE
        assert (await ask("PATCH", url, Upload_Offset=str(SIZE))).status_code == 204, "as its answer may have been lost"
        for again in (
            await ask("PATCH", url, DATA, Upload_Offset="0"),
            await write(url, DATA),
            await ask("DELETE", url),
        ):
            must_be_problem(again, 409, "CONFLICT")


async def test_a_piece_that_begins_elsewhere_is_409() -> None:
    async with running() as (served, session, _):
        url = (await reserve(served, session, size=SIZE))["presigned_url"]
        assert (await ask("PATCH", url, DATA[:HALF], Upload_Offset="0")).status_code == 204
        refused = await ask("PATCH", url, DATA[10:], Upload_Offset="10")
        assert f"{HALF} of {SIZE} bytes have arrived" in must_be_problem(refused, 409, "UPLOAD_OFFSET")
        must_be_problem(await write(url, DATA), 409, "CONFLICT")


async def test_another_file_than_was_told_is_refused_and_leaves_nothing() -> None:
    async with running() as (served, session, worker):
        url = (await reserve(served, session, size=SIZE))["presigned_url"]
        wrong = await ask("PATCH", url, DATA[:-1] + b"?", Upload_Offset="0", Repr_Digest=DIGEST)
        assert "SHA-256" in must_be_problem(wrong, 400, "UPLOAD_CORRUPTED")
        assert await reached(url) == 0
        assert not any(each.path.endswith("/landed") for each in worker.requests)
        assert (await ask("PATCH", url, DATA, Upload_Offset="0", Repr_Digest=DIGEST)).status_code == 204


async def test_what_is_given_up_leaves_nothing() -> None:
    async with running() as (served, session, _):
        url = (await reserve(served, session, size=SIZE))["presigned_url"]
        await ask("PATCH", url, DATA[:HALF], Upload_Offset="0")
        assert (await ask("DELETE", url)).status_code == 204
        assert await reached(url) == 0


@pytest.mark.parametrize(
    "headers", [{}, {"Upload_Offset": "-1"}, {"Upload_Offset": "1e3"}, {"Upload_Offset": "9" * 40}]
)
async def test_an_offset_that_is_none_is_400(headers: dict[str, str]) -> None:
    async with running() as (served, session, _):
        url = (await reserve(served, session, size=SIZE))["presigned_url"]
        must_be_problem(await ask("PATCH", url, DATA, **headers), 400, "BAD_REQUEST")
        assert await reached(url) == 0


async def test_the_bytes_of_a_slot_are_bounded() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(LEAST)

    async with running() as (served, session, _):
        url = (await reserve(served, session, size=SIZE))["presigned_url"]
        must_be_problem(await ask("PATCH", url, DATA + b"x", Upload_Offset="0"), 400, "BAD_REQUEST")
        try:
            must_be_problem(
                await ask("PATCH", url, endless(), Upload_Offset=str(await reached(url))), 400, "BAD_REQUEST"
            )
        except httpx2.NetworkError:  # it hung up on the rest
            pass
        assert await reached(url) < SIZE


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "DELETE"])
async def test_only_the_url_of_a_slot_opens_it(method: str) -> None:
    async with running() as (served, session, _):
        one, other = [await reserve(served, session, size=SIZE) for _ in range(2)]
        query = other["path"].partition("?")[2]
        for path in (f"/uploads/{one['presigned_id']}?{query}", f"/uploads/{one['presigned_id']}"):
            assert (await ask(method, served.url + path, Upload_Offset="0")).status_code == 403
        for unknown in ("nobody", "..%2F..%2Fetc", "%00"):
            answer = await ask(method, f"{served.url}/uploads/{unknown}?{query}", Upload_Offset="0")
            assert answer.status_code in (400, 404)
