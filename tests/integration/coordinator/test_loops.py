"""What a gallery shows of models: the tags in the list, and the short film of each, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog

from livereactor.coordinator.http.routes.models import PREVIEW_BYTES, Preview
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import ModelRecord
from livereactor.wiring.catalogue import read_models
from tests.integration.coordinator.asking import must_be_problem
from tests.integration.coordinator.rig import coordinating

EBML = b"\x1a\x45\xdf\xa3"
FILM = Preview(EBML + bytes(range(96)))


def spec(*tracks: tuple[str, str], **schema: Any) -> dict[str, Any]:
    declared = [{"name": f"t{at}", "kind": kind, "direction": way} for at, (kind, way) in enumerate(tracks)]
    return {"capabilities": {"tracks": declared}, "schema": schema}


async def test_the_list_tells_what_a_model_takes_and_gives() -> None:
    store = MemoryStore()
    axis = {"x-livereactor-input": {"keys": ["s", "w"], "gamepad": "left_y"}}
    content = {"application/json": {"schema": {"properties": {"forward": axis}}}}
    world = {"/events/set_forward": {"post": {"requestBody": {"content": content}}}}
    jump = {"/events/jump": {"post": {"x-livereactor-input": {"keys": ["space"]}}}}
    specs = {
        "choir": spec(("video", "recvonly"), ("audio", "recvonly")),
        "jumper": spec(("video", "recvonly"), paths=jump),
        "mirror": spec(("video", "recvonly"), ("video", "sendonly"), ("audio", "sendonly")),
        "new": {},
        "world": spec(("video", "recvonly"), paths=world),
    }
    for name, told in specs.items():
        await store.transact(lambda tx, name=name, told=told: tx.put_model(ModelRecord(name, "1", told)))
    async with coordinating(store=store, models=()) as served:
        listed = (await served.http.get("/models")).json()["models"]
    assert {each["name"]: each["tags"] for each in listed} == {
        "choir": ["sound"],
        "jumper": ["keys"],
        "mirror": ["camera", "microphone"],
        "new": [],
        "world": ["keys", "gamepad"],
    }


async def test_a_film_is_public_typed_and_not_sent_twice() -> None:
    async with coordinating(previews={"pond": FILM}) as served, httpx2.AsyncClient(base_url=served.url) as nobody:
        (listed,) = (await nobody.get("/models")).json()["models"]
        film = await nobody.get(f"/{listed['loop']}", headers={"Origin": "https://studio.example"})
        assert (film.status_code, film.content) == (200, FILM.content)
        assert film.headers["content-type"] == "video/webm"
        assert film.headers["access-control-allow-origin"] == "*"
        assert "max-age" in film.headers["cache-control"]
        again = await nobody.get("/models/pond/loop", headers={"If-None-Match": film.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await nobody.get("/models/acme/pond/loop")).content == FILM.content


async def test_another_film_has_another_address() -> None:
    paths = set[str]()
    for film in (FILM, Preview(FILM.content + b"more")):
        async with coordinating(previews={"pond": film}) as served:
            paths.add((await served.http.get("/models")).json()["models"][0]["loop"])
    assert len(paths) == 2


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=0-", 206, FILM.content, "bytes 0-99/100"),
        ("bytes=4-6", 206, bytes([0, 1, 2]), "bytes 4-6/100"),
        ("bytes=90-900", 206, FILM.content[90:], "bytes 90-99/100"),
        ("bytes=100-", 416, b"", "bytes */100"),
        ("lines=1-2", 200, FILM.content, None),
    ],
)
async def test_a_player_may_ask_for_a_part(asked: str, status: int, content: bytes, told: str | None) -> None:
    async with coordinating(previews={"pond": FILM}) as served:
        part = await served.http.get("/models/pond/loop", headers={"Range": asked})
    assert (part.status_code, part.content, part.headers.get("content-range")) == (status, content, told)


async def test_a_model_without_a_film_says_so() -> None:
    async with coordinating() as served:
        assert "loop" not in (await served.http.get("/models")).json()["models"][0]
        for name in ("pond", "nothing"):
            sentence = must_be_problem(await served.http.get(f"/models/{name}/loop"), 404, "NOT_FOUND")
            assert f"no film of model {name!r}" in sentence


MODEL = """
import livereactor as lr

class Sky(lr.Model):
    main_video = lr.VideoOut(width=64, height=64, fps=10)

    def stream(self):
        yield None
"""


@pytest.mark.parametrize("target", ["sky.py", "sky.py:Sky", "."])
async def test_the_film_beside_a_models_file_is_its_own(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sky.py", "model.py"):
        (tmp_path / name).write_text(MODEL)
    (tmp_path / "sky.webm").write_bytes(FILM.content)
    (tmp_path / "sea.webm").write_bytes(EBML)
    (model,) = await read_models([target])
    assert model.preview == FILM


@pytest.mark.parametrize(
    ("content", "reason"), [(b"RIFF", "it is not a WebM file"), (EBML + bytes(PREVIEW_BYTES), "larger than")]
)
async def test_a_film_that_cannot_be_shown_is_left_out_and_its_model_served(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "sky.py").write_text(MODEL)
    (tmp_path / "sky.webm").write_bytes(content)
    with structlog.testing.capture_logs() as said:
        (model,) = await read_models([str(tmp_path / "sky.py")])
    assert (model.name, model.preview) == ("sky", None)
    assert [reason in each["reason"] for each in said if each["event"] == "film of a model left out"] == [True]
