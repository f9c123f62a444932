"""Typed clients of all our models pass pyright's strict rules, and say the types that programs rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from livereactor.cli.commands.serve import MODELS
from livereactor.client.codegen import client_of
from livereactor.runtime.authoring.definition import definition_of
from livereactor.runtime.execution.loading import load_model
from tests.tools.processes import REPOSITORY
from tests.unit.client.everything import LAMP

CONFORMANCE = ("conformance.py", "conformance_av.py")
PROGRAM = """
from typing import assert_type

from lamp_client import Brush, FileRef, Point, RainLampModel, State, SyncRainLampModel, TrackName, Tuned


async def main(image: FileRef) -> None:
    async with RainLampModel(local=True) as lamp:
        assert_type(await lamp.get_state_(), State)
        assert_type(await lamp.peek(), State | None)
        assert_type(await lamp.tune(step=0.5, any={"x": 1}), Tuned)
        assert_type(await lamp.set_colour("#000"), None)
        await lamp.paint(Brush(size=3, at=Point(x=0.5), weights={"red": 2}), layers=[{"a": None}])
        await lamp.show(image, others=[image])

        @lamp.on_state
        def changed(state: State) -> None:
            assert_type(state.n, int)
            assert_type(state.brush, Brush | None)

        async def slowly(state: State) -> None: ...

        lamp.on_state(slowly)
        lamp.track(TrackName.MAIN_VIDEO)


def blocking() -> None:
    with SyncRainLampModel(local=True) as lamp:
        assert_type(lamp.get_state_(), State)
        assert_type(lamp.peek(), State | None)


async def mistakes(lamp: RainLampModel) -> None:
    await lamp.paint(Brush(size="3"))  # pyright: ignore[reportArgumentType]
    await lamp.paint(Brush(size=3), mood="sad")  # pyright: ignore[reportArgumentType]
    await lamp.show("a.png")  # pyright: ignore[reportArgumentType]
    await lamp.dim()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    lamp.on_state(lambda n: n + 1)  # pyright: ignore[reportOperatorIssue, reportUnknownLambdaType]
"""


def test_the_clients_of_all_our_models_pass_pyright_strict(tmp_path: Path) -> None:
    for target in (*MODELS, *CONFORMANCE):
        schema = definition_of(load_model(str(REPOSITORY / "examples" / target))).schema
        (tmp_path / f"{schema.name.replace('-', '_')}_client.py").write_text(client_of(schema), encoding="utf-8")
    (tmp_path / "lamp_client.py").write_text(client_of(LAMP), encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    strict = {
        "include": ["."],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "reportUnnecessaryTypeIgnoreComment": True,  # so every mistake in the program has to be one
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(strict), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "-p", str(tmp_path), "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    said = json.loads(done.stdout)
    found = [f"{Path(each['file']).name}: {each['message']}" for each in said["generalDiagnostics"]]
    assert found == []
    assert said["summary"]["filesAnalyzed"] == len(MODELS) + len(CONFORMANCE) + 2
