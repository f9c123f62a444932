"""Our OpenAPI document is whole and true: every route is in it, and Schemathesis finds nothing that it does not say."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import pytest

from livereactor.base.errors import LivereactorError
from livereactor.base.limits import Limits
from livereactor.blobs.folder import FolderBlobs
from livereactor.coordinator.http.routes.models import Preview
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.protocol.http import Body, Candidates, Offer, problem, read_body
from livereactor.protocol.stages import SessionStages
from livereactor.store.sql.store import open_sql_store
from livereactor.web import rates
from tests.integration.coordinator.asking import UNLIMITED, until
from tests.integration.coordinator.rig import Served, coordinating, working

OPTIONS: Final = CoordinatorOptions(quotas=UNLIMITED, hold=0.02, limits=replace(Limits(), answer_hold=0.1))
SLOTS: Final = 200
PREVIEWS: Final = {"pond": Preview(b"\x1a\x45\xdf\xa3" + bytes(96))}
CONFIG: Final = """
[dictionaries.sessions]
values = ["{running}", "{over}"]
[dictionaries.models]
values = ["pond", "acme/pond"]
[parameters]
"path.sid" = {{ dictionary = "sessions", probability = 0.7 }}
"path.name" = {{ dictionary = "models", probability = 0.7 }}
[checks]
negative_data_rejection.enabled = false  # 0 for false and "5" for 5.0 are taken, as unknown fields are
use_after_free.enabled = false  # needs sequences of calls
ensure_resource_availability.enabled = false
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "410", "413", "416", "422", "429"]
[[operations]]
include-path = ["/workers/{{worker}}/died", "/admin/workers/{{worker}}/drain"]
parameters = {{ "path.worker" = "nobody" }}  # ours is needed
[[operations]]
include-path = "/admin/usage"
checks.positive_data_acceptance.enabled = false  # a moment is no pattern that JSON Schema could tell
"""
ARGUMENTS: Final = (
    *("--phases", "coverage,fuzzing", "--max-examples", "10", "--seed", "7", "--workers", "2"),
    *("--exclude-path", "/events"),  # which never ends; test_observation.py reads it
    *("--continue-on-failure", "--no-shrink", "--generation-database", "none", "--warnings", "off"),
    *("--request-timeout", "60"),
)


def runtime(request: link.Request) -> link.Reply:
    """What a Worker's runtime says to a request, as far as the document tells."""
    path, raw = request.path.partition("?")[0], request.body.encode()
    if path == "/thumbnail":
        return link.Reply(id=request.id, status=200, headers={"content-type": "image/jpeg"}, base64="/9j/2Q==")
    if path == "/metrics":
        return link.Reply(id=request.id, status=200, headers={"content-type": "text/plain"}, body="up 1\n")
    if path.endswith("/stages"):
        stages = SessionStages(session_id="ses_1", seconds=1.0, clients=0, stages=[])
        headers = {"content-type": "application/json"}
        return link.Reply(id=request.id, status=200, headers=headers, body=stages.model_dump_json())
    body: dict[str, Any] = {}
    status = 202 if request.method == "GET" or path.endswith(("/sdp_params", "/ice_candidates")) else 201
    kinds: dict[str, type[Body]] = {"sdp_params": Offer, "ice_candidates": Candidates}
    try:
        if request.method != "GET" and (kind := kinds.get(path.rpartition("/")[2])) is not None:
            read_body(kind, raw)
        if path.endswith("/connections"):
            body = {"connection_id": 5001}
    except LivereactorError as error:
        status, body = error.http_status, problem(error)
    headers = {"content-type": "application/json"}
    return link.Reply(id=request.id, status=status, headers=headers, body=json.dumps(body))


@asynccontextmanager
async def everything(folder: Path) -> AsyncGenerator[tuple[Served, str]]:
    """A coordinator over a database and a folder, with a Worker, and the configuration that names its Sessions."""
    store = open_sql_store(f"sqlite:///{folder / 'livereactor.db'}")
    try:
        async with (
            coordinating(
                OPTIONS, store=store, blobs=FolderBlobs(folder / "blobs"), operator=True, previews=PREVIEWS
            ) as served,
            working(served, answer=runtime, slots=SLOTS) as worker,
        ):

            async def beating() -> None:
                while True:
                    await worker.beat()
                    await asyncio.sleep(link.BEAT_EVERY)

            beats = asyncio.create_task(beating())
            running, over = await served.session(), await served.session()
            await served.http.delete(f"/sessions/{over}")

            async def is_ready() -> bool:
                return "capabilities" in (await served.http.get(f"/sessions/{running}")).json()

            await until(is_ready)
            yield served, CONFIG.format(running=running, over=over)
            beats.cancel()
    finally:
        await store.aclose()


@pytest.mark.timeout(300)  # 20 s where nothing else runs
async def test_schemathesis_finds_nothing_that_the_document_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "ALLOWED", 100_000)  # it shows more wrong keys than anybody may
    async with everything(tmp_path) as (served, config):
        path = tmp_path / "schemathesis.toml"
        path.write_text(config)
        # Everybody is let in: operators by the key, which counts first, Workers by their secret.
        headers = (f"Reactor-API-Key: {served.key}", f"Authorization: Bearer {served.secrets.worker}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(path), "--no-color"),
            *("run", f"{served.url}/openapi.json", *ARGUMENTS),
            *(part for header in headers for part in ("--header", header)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said


async def test_every_route_is_documented_with_a_summary_an_owner_and_its_errors() -> None:
    async with coordinating() as served:
        document = (await served.http.get("/openapi.json")).json()
        operations = list(_operations(document))
        assert len({each["operationId"] for _, _, each in operations}) == len(operations)
        for path, method, operation in operations:
            assert operation.get("description"), (method, path)
            assert operation["tags"], (method, path)
            assert {"security" in operation or document["security"] != []} == {True}
            if path != "/openapi.json":
                assert {"400", "429", "500", "503"} <= set(operation["responses"]), (method, path)
        told = {(method, path) for path, method, _ in operations}
        # The routes of docs/protocol.md.
        for method, path in ROUTES:
            assert (method, path) in told, (method, path)


async def test_every_reference_of_the_document_leads_somewhere() -> None:
    async with coordinating() as served:
        document = (await served.http.get("/openapi.json")).json()
        schemas = document["components"]["schemas"]
        references = set(_references(document))
        assert references
        assert {each for each in references if each.removeprefix("#/components/schemas/") not in schemas} == set()
        assert "x-livereactor-model" not in json.dumps(document)


RTC: Final = "/sessions/{sid}/transport/webrtc"
ROUTES: Final = [
    ("post", "/tokens"),
    ("post", "/sessions"),
    ("get", "/sessions"),
    ("get", "/sessions/{sid}"),
    ("put", "/sessions/{sid}"),
    ("delete", "/sessions/{sid}"),
    ("get", "/sessions/{sid}/info"),
    ("post", "/sessions/{sid}/share"),
    ("get", f"{RTC}/ice_servers"),
    ("post", f"{RTC}/connections"),
    ("post", f"{RTC}/connections/{{cid}}/sdp_params"),
    ("put", f"{RTC}/connections/{{cid}}/sdp_params"),
    ("get", f"{RTC}/connections/{{cid}}/sdp_params"),
    ("post", f"{RTC}/connections/{{cid}}/ice_candidates"),
    ("post", f"{RTC}/sdp_params"),
    ("put", f"{RTC}/sdp_params"),
    ("get", f"{RTC}/sdp_params"),
    ("post", f"{RTC}/ice_candidates"),
    ("post", "/sessions/{sid}/uploads"),
    ("put", "/uploads/{upload}"),
    ("get", "/clips"),
    ("get", "/clips/chunks/{name}/{file}"),
    ("head", "/clips/chunks/{name}/{file}"),
    ("get", "/models"),
    ("get", "/models/{name}/schema"),
    ("get", "/health"),
    ("get", "/metrics"),
    ("get", "/limits"),
    ("get", "/quotas"),
    ("get", "/events"),
    ("get", "/admin/overview"),
    ("get", "/keys"),
    ("post", "/keys"),
    ("delete", "/keys/{key}"),
    ("post", "/workers/{worker}/died"),
    ("get", "/internal/blobs/{key}"),
    ("head", "/internal/blobs/{key}"),
    ("put", "/internal/blobs/{key}"),
    ("delete", "/internal/blobs/{key}"),
    ("post", "/internal/workers/{worker}/requests"),
    ("get", "/openapi.json"),
]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            if name == "$ref" and isinstance(inner, str):
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _references(inner)
