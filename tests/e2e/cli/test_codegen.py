"""`livereactor codegen` from a model, a schema document, a runtime and a coordinator; `--check`; what goes wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.e2e.cli.command import ended, serving, written
from tests.tools.processes import REPOSITORY
from tests.tools.serving import livereactor_serve

POND = REPOSITORY / "examples/pond.py"
GREY = """
    speed: float = lr.param(1.0, ge=0, le=5)

    @lr.command
    def dim(self, by: float) -> None:
        pass
"""


async def test_from_a_file_a_document_and_a_runtime_it_is_the_same(tmp_path: Path) -> None:
    model = written(tmp_path, GREY)
    model.write_text('print("said while it is imported")\n' + model.read_text(encoding="utf-8"), encoding="utf-8")
    from_model = await ended("codegen", model)
    assert from_model.code == 0, from_model.log
    assert "said while" in from_model.log
    compile(from_model.out, "client", "exec")
    assert "async def dim(self, by: float) -> None:" in from_model.out

    document = tmp_path / "grey.json"
    assert (await ended("schema", model, "--out", document)).code == 0
    assert (await ended("codegen", document)).out == from_model.out

    client = tmp_path / "grey_client.py"
    async with serving("run", model, "--port", "0") as runtime:
        done = await ended("codegen", runtime.url, "-o", client)
    assert (done.code, done.out, done.log) == (0, "", f"wrote {client}\n")
    assert client.read_text(encoding="utf-8") == from_model.out


async def test_a_coordinators_models_are_chosen_by_name(tmp_path: Path) -> None:
    models = [POND, REPOSITORY / "examples/choir.py"]
    with livereactor_serve(models, log_path=tmp_path / "log", arguments=("--min-ready", "0")) as coordinator:
        asked = ("codegen", coordinator.url, "--key", coordinator.key)
        unnamed = await ended(*asked)
        assert (unnamed.code, unnamed.out) == (2, "")
        assert "--model choir or pond" in unnamed.log
        assert (await ended(*asked, "--model", "pond")).out == (await ended("codegen", POND)).out
        unknown = await ended(*asked, "--model", "pont")
        assert unknown.code == 1
        assert "no model named 'pont'" in unknown.log


@pytest.mark.parametrize("kept", ["client", "document", "model"])
async def test_check_names_what_breaks_and_writes_nothing(tmp_path: Path, kept: str) -> None:
    old = tmp_path / {"client": "client.py", "document": "old.json", "model": "old/model.py"}[kept]
    old.parent.mkdir(exist_ok=True)
    model = written(tmp_path, GREY)
    if kept == "model":
        old.write_text(model.read_text(encoding="utf-8"), encoding="utf-8")
    else:
        assert (await ended("codegen" if kept == "client" else "schema", model, "--out", old)).code == 0
    client = tmp_path / "client.py"
    same = await ended("codegen", model, "-o", client, "--check", old)
    assert (same.code, same.out) == (0, "")

    before = client.read_text(encoding="utf-8")
    written(tmp_path, GREY.replace("le=5", "le=2").replace("def dim", "def darken"))
    broken = await ended("codegen", model, "-o", client, "--check", old)
    assert broken.code == 1
    assert broken.out.splitlines() == ["set_speed.speed has le=2 now, 5 before", "command 'dim' is gone"]
    assert client.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope.py"], 3, "no file 'nope.py'"),
        (["nope.json"], 2, "cannot read nope.json"),
        (["bad.json"], 2, "pass a file that `livereactor schema` wrote"),
        (["http://127.0.0.1:9"], 1, "could not reach http://127.0.0.1:9"),
        ([POND, "--model", "pond"], 2, "--model selects one of a coordinator's models"),
        ([POND, "--check", "nope.json"], 2, "cannot read nope.json"),
        ([POND, "-o", "no/such/folder/client.py"], 1, "cannot write no/such/folder/client.py"),
    ],
)
async def test_what_goes_wrong_is_one_sentence(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"paths": 3}), encoding="utf-8")
    done = await ended("codegen", *arguments, folder=tmp_path)
    assert (done.code, done.out) == (code, "")
    assert words in done.log
    assert len(done.log.splitlines()) == 1, done.log


async def test_a_written_client_can_be_imported_where_nothing_is_served(tmp_path: Path) -> None:
    client = tmp_path / "pond_client.py"
    assert (await ended("codegen", POND, "-o", client)).code == 0
    code = "import pond_client; print(pond_client.PondModel(local=True).status)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out.decode()) == (0, "disconnected\n")
