"""A model that reads another account's upload, the database and the secrets, and registers as another worker."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from livereactor.coordinator.auth.secrets import kept_secrets
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, identified
from tests.tools.processes import LIVEREACTOR, REPOSITORY, background
from tests.tools.serving import Coordinator, livereactor_serve, operate

MODELS = Path(__file__).with_name("models_that_try.py")
UPLOAD = b"only for the eyes of prey"
SIGNERS = ("LIVEREACTOR_WEBHOOKS__SECRETS", "LIVEREACTOR_MODERATION__SECRETS")
HUSH = "whsec_of the coordinator, and nobody else"
LEAST = 30  # things that it tries at least: what was not tried was not refused


def told(served: Coordinator, folder: Path, phase: str) -> dict[str, Any]:
    path = folder / f"{phase}.json"
    served.wait_until(path.exists, timeout=60)
    return json.loads(path.read_text())


def uploaded(served: Coordinator) -> tuple[str, str]:
    """A session of the other model, and the key of a file that its visitor has uploaded."""
    session = served.create("prey")["session_id"]
    served.wait_until(lambda: "capabilities" in served.call("GET", f"/sessions/{session}")[1], timeout=60)
    asked = {"name": "a.txt", "size": len(UPLOAD), "mime_type": "text/plain"}
    status, body = served.call("POST", f"/sessions/{session}/uploads", asked)
    assert status < 300, body
    folder = served.data_dir / "blobs" / "sessions" / session
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "content").write_bytes(UPLOAD)
    return session, f"sessions/{session}/content"


def attacked(served: Coordinator, tries: Path, **about: Any) -> dict[str, Any]:
    """What the model tried, and got, once it was told whom to attack."""
    ready = {each["model"]: each for each in served.wait_for_worker(count=2)}
    session, upload = uploaded(served)
    workers = json.loads((served.data_dir / "workers" / f"{ready['prey']['worker']}.json").read_text())
    about |= {"coordinator": served.process.pid, "url": served.url, "upload": upload, "session": session}
    about |= {"worker": ready["prey"]["worker"], "own": ready["spy"]["worker"], "workers": [workers["pid"]]}
    (tries / "attack.draft").write_text(json.dumps(about))
    (tries / "attack.draft").rename(tries / "attack.json")
    found = told(served, tries, "served")
    # Nobody was hung up on, and the other model serves on.
    assert {each["model"]: each["worker"] for each in served.workers()} == {
        model: each["worker"] for model, each in ready.items()
    }
    assert (served.data_dir / "blobs" / upload).read_bytes() == UPLOAD
    return found


def must_have_nothing(served: Coordinator, found: dict[str, Any], *, least: int = LEAST) -> None:
    assert {name: got for name, got in found["got"].items() if got} == {}
    assert len(found["got"]) >= least
    secrets = kept_secrets(served.data_dir)
    said = json.dumps(found["environment"])
    hidden = (*secrets.masters, *secrets.worker_ring, served.key, HUSH, "wk_")
    assert [each for each in hidden if each in said] == []


@pytest.mark.parametrize("spare", ["false", "true"])
def test_a_model_gets_nothing_of_others(tmp_path: Path, spare: str) -> None:
    tries, data = tmp_path / "tries", tmp_path / "data"
    tries.mkdir()
    (tries / "early.json").write_text(json.dumps({"data": str(data), "coordinator": os.getpid()}))
    environment = {"PYTHONPATH": str(REPOSITORY), "TRIES": str(tries), "LIVEREACTOR_POOL__SPARE": spare}
    environment |= {"LIVEREACTOR_COORDINATOR__DRAIN_TIMEOUT": "1", **dict.fromkeys(SIGNERS, json.dumps([HUSH]))}
    targets = [f"{MODELS}:Prey", f"{MODELS}:Spy"]
    with livereactor_serve(targets, log_path=tmp_path / "log", environment=environment, data_dir=data) as served:
        found = attacked(served, tries, data=str(data))
        must_have_nothing(served, found)
        must_have_nothing(served, told(served, tries, "imported"), least=20)


@pytest.mark.parametrize("shown", ["minted", "secret"])
def test_a_model_of_an_operators_worker_gets_nothing_of_others(tmp_path: Path, shown: str) -> None:
    """The worker is started by hand, as on another machine, with a minted credential or the worker secret."""
    tries, data = tmp_path / "tries", tmp_path / "data"
    tries.mkdir()
    environment = {"PYTHONPATH": str(REPOSITORY), "LIVEREACTOR_COORDINATOR__DRAIN_TIMEOUT": "1"}
    targets = [f"{MODELS}:Prey"]
    with livereactor_serve(targets, log_path=tmp_path / "log", environment=environment, data_dir=data) as served:
        secrets = kept_secrets(data)
        given = secrets.worker
        if shown == "minted":
            [minted] = operate(data, "workers", "mint", "--model", "spy", "--name", "gpu-1")
            given = minted["credential"]
            assert identified(given, secrets.worker_ring, now_at=0) == WorkerIdentity("gpu-1", "spy", is_family=True)
        more = {"TRIES": str(tries), "LIVEREACTOR_WORKER_SECRET": given, "PYTHONPATH": str(REPOSITORY)}
        command = [*LIVEREACTOR, "worker", f"{MODELS}:Spy", "--coordinator", served.url]
        with background(command, url=served.url, log_path=tmp_path / "worker", environment=more):
            must_have_nothing(served, attacked(served, tries, unbound=shown == "secret"))
