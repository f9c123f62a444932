"""What only a bucket can break: its store is away, frozen, slow, or refuses; and its memory while streaming."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import obstore
import psutil
import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse
from structlog.testing import capture_logs

from livereactor.base.errors import UsageError
from livereactor.base.ids import uuid7
from livereactor.blobs import s3 as adapter
from livereactor.blobs.checking import takes_writes
from livereactor.blobs.port import BlobExistsError, BlobKey, BlobMissingError, BlobsUnavailableError
from livereactor.blobs.s3 import Bucket, S3Blobs
from livereactor.cli.commands.recordings import RecordingSource
from livereactor.web.blob_answers import blob_answer
from tests.tools.s3 import S3Server, s3_server

KEY = BlobKey.parse("recordings/r1/chunk_00000.m4s")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def failing() -> Iterator[S3Server]:
    """A store that tests stop and freeze; each leaves it running."""
    with s3_server() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in production, in a tenth of the time."""
    monkeypatch.setattr(adapter, "REQUEST", timedelta(seconds=3))
    monkeypatch.setattr(adapter, "RETRY_FOR", timedelta(seconds=1))


def fresh(server: S3Server, bucket: str = "blobs") -> S3Blobs:
    return S3Blobs(Bucket.parse(server.url(bucket, uuid7().hex)))


async def mebibytes(count: int, at_each: Callable[[int], None] = lambda n: None) -> AsyncIterator[bytes]:
    for n in range(count):
        yield bytes([n]) * MIB
        at_each(n)


def test_a_place_is_a_bucket_with_a_prefix_and_what_is_not_amazons() -> None:
    assert Bucket.parse("s3://a-bucket") == Bucket.parse("s3://a-bucket/") == Bucket("a-bucket")
    assert Bucket.parse("s3://a.bucket/some/where?endpoint=http://[::1]:9000&region=eu-1") == Bucket(
        "a.bucket", "some/where", "http://[::1]:9000", "eu-1"
    )


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///x", "s3://UPPER/x", "https://bucket/x", "s3://bucket/../x", "s3://bucket?endpoint=store:9000"],
)
def test_what_is_no_place_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"write|cannot be a blob key"):
        Bucket.parse(url)


def test_an_option_nobody_knows_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match="'endpiont' is not an option"):
        Bucket.parse("s3://bucket?endpiont=http://x")


async def test_the_endpoint_may_be_in_the_environment(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    prefix = uuid7().hex
    await S3Blobs(Bucket("blobs", prefix)).put(KEY, b"abc")
    assert await S3Blobs(Bucket.parse(s3.url("blobs", prefix))).get(KEY) == b"abc"


async def test_memory_does_not_grow_with_a_streamed_blob(s3_blobs: S3Blobs) -> None:
    process = psutil.Process(os.getpid())
    await s3_blobs.put(BlobKey.parse("warm"), mebibytes(12))
    before, highest = process.memory_info().rss, list[int]()
    await s3_blobs.put(KEY, mebibytes(64, lambda n: highest.append(process.memory_info().rss)))
    async for _piece in s3_blobs.stream(KEY):
        highest.append(process.memory_info().rss)
    assert len(highest) == 128
    assert max(highest) - before < 32 * MIB


async def test_a_key_that_is_refused_is_unavailable_and_the_log_says_what_to_do(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the one")
    blobs = fresh(s3)
    with capture_logs() as lines:
        for attempt in (blobs.get(KEY), blobs.put(KEY, b"x"), blobs.put(KEY, mebibytes(7)), blobs.delete_prefix(KEY)):
            with pytest.raises(BlobsUnavailableError, match="see the server's log"):
                await attempt
    assert {line["reason"] for line in lines} == {"SignatureDoesNotMatch"}
    assert {line["todo"] for line in lines} == {
        "set AWS_SECRET_ACCESS_KEY to the secret that belongs to AWS_ACCESS_KEY_ID"
    }
    assert "not the one" not in str(lines)


async def test_a_bucket_that_is_not_there_is_no_missing_blob(s3: S3Server) -> None:
    blobs = fresh(s3, bucket="never-made")
    with capture_logs() as lines, pytest.raises(BlobsUnavailableError):
        await blobs.get(KEY)
    assert lines[0]["reason"] == "NoSuchBucket"


async def test_a_bucket_that_its_store_makes_with_the_first_write_is_there_once_it_was_tried(s3: S3Server) -> None:
    blobs = fresh(s3, bucket=f"new-{uuid7().hex}")
    with pytest.raises(BlobsUnavailableError):
        await anext(blobs.list(BlobKey("recordings")))
    with capture_logs() as lines:
        assert await takes_writes(blobs)
        assert [entry async for entry in blobs.list(BlobKey("recordings"))] == []
        assert [entry async for entry in blobs.list(BlobKey("doctor"))] == []
    assert lines == []


async def test_a_bucket_that_takes_no_writes_is_told_of_once(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobodys")
    with capture_logs() as lines:
        assert not await takes_writes(fresh(s3))
    assert [line["todo"] for line in lines] == [
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of this store"
    ]


async def test_a_store_that_is_away_is_unavailable_until_it_is_back(failing: S3Server) -> None:
    blobs = fresh(failing)
    await blobs.put(KEY, b"before")
    failing.stop()
    try:
        for attempt in (blobs.get(KEY), blobs.size(KEY), blobs.put(KEY, b"x"), blobs.delete_prefix(KEY)):
            with pytest.raises(BlobsUnavailableError):
                await asyncio.wait_for(attempt, 15)
        with pytest.raises(BlobsUnavailableError):
            await anext(blobs.list(KEY))
    finally:
        failing.start()
    assert await blobs.get(KEY) == b"before"
    with pytest.raises(BlobExistsError):
        await blobs.put(KEY, b"x")


async def test_a_store_killed_in_the_middle_of_a_stream_has_nothing_of_it(failing: S3Server) -> None:
    blobs = fresh(failing)
    with pytest.raises(BlobsUnavailableError):
        await blobs.put(KEY, mebibytes(24, lambda n: failing.stop() if n == 12 else None))
    failing.start()
    with pytest.raises(BlobMissingError):
        await blobs.get(KEY)
    assert await blobs.put(KEY, mebibytes(12)) == 12 * MIB


async def test_a_store_that_answers_no_more_is_given_up_in_bounded_time(failing: S3Server, impatient: None) -> None:
    blobs = fresh(failing)
    await blobs.put(KEY, b"before")
    failing.freeze()
    try:
        for attempt in (blobs.get(KEY), blobs.put(KEY, b"x")):
            with pytest.raises(BlobsUnavailableError):
                await asyncio.wait_for(attempt, 20)
    finally:
        failing.thaw()
    assert await blobs.get(KEY) == b"before"


async def test_a_store_that_is_slow_is_waited_for(failing: S3Server) -> None:
    blobs = fresh(failing)
    failing.freeze()
    put = asyncio.create_task(blobs.put(KEY, b"late"))
    done, _ = await asyncio.wait([put], timeout=1.0)
    failing.thaw()
    assert not done
    assert await put == 4


async def test_a_part_that_is_answered_costs_one_question_for_its_size(
    s3_blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, asked = os.urandom(2 * MIB + 7), list[str]()

    async def head(store: Any, path: str, ask: Any = obstore.head_async) -> Any:
        asked.append(path)
        return await ask(store, path)

    await s3_blobs.put(KEY, data)
    monkeypatch.setattr(obstore, "head_async", head)
    for header, expected in ((b"", data), (b"bytes=5-1048600", data[5:1048601])):
        asked.clear()
        request = Request({"type": "http", "method": "GET", "headers": [(b"range", header)] if header else []})
        answer = cast("StreamingResponse", await blob_answer(s3_blobs, KEY, request, "video/mp4"))
        assert b"".join([cast("bytes", each) async for each in answer.body_iterator]) == expected
        assert len(asked) == 1


async def test_the_command_finds_a_journal_by_its_session(s3: S3Server) -> None:
    place, recording = s3.url("blobs", uuid7().hex), "0197f3c2-a1d8-4c11-a3f0-d2c4b5e69788"
    blobs = S3Blobs(Bucket.parse(place))
    for path, data in (
        (f"recorded/ses_1/{recording}", b""),
        (f"recordings/{recording}/recording.json", b'{"session": "ses_1"}'),
        (f"recordings/{recording}/journal-00000.jsonl", b"a\n"),
        (f"recordings/{recording}/journal-00001.jsonl", b"b\n"),
    ):
        await blobs.put(BlobKey.parse(path), data)
    for name in ("ses_1", recording):
        assert await asyncio.to_thread(RecordingSource(blobs=place).journal, name) == b"a\nb\n"
