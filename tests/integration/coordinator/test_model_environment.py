"""What processes that run a model's code are given of a coordinator's environment: none of its secrets."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from livereactor.pool.port import WorkerExit, WorkerSpec
from livereactor.pool.subprocess.pool import SubprocessPool
from livereactor.wiring.catalogue import read_models

TELLS: Final = """
import json, os, pathlib
pathlib.Path(os.environ["TOLD"]).write_text(json.dumps(dict(os.environ)))
"""
MODEL: Final = """
import livereactor as lr

class Sky(lr.Model):
    main_video = lr.VideoOut(width=64, height=64, fps=10)

    def stream(self):
        yield None
"""
SECRETS: Final = {
    "LIVEREACTOR_COORDINATOR__SECRET": "that signs tokens, 32 characters or more",
    "LIVEREACTOR_COORDINATOR__WORKER_SECRET": "that workers show, 32 characters or more",
    "LIVEREACTOR_STORE__URL": "postgresql://of:us@db/facts",
    "LIVEREACTOR_TURN__SECRET": "that signs credentials",
    "LIVEREACTOR_TURN__TURN": '["user;credential;turn:turn.example:3478"]',
    "LIVEREACTOR_WEBHOOKS__SECRETS": '["whsec_that signs what is told"]',
    "livereactor_webhooks__secrets": '["whsec_in lower case means the same"]',
    "TURN_SERVERS": "user;credential;turn:turn.example:3478",
}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a process tells its environment in."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LIVEREACTOR_WORKER_SECRET", "an operator's, for workers elsewhere")
    monkeypatch.setenv("HF_HOME", "/weights")
    path = tmp_path / "told.json"
    monkeypatch.setenv("TOLD", str(path))
    return path


def seen(path: Path) -> Mapping[str, str]:
    environment = json.loads(path.read_text())
    assert environment["HF_HOME"] == "/weights"
    assert not environment.keys() & SECRETS.keys()
    return environment


async def test_a_module_that_is_read_for_its_schema_sees_no_secret(told: Path, tmp_path: Path) -> None:
    target = tmp_path / "sky.py"
    target.write_text(TELLS + MODEL)
    await read_models([str(target)])
    assert "LIVEREACTOR_WORKER_SECRET" not in seen(told)


async def test_a_worker_sees_no_secret_but_its_own(told: Path, tmp_path: Path) -> None:
    pool = SubprocessPool(tmp_path / "workers", command=lambda _: [sys.executable, "-c", TELLS])
    await pool.start(WorkerSpec("wrk_1", "sky", "", "http://127.0.0.1:1", {"LIVEREACTOR_WORKER_SECRET": "ours"}))
    assert await anext(aiter(pool.ended())) == WorkerExit("wrk_1", 0)
    await pool.aclose()
    assert seen(told)["LIVEREACTOR_WORKER_SECRET"] == "ours"
