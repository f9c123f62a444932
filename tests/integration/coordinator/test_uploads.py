"""Uploads through a coordinator: a slot with a token, its bytes to a signed URL without one, the Worker told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2

from livereactor.base.limits import Limits
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.records import UploadRecord
from tests.integration.coordinator.asking import UNLIMITED, bearer, key_of, must_be_problem, until
from tests.integration.coordinator.rig import FakeWorker, Served, coordinating, working

KOI = {"name": "koi.jpg", "size": 5, "mime_type": "image/jpeg"}
SMALL = CoordinatorOptions(
    quotas=UNLIMITED, limits=replace(Limits(), upload_bytes=10, upload_session_bytes=12, upload_slots=3)
)


@asynccontextmanager
async def running(
    options: CoordinatorOptions | None = None, **given: Any
) -> AsyncGenerator[tuple[Served, str, FakeWorker]]:
    """A coordinator with a Session that has its Worker."""
    async with coordinating(options) as served, working(served, **given) as worker:
        session = await served.session()
        await served.ready(session)
        yield served, session, worker


async def reserve(served: Served, session: str, **more: Any) -> dict[str, Any]:
    answer = await served.http.post(f"/sessions/{session}/uploads", json=KOI | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def write(url: str, content: bytes | AsyncIterator[bytes] = b"12345") -> httpx2.Response:
    async with httpx2.AsyncClient() as nobody:  # no Authorization: the URL is the credential
        return await nobody.put(url, content=content, headers={"Content-Type": "image/jpeg"})


async def test_a_file_goes_into_the_blobs_and_its_worker_knows_before_the_client() -> None:
    async with running() as (served, session, worker):
        slot = await reserve(served, session)
        announced = worker.requests[-1]
        assert (announced.method, announced.path) == ("POST", f"/sessions/{session}/uploads")
        told = json.loads(announced.body)
        assert (told["upload_id"], told["name"], told["size"]) == (slot["presigned_id"], "koi.jpg", 5)
        assert slot["presigned_url"] == served.url + slot["path"]
        assert (await write(slot["presigned_url"])).status_code == 204
        assert worker.requests[-1].path == f"/sessions/{session}/uploads/{slot['presigned_id']}/landed"
        async with httpx2.AsyncClient(base_url=served.url) as http:
            key = {"Authorization": f"Bearer {served.secrets.worker}"}
            assert (await http.get(f"/internal/blobs/{told['key']}", headers=key)).content == b"12345"


async def test_the_url_is_the_one_that_the_client_sees_us_under() -> None:
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "live.example"}
    async with running() as (served, session, _):
        answer = await served.http.post(f"/sessions/{session}/uploads", json=KOI, headers=proxied)
        assert answer.json()["presigned_url"].startswith("https://live.example/uploads/")


async def test_a_url_writes_once_exactly_what_was_announced_and_nothing_else() -> None:
    async with running() as (served, session, _):
        url = (await reserve(served, session))["presigned_url"]
        for wrong in (b"1234", b"123456", b"", b"x" * 100_000):
            refused = await write(url, wrong)
            assert "announced" in must_be_problem(refused, 400, "BAD_REQUEST")
        assert (await write(url)).status_code == 204
        assert "reserve another slot" in must_be_problem(await write(url), 409, "CONFLICT")


async def test_a_body_without_length_is_held_to_its_size() -> None:
    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x"

    async with running() as (served, session, _):
        url = (await reserve(served, session))["presigned_url"]
        must_be_problem(await write(url, chunks(6)), 400, "BAD_REQUEST")
        assert (await write(url, chunks(5))).status_code == 204


async def test_two_writers_at_once_are_one_writer_and_a_conflict() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"123"
        begun.set()
        await go_on.wait()
        yield b"45"

    async with running() as (served, session, _):
        url = (await reserve(served, session))["presigned_url"]
        first = asyncio.create_task(write(url, slowly()))
        await begun.wait()

        statuses: list[int] = []

        async def is_taken() -> bool:
            statuses.append((await write(url)).status_code)
            return statuses[-1] == 409

        await until(is_taken)
        go_on.set()
        assert [*statuses, (await first).status_code].count(204) == 1


async def test_a_writer_that_breaks_off_leaves_the_slot_to_the_next() -> None:
    async with running() as (served, session, _):
        url = (await reserve(served, session))["presigned_url"]
        host, _, path = url.removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        _, writer = await asyncio.open_connection(name, int(port))
        writer.write(f"PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\n123".encode())
        await writer.drain()
        writer.close()

        async def is_written() -> bool:
            return (await write(url)).status_code == 204

        await until(is_written)


async def test_a_url_that_was_changed_or_is_another_slots_is_refused() -> None:
    async with running() as (served, session, _):
        one, other = await reserve(served, session), await reserve(served, session)
        query = one["presigned_url"].partition("?")[2]
        for url in (
            f"{served.url}/uploads/{other['presigned_id']}?{query}",
            one["presigned_url"].replace("size=5", "size=6"),
            f"{served.url}/uploads/{one['presigned_id']}",
        ):
            must_be_problem(await write(url), 403, "signature_refused")
        missing = await write(f"{served.url}/uploads/nope?{query}")
        assert "reserve a slot" in must_be_problem(missing, 404, "NOT_FOUND")


async def test_a_url_ends_with_its_time() -> None:
    options = CoordinatorOptions(quotas=UNLIMITED, limits=replace(Limits(), upload_url_lifetime=0))
    async with running(options) as (served, session, _):
        url = (await reserve(served, session))["presigned_url"]
        assert "request another" in must_be_problem(await write(url), 410, "UPLOAD_EXPIRED")


async def test_sizes_and_counts_are_refused_with_limit_and_use() -> None:
    async with running(SMALL) as (served, session, _):

        async def refused(size: int, status: int, code: str) -> str:
            answer = await served.http.post(f"/sessions/{session}/uploads", json=KOI | {"size": size})
            return must_be_problem(answer, status, code)

        assert "11 bytes exceeds 10 bytes per file" in await refused(11, 413, "UPLOAD_TOO_LARGE")
        await reserve(served, session, size=10)
        over = await refused(3, 413, "UPLOAD_TOO_LARGE")
        assert "10 bytes of 12 bytes (upload_session_bytes) are used and 3 bytes more" in over
        await reserve(served, session, size=1)
        await reserve(served, session, size=1)
        assert "3 of 3 files" in await refused(1, 429, "RATE_LIMITED")


async def test_what_cannot_be_an_upload_is_400() -> None:
    async with running() as (served, session, _):
        for wrong in (
            {"size": 0},
            {"size": -1},
            {"size": "many"},
            {"name": ""},
            {"mime_type": ""},
            {"upload_id": "../x"},
        ):
            answer = await served.http.post(f"/sessions/{session}/uploads", json=KOI | wrong)
            assert next(iter(wrong)) in must_be_problem(answer, 400, "BAD_REQUEST")


async def test_who_may_not_and_when_it_is_too_early() -> None:
    async with running() as (served, session, _):
        path, http = f"/sessions/{session}/uploads", served.http
        watching = await bearer(served, scope=["view"])
        assert "`upload`" in must_be_problem(await http.post(path, json=KOI, headers=watching), 403, "FORBIDDEN")
        theirs = await key_of(served, "other")
        must_be_problem(await http.post(path, json=KOI, headers=theirs), 404, "NOT_FOUND")
        queued = await served.session()
        must_be_problem(await http.post(f"/sessions/{queued}/uploads", json=KOI), 409, "CONFLICT")
        mine = await reserve(served, session, upload_id="mine")
        assert mine["presigned_id"] == "mine"
        must_be_problem(await http.post(path, json=KOI | {"upload_id": "mine"}), 409, "CONFLICT")


async def test_what_the_runtime_refuses_reaches_the_client_and_is_not_recorded() -> None:
    refusal = {"error": "no", "detail": "no", "code": "UPLOAD_TYPE_REFUSED", "recoverable": False}

    def answer(request: link.Request) -> link.Reply:
        headers = {"content-type": "application/json"}
        return link.Reply(id=request.id, status=415, headers=headers, body=json.dumps(refusal))

    async with running(answer=answer) as (served, session, _):
        refused = await served.http.post(f"/sessions/{session}/uploads", json=KOI)
        must_be_problem(refused, 415, "UPLOAD_TYPE_REFUSED")
        assert await served.store.read(lambda tx: tx.uploads(session)) == []


async def test_files_are_erased_when_their_session_ends_and_its_urls_with_them() -> None:
    async with running() as (served, session, worker):
        written, unwritten = await reserve(served, session), await reserve(served, session)
        assert (await write(written["presigned_url"])).status_code == 204
        key = json.loads(worker.requests[0].body)["key"]
        assert (await served.http.delete(f"/sessions/{session}")).status_code == 204

        async def is_erased() -> bool:
            left: list[UploadRecord] = list(await served.store.read(lambda tx: tx.uploads(session)))
            return not left

        await until(is_erased)
        async with httpx2.AsyncClient(base_url=served.url) as http:
            secret = {"Authorization": f"Bearer {served.secrets.worker}"}
            assert (await http.get(f"/internal/blobs/{key}", headers=secret)).status_code == 404
        must_be_problem(await write(unwritten["presigned_url"]), 404, "NOT_FOUND")


async def test_a_worker_that_has_not_heard_of_the_file_is_told_of_it_first() -> None:
    landed: list[str] = []

    def answer(request: link.Request) -> link.Reply:
        if request.path.endswith("/landed") and not landed:
            landed.append(request.path)
            return link.Reply(id=request.id, status=404, body="{}")
        return link.Reply(id=request.id, status=200, body="{}")

    async with running(answer=answer) as (served, session, worker):
        slot = await reserve(served, session)
        assert (await write(slot["presigned_url"])).status_code == 204
        paths = [each.path.removeprefix(f"/sessions/{session}/uploads") for each in worker.requests]
        done = f"/{slot['presigned_id']}/landed"
        assert paths == ["", done, "", done]
