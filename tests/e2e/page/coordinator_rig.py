"""Run a `livereactor serve` of two models, and list its open sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve

from .runtime_rig import BOARD, MODELS

ENVIRONMENT = {
    "PYTHONPATH": str(REPOSITORY),
    "LIVEREACTOR_COORDINATOR__GUESTS": "false",
    # A test that fails half-way must not wait for its sessions.
    "LIVEREACTOR_COORDINATOR__DRAIN_TIMEOUT": "1",
}


@contextmanager
def board_and_again(folder: Path) -> Iterator[Coordinator]:
    """Serve two models, each by a worker for one session; every request needs a token."""
    targets = [BOARD, f"{MODELS / 'again.py'}:Again"]
    with livereactor_serve(targets, log_path=folder / "log", environment=ENVIRONMENT) as coordinator:
        yield coordinator


def open_sessions(coordinator: Coordinator) -> list[str]:
    """Return the ids of the open sessions."""
    status, body = coordinator.call("GET", "/sessions?state=open")
    assert status == 200
    return [each["session_id"] for each in body["sessions"]]


def end_sessions(coordinator: Coordinator) -> None:
    for session in open_sessions(coordinator):
        coordinator.call("DELETE", f"/sessions/{session}")
