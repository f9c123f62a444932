"""The official runtimes with our conformance model, as programs: to check the harness and to race against.

Each lives in an environment of its own, `.venv-official-3` and `-2`, which `bench/official/setup.sh` makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.tools.processes import REPOSITORY, Program, free_port, running
from tests.tools.stun import stun_server

OFFICIAL = REPOSITORY / "bench" / "official"
VERSIONS = {3: "3.10.0", 2: "2.10.1"}
# Where each reads whether to record: 3.10 below `runtime`, 2.10 beside it.
MANIFEST = """\
model: {{name: conformance}}
runtime: {{import: "conformance:{model}", recording: {{enabled: {recording}}}}}
recording: {{enabled: {recording}}}
"""


def python_of(version: int) -> Path:
    """The interpreter of that official runtime, 2 or 3; may not be there."""
    return REPOSITORY / f".venv-official-{version}/bin/python"


@contextmanager
def official_run(
    version: int,
    *,
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    model: str = "Conformance",
    recording: bool = True,
    silent_stun: bool = False,
) -> Iterator[Program]:
    """That official runtime on a free port, with the class `model` of our module written for it."""
    directory = log_path.parent
    manifest = MANIFEST.format(model=model, recording=str(recording).lower())
    (directory / "reactor.yaml").write_text(manifest)
    port = free_port()
    # It always asks a STUN server, a public one by default, and waits for seconds where none answers.
    with stun_server(silent=silent_stun) as stun:
        variables = {
            "HOST": "0.0.0.0",
            "PORT": str(port),
            "STUN_SERVERS": f"stun:{stun}",
            "PYTHONPATH": f"{OFFICIAL}:{OFFICIAL / f'runtime{version}'}",
            "REACTOR_RECORDINGS_DIR": str(directory / "recordings"),
            **(environment or {}),
        }
        command = [str(python_of(version)), "-m", "reactor_runtime.serve"]
        if version == 2:
            command += ["run", "--port", str(port)]
        with running(command, port=port, log_path=log_path, environment=variables, directory=directory) as program:
            yield program
