"""Uploads, clips and recordings with a bucket behind `livereactor serve`: the same tests, and a real S3 store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from livereactor.blobs.port import BlobKey
from livereactor.blobs.s3 import Bucket, S3Blobs
from tests.e2e.acceptance.test_recordings import (
    test_a_recording_is_all_of_it,
    test_several_clips_at_once_are_each_their_own,
    test_ten_seconds_are_a_film_of_ten_seconds_from_zero,
)
from tests.e2e.client.test_recordings import (
    test_a_clip_is_an_ordinary_film_with_its_index_first,
    test_a_clip_is_fetched_after_its_session_and_without_a_client,
)
from tests.e2e.client.test_uploads import (
    test_a_cancelled_upload_stops_and_the_client_goes_on,
    test_a_command_before_its_bytes_runs_once_with_them,
    test_a_file_that_was_cut_off_goes_on_and_the_model_sees_all_of_it,
    test_a_slot_takes_its_bytes_once_and_only_all_of_them,
    test_fifty_mebibytes_arrive_fast_whole_and_in_little_memory,
)
from tests.tools.s3 import S3Server, s3_server

__all__ = [
    "test_a_cancelled_upload_stops_and_the_client_goes_on",
    "test_a_clip_is_an_ordinary_film_with_its_index_first",
    "test_a_clip_is_fetched_after_its_session_and_without_a_client",
    "test_a_command_before_its_bytes_runs_once_with_them",
    "test_a_file_that_was_cut_off_goes_on_and_the_model_sees_all_of_it",
    "test_a_recording_is_all_of_it",
    "test_a_slot_takes_its_bytes_once_and_only_all_of_them",
    "test_fifty_mebibytes_arrive_fast_whole_and_in_little_memory",
    "test_several_clips_at_once_are_each_their_own",
    "test_ten_seconds_are_a_film_of_ten_seconds_from_zero",
]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def door() -> str:
    return "serve"


@pytest.fixture(scope="module")
def arguments(bucket: S3Server) -> tuple[str, ...]:
    return ("--blobs", bucket.url("clips"))


async def test_what_the_tests_above_saw_lay_in_the_bucket(bucket: S3Server) -> None:
    blobs = S3Blobs(Bucket.parse(bucket.url("clips")))
    for prefix in ("recordings", "clips"):
        assert [entry async for entry in blobs.list(BlobKey(prefix))]
