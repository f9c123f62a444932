"""What goes wrong around a session that streams on: its token expires, the blob folder is no folder.

Uploads fail, streaming is unaffected. Root may write anywhere, so a file stands in the way.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fault.services import PATIENCE, Service, is_unbroken, service
from tests.tools.drivers import Client, ClientError, PythonClients
from tests.tools.processes import request

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
SIZE = 10  # bytes of an upload
LIVES = (8, 40)  # seconds of a token; the second where the machine is too busy to connect in the first


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service"), "Numbered") as made:
        made.wait_for_workers(1)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients() -> AsyncIterator[PythonClients]:
    async with PythonClients.started() as started:
        yield started


async def watching(clients: PythonClients, served: Service, **credentials: str) -> tuple[Client, str]:
    client = await clients.new(served.at.url, model="numbered", **credentials)
    await client.connect()
    await client.frames(3, timeout=PATIENCE)
    return client, str((await client.state())["session"])


async def with_a_short_token(clients: PythonClients, served: Service) -> tuple[Client, str, str]:
    short, longer = (served.at.token(expires_after=life) for life in LIVES)
    try:
        return *await watching(clients, served, jwt=short), short
    except ClientError:
        return *await watching(clients, served, jwt=longer), longer


async def test_a_token_that_expires_ends_calls_and_no_session(clients: PythonClients, served: Service) -> None:
    client, session, token = await with_a_short_token(clients, served)
    mark = await client.ask("mark")
    served.at.wait_until(lambda: served.at.call("GET", "/sessions", token=token)[0] == 401, timeout=LIVES[-1] + 20.0)
    status, problem = served.at.call("POST", "/sessions", {"model": {"name": "numbered"}}, token=token)
    assert (status, problem["code"]) == (401, "UNAUTHORIZED"), problem
    assert (await client.frames(4, timeout=PATIENCE))["count"] >= 4
    assert (await client.command("note", text="still here"))["data"] == {"before": ""}
    seen = await client.ask("since", start=mark)
    assert is_unbroken(seen), seen
    assert served.session(session, wait=0)["state"] == "ACTIVE"
    await client.ask("drop")
    served.at.call("DELETE", f"/sessions/{session}")  # the client's own token could not


def reserve(served: Service, session: str) -> tuple[str, str]:
    """Id and URL of an upload's place."""
    asked = {"name": "a.png", "size": SIZE, "mime_type": "image/png"}
    status, body = served.at.call("POST", f"/sessions/{session}/uploads", asked)
    assert status == 201, body
    return str(body["presigned_id"]), str(body["presigned_url"])


def put(url: str) -> tuple[int, Any]:
    return request(url, method="PUT", body=b"x" * SIZE, headers={"Content-Type": "image/png"}, timeout=PATIENCE)


async def test_uploads_wait_for_the_blob_folder_and_nothing_else_does(
    clients: PythonClients, served: Service, tmp_path: Path
) -> None:
    blobs = served.data_dir / "blobs"
    client, session = await watching(clients, served, api_key=served.at.key)
    mark = await client.ask("mark")
    await client.ask("upload", ref="before", size=SIZE, name="a.png", mime_type="image/png")
    upload, url = reserve(served, session)

    blobs.rename(tmp_path / "aside")
    blobs.write_text("in the way")
    status, problem = put(url)
    assert (status, problem["code"]) == (503, "blobs_unavailable"), problem
    assert str(served.data_dir) not in str(problem)
    assert "files cannot be stored" in problem["detail"]
    with pytest.raises(ClientError):
        await client.ask("upload", ref="during", size=SIZE, name="a.png", mime_type="image/png")
    with pytest.raises(ClientError) as refused:
        await client.ask("command", name="keep", ref="before")
    assert refused.value.code
    assert (await client.command("note", text="still here"))["data"] == {"before": ""}
    await client.frames(4, timeout=PATIENCE)
    other = served.at.create("numbered")["session_id"]
    assert served.at.call("DELETE", f"/sessions/{other}")[0] == 204
    assert served.at.get("/health")[0] == 200

    blobs.unlink()
    shutil.move(tmp_path / "aside", blobs)
    assert put(url)[0] == 204
    await client.ask("know_ref", ref="again", upload_id=upload)
    for ref in ("again", "before"):
        kept = await client.ask("command", name="keep", ref=ref)
        assert kept["reply"]["data"] == {"size": SIZE}
    seen = await client.ask("since", start=mark)
    assert is_unbroken(seen), seen
    await client.ask("drop")
    served.until(session, lambda view: view["state"] == "CLOSED")
    served.at.wait_until(lambda: not list((blobs / "sessions").rglob("content")), timeout=PATIENCE)
