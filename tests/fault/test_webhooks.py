"""No event is lost to an operator's service, whoever of the two is away meanwhile."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.cli.command import written
from tests.tools.processes import free_port
from tests.tools.serving import Coordinator, livereactor_serve, operate
from tests.tools.webhooks import Receiver, receiving

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
ENDED = ["session.created", "session.assigned", "session.accepted", "session.ended"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(SECRET) as found:
        yield found


@pytest.mark.timeout(300)
def test_a_killed_coordinator_tells_after_its_restart_what_its_receiver_was_away_for(
    receiver: Receiver, tmp_path: Path
) -> None:
    environment = {
        "LIVEREACTOR_WEBHOOKS__URLS": json.dumps([receiver.url]),
        "LIVEREACTOR_WEBHOOKS__SECRETS": json.dumps([SECRET]),
        "LIVEREACTOR_POOL__IDLE_STOP": "600",
    }
    served: dict[str, Any] = {"environment": environment, "data_dir": tmp_path / "data", "port": free_port()}
    model = [written(tmp_path, "")]
    with livereactor_serve(model, log_path=tmp_path / "1", **served) as first:
        first.wait_for_worker()
        heard = one_session(first)
        receiver.wait_until(lambda: of(receiver, heard) == ENDED, timeout=20)

        receiver.away = True
        missed = one_session(first)
        receiver.wait_until(lambda: receiver.turned_away > 0, timeout=20)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
    assert of(receiver, missed) == []
    receiver.away = False
    with livereactor_serve(model, log_path=tmp_path / "2", **served) as second:
        receiver.wait_until(lambda: of(receiver, missed) == ENDED, timeout=45)
        later = one_session(second)
        receiver.wait_until(lambda: of(receiver, later) == ENDED, timeout=20)
        # One that was taken as we were killed may have come twice, under its id; none is missing and none is late.
        told = list(dict.fromkeys(receiver.ids))
        assert told == [f"evt_{seq}" for seq in journal(second, len(told))]
    assert len(told) >= 3 * len(ENDED)
    assert receiver.wrong == []
    assert SECRET not in (tmp_path / "1").read_text() + (tmp_path / "2").read_text()


def one_session(coordinator: Coordinator) -> str:
    """A Session that a Worker accepted and that is over."""
    session = coordinator.create("grey")["session_id"]
    status, view = coordinator.call("GET", f"/sessions/{session}?wait=20")
    assert (status, "capabilities" in view) == (200, True), view
    coordinator.call("DELETE", f"/sessions/{session}", {})
    return session


def of(receiver: Receiver, session: str) -> list[str]:
    return [each["type"] for each in list(receiver.taken) if each["data"].get("session_id") == session]


def journal(coordinator: Coordinator, count: int) -> list[int]:
    """Numbers of the first events there were, `count` at least."""
    token: dict[str, Any] = operate(coordinator.data_dir, "token", "--admin")
    found: list[int] = []
    headers = {"Authorization": f"Bearer {token['jwt']}"}
    with httpx2.stream("GET", f"{coordinator.url}/events", headers=headers, timeout=10) as answer:
        for line in answer.iter_lines():
            if line.startswith("id: "):
                found.append(int(line.removeprefix("id: ")))
            if len(found) >= count:
                break
    return found
