"""A blob folder that cannot be written: uploads are refused with a code, sessions go on, and it heals by itself.

Dependencies, section 5: uploads fail, streaming is unaffected. Root may write anywhere, so a file stands in the way.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.fault.services import Service, service
from tests.tools.drivers import ClientError, PythonClients
from tests.tools.processes import request

SIZE = 10


def reserve(served: Service, session: str) -> tuple[str, str]:
    """Id and URL of an upload's place."""
    asked = {"name": "a.png", "size": SIZE, "mime_type": "image/png"}
    status, body = served.at.call("POST", f"/sessions/{session}/uploads", asked)
    assert status == 201, body
    return str(body["presigned_id"]), str(body["presigned_url"])


def put(url: str) -> tuple[int, Any]:
    return request(url, method="PUT", body=b"x" * SIZE, headers={"Content-Type": "image/png"}, timeout=30.0)


async def test_uploads_wait_for_the_folder_and_nothing_else_does(tmp_path: Path) -> None:
    with service(tmp_path, "Numbered") as served:
        blobs = served.data_dir / "blobs"
        async with PythonClients.started() as clients:
            client = await clients.new(served.at.url, model="numbered", api_key=served.at.key)
            await client.connect()
            await client.frames(3, timeout=30.0)
            session, mark = str((await client.state())["session"]), await client.ask("mark")
            await client.ask("upload", ref="before", size=SIZE, name="a.png", mime_type="image/png")
            upload, url = reserve(served, session)

            blobs.rename(tmp_path / "aside")
            blobs.write_text("in the way")
            status, problem = put(url)
            assert (status, problem["code"]) == (503, "blobs_unavailable"), problem
            assert str(tmp_path) not in str(problem)
            assert "uploads cannot be stored" in problem["detail"]
            with pytest.raises(ClientError):
                await client.ask("upload", ref="during", size=SIZE, name="a.png", mime_type="image/png")
            with pytest.raises(ClientError) as refused:
                await client.ask("command", name="keep", ref="before")
            assert refused.value.code
            assert (await client.command("note", text="still here"))["data"] == {"before": ""}
            await client.frames(4, timeout=30.0)
            other = served.at.create("numbered")["session_id"]
            assert served.at.call("DELETE", f"/sessions/{other}")[0] == 204
            assert served.at.get("/health")[0] == 200

            blobs.unlink()
            shutil.move(tmp_path / "aside", blobs)
            assert put(url)[0] in (200, 201, 204)
            await client.ask("know_ref", ref="again", upload_id=upload)
            for ref in ("again", "before"):
                kept = await client.ask("command", name="keep", ref=ref)
                assert kept["reply"]["data"] == {"size": SIZE}
            seen = await client.ask("since", start=mark)
            assert (seen["missing"], seen["backwards"]) == (0, 0)
            await client.ask("drop")
        served.until(session, lambda view: view["state"] == "CLOSED")
        served.at.wait_until(lambda: not list((blobs / "sessions").rglob("content")), timeout=30.0)
