"""A model that reads another account's upload, the database and the secrets, and registers as another worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from livereactor.coordinator.auth.secrets import kept_secrets
from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve

MODELS = Path(__file__).with_name("models_that_try.py")
UPLOAD = b"only for the eyes of prey"
WEBHOOKS = "LIVEREACTOR_WEBHOOKS__SECRETS"
HUSH = "whsec_of the coordinator, and nobody else"


def told(served: Coordinator, folder: Path, phase: str) -> dict[str, Any]:
    path = folder / f"{phase}.json"
    served.wait_until(path.exists, timeout=60)
    return json.loads(path.read_text())


def uploaded(served: Coordinator) -> str:
    """The key of a file that a visitor of the other model has uploaded."""
    session = served.create("prey")["session_id"]
    served.wait_until(lambda: "capabilities" in served.call("GET", f"/sessions/{session}")[1], timeout=60)
    asked = {"name": "a.txt", "size": len(UPLOAD), "mime_type": "text/plain"}
    status, body = served.call("POST", f"/sessions/{session}/uploads", asked)
    assert status < 300, body
    folder = served.data_dir / "blobs" / "sessions" / session
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "content").write_bytes(UPLOAD)
    return f"sessions/{session}/content"


@pytest.mark.parametrize("spare", ["false", "true"])
def test_a_model_gets_nothing_of_others(tmp_path: Path, spare: str) -> None:
    tries, data = tmp_path / "tries", tmp_path / "data"
    tries.mkdir()
    about = {"data": str(data), "coordinator": 1}
    (tries / "early.json").write_text(json.dumps(about))
    environment = {"PYTHONPATH": str(REPOSITORY), "TRIES": str(tries), "LIVEREACTOR_POOL__SPARE": spare}
    environment |= {"LIVEREACTOR_COORDINATOR__DRAIN_TIMEOUT": "1", WEBHOOKS: json.dumps([HUSH])}
    targets = [f"{MODELS}:Prey", f"{MODELS}:Spy"]
    with livereactor_serve(targets, log_path=tmp_path / "log", environment=environment, data_dir=data) as served:
        workers = {each["model"]: each["worker"] for each in served.wait_for_worker(count=2)}
        about |= {"coordinator": served.process.pid, "url": served.url, "upload": uploaded(served)}
        about |= {"worker": workers["prey"], "own": workers["spy"]}
        (tries / "attack.draft").write_text(json.dumps(about))
        (tries / "attack.draft").rename(tries / "attack.json")
        secrets = kept_secrets(data)
        for phase in ("imported", "served"):
            found = told(served, tries, phase)
            assert {name: got for name, got in found["got"].items() if got} == {}, phase
            said = json.dumps(found["environment"])
            hidden = (*secrets.masters, *secrets.worker_ring, served.key, HUSH)
            assert [each for each in hidden if each in said] == [], phase
        # Nobody was hung up on, and the other model serves on.
        assert {each["model"]: each["worker"] for each in served.workers()} == workers
        assert (data / "blobs" / str(about["upload"])).read_bytes() == UPLOAD
