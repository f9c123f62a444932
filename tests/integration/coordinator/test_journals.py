"""A session's journal through a coordinator: for who could have steered it and kept it, and for nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.journals import NoJournalError
from livereactor.blobs.port import BlobKey
from livereactor.cli.admin import RemoteError
from livereactor.cli.commands.recordings import RecordingSource
from livereactor.coordinator.options import CoordinatorOptions
from tests.integration.coordinator.asking import UNLIMITED, bearer, creating, key_of, must_be_problem
from tests.integration.coordinator.rig import Served, coordinating, working

RECORDING = "0197f3c2-a1d8-4c11-a3f0-d2c4b5e69788"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with coordinating(CoordinatorOptions(quotas=UNLIMITED), blobs=FolderBlobs(tmp_path)) as served:
        yield served


async def keep(served: Served, session: str, *pieces: bytes, account: str = "acme") -> None:
    """What a runtime leaves of a session."""
    about = {"session": session, "account": account}
    files = {
        f"recordings/{RECORDING}/recording.json": json.dumps(about).encode(),
        f"recorded/{session}/{RECORDING}": b"",
    }
    files |= {f"recordings/{RECORDING}/journal-{number:05}.jsonl": piece for number, piece in enumerate(pieces)}
    for path, data in files.items():
        await served.blobs.put(BlobKey.parse(path), data)


async def ask(served: Served, session: str, headers: dict[str, str]) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        return await http.get(f"/sessions/{session}/journal", headers=headers)


async def test_it_is_given_by_the_id_of_the_session_and_of_the_recording(served: Served) -> None:
    await keep(served, "ses_1", b"a\n", b"b\n")
    for name in ("ses_1", RECORDING):
        answer = await ask(served, name, await bearer(served))
        assert (answer.status_code, answer.text) == (200, "a\nb\n")
        assert answer.headers["content-type"].startswith("application/jsonl")


async def test_another_accounts_is_not_there_as_one_that_never_was(served: Served) -> None:
    await keep(served, "ses_1", b"a\n")
    rival = await key_of(served, "rival")
    foreign = must_be_problem(await ask(served, "ses_1", rival), 404, "no_journal")
    never = must_be_problem(await ask(served, "ses_2", rival), 404, "no_journal")
    assert foreign.replace("ses_1", "") == never.replace("ses_2", "")
    assert (await ask(served, "ses_1", await key_of(served, "ops", scopes=["record", "control", "admin"]))).is_success


async def test_a_session_without_one_and_a_name_that_is_none_are_not_there(served: Served) -> None:
    await keep(served, "ses_1")
    for name in ("ses_1", "%00", "a%20b"):
        must_be_problem(await ask(served, name, await bearer(served)), 404, "no_journal")


@pytest.mark.parametrize("lacking", ["record", "control"])
async def test_a_token_that_may_not_record_or_not_steer_reads_none(served: Served, lacking: str) -> None:
    await keep(served, "ses_1", b"a\n")
    scopes = [each for each in ("view", "control", "record") if each != lacking]
    refused = must_be_problem(await ask(served, "ses_1", await bearer(served, scope=scopes)), 403, "FORBIDDEN")
    assert f"lacks the scope `{lacking}`" in refused


async def test_a_scoped_token_reads_that_of_its_own_sessions_only(served: Served) -> None:
    async with working(served):
        visitor, other = [
            await bearer(served, authorization_details=creating("pond"), subject=each) for each in ("visitor", "other")
        ]
        created = await served.http.post("/sessions", json={"model": {"name": "pond"}}, headers=visitor)
        session = created.json()["session_id"]
        await keep(served, session, b"a\n")
        assert (await ask(served, session, visitor)).status_code == 200
        must_be_problem(await ask(served, session, other), 404, "no_journal")


async def test_without_credentials_there_is_none(served: Served) -> None:
    await key_of(served, "acme")  # there is a key, so nobody is a guest
    await keep(served, "ses_1", b"a\n")
    must_be_problem(await ask(served, "ses_1", {}), 401, "UNAUTHORIZED")


async def test_the_command_reads_it_with_a_token_or_a_key(served: Served) -> None:
    await keep(served, "ses_1", b"a\n", b"b\n")
    token = (await bearer(served))["Authorization"].removeprefix("Bearer ")
    for source in (
        RecordingSource(coordinator=served.url, jwt=token),
        RecordingSource(coordinator=f"{served.url}/", key=served.key),
    ):
        assert await asyncio.to_thread(source.journal, "ses_1") == b"a\nb\n"
        with pytest.raises(NoJournalError):
            await asyncio.to_thread(source.journal, "ses_2")
    with pytest.raises(RemoteError, match="pass a key with --key"):
        await asyncio.to_thread(RecordingSource(coordinator=served.url).journal, "ses_1")
