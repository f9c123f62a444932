"""The ten lines of docs/security.md that put `serve` alone on a network, done as they stand."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.test_a_model_that_tries import MODELS
from tests.tools.processes import LIVEREACTOR, REPOSITORY, background, free_port, request

USER = 65534  # nobody: not root, and not who installed livereactor
PUBLIC = ("/", "/models", "/health", "/limits", "/openapi.json")  # its table "What is public"


def as_user(*command: str) -> list[str]:
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--", *command]


def address_of_this_machine() -> str:
    """One that is not loopback, as the internet's would be; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(asking.getsockname()[0])


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of the service's user, beside pytest's own folders, which that user cannot enter."""
    can_be = os.getuid() == 0 and shutil.which("setpriv") is not None
    help_in_shell = as_user("sh", "-c", f"{LIVEREACTOR[0]} --help")
    if not can_be or subprocess.run(help_in_shell, capture_output=True, check=False).returncode != 0:
        pytest.skip("takes root, and a checkout that other users can read")
    folder = Path(tempfile.mkdtemp(prefix="facing-"))
    try:
        os.chown(folder, USER, USER)
        yield folder
    finally:
        shutil.rmtree(folder)


def test_serve_alone_faces_a_network(home: Path) -> None:
    address, port = address_of_this_machine(), free_port()
    url = f"http://{address}:{port}"
    (home / "livereactor.toml").write_text(f"""
[coordinator]
public_url = "{url}"
drain_timeout = 1
[runtime]
max_session_duration = 600
""")
    environment = {"HOME": str(home), "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    known = {**os.environ, **environment}

    def operate(*arguments: str) -> str:
        done = subprocess.run(
            as_user(*LIVEREACTOR, *arguments), cwd=home, env=known, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    quotas = ("--max-sessions", "2", "--sessions-per-minute", "30")
    key = json.loads(operate("keys", "create", "--name", "website", "--account", "acme", *quotas, "--json"))["key"]
    command = as_user(*LIVEREACTOR, "serve", f"{MODELS}:Prey", "--host", "0.0.0.0", "--port", str(port))
    with background(command, url=url, log_path=home / "log", environment=environment, directory=home) as served:
        served.wait_ready(timeout=60)
        assert {path: request(url + path)[0] for path in PUBLIC} == dict.fromkeys(PUBLIC, 200)
        described = request(url + "/openapi.json")[1]["paths"]
        closed = {path for path, does in described.items() if "get" in does and "{" not in path}.difference(PUBLIC)
        assert {"/sessions", "/metrics", "/admin/overview", "/keys"} <= closed
        assert {path: request(url + path)[0] for path in closed} == dict.fromkeys(closed, 401)
        # Neither a name nor an address that somebody says makes a guest of this machine of them.
        forged = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost", "Host": "localhost"}
        for path in ("/sessions", "/metrics"):
            assert request(url + path, headers=forged)[0] == 401
            assert request(f"http://127.0.0.1:{port}{path}", headers={"Host": "localhost"})[0] == (
                200 if path == "/metrics" else 401
            )
        for path in ("/sessions", "/tokens"):
            assert request(url + path, method="POST", body=b"{}")[0] == 401

        def asked(path: str, body: object) -> tuple[int, dict[str, str]]:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            return request(url + path, method="POST", body=json.dumps(body).encode(), headers=headers)

        details = [{"type": "session", "resources": {"models": {"match": ["prey"]}}}]
        status, token = asked("/tokens", {"expires_after": 600, "subject": "ada", "authorization_details": details})
        assert status == 200, token
        statuses = [asked("/sessions", {"model": {"name": "prey"}})[0] for _ in range(3)]
        assert statuses == [201, 201, 429]

        def said() -> str:
            return "".join(each.read_text() for each in (home / "livereactor-data/workers").glob("*.log"))

        served.wait_until(lambda: "confined before the model is loaded" in said(), timeout=60)
        assert "can change the programs" not in said()
        assert json.loads(operate("limits", "--coordinator", url, "--key", key, "--json").splitlines()[0])
        operate("doctor")
