"""Rotation of the worker secret: workers with credentials of the old one stay, until the old one is removed."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from livereactor.coordinator.auth.secrets import Secrets, given_secrets
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, credential
from livereactor.protocol import link
from livereactor.store.memory.store import MemoryStore
from tests.integration.coordinator import rig
from tests.integration.coordinator.rig import FakeWorker, coordinating, dialled, hello

MASTER, OLD, NEW = "m" * 40, "o" * 40, "n" * 40
MINTED = WorkerIdentity("gpu-1", "pond", is_family=True)
STEPS = {
    "the master secret": (given_secrets(OLD), given_secrets(f"{NEW},{OLD}"), given_secrets(NEW)),
    "the worker secret": tuple(given_secrets(MASTER, worker=each) for each in (OLD, f"{NEW}, {OLD}", NEW)),
}


@pytest.mark.parametrize("rotated", STEPS)
async def test_workers_stay_until_the_old_secret_is_removed(rotated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, both, after = STEPS[rotated]
    store = MemoryStore()
    old, new = credential(before.worker, MINTED), credential(both.worker, MINTED)
    assert both.worker == after.worker != before.worker

    async def answers(secrets: Secrets, **shown: str) -> dict[str, str]:
        """What a restarted coordinator with these secrets says to each of these, a worker that dials again."""
        monkeypatch.setattr(rig, "SECRETS", secrets)
        found: dict[str, str] = {}
        async with coordinating(store=store) as served:
            for name, secret in shown.items():
                try:
                    async with dialled(served, secret) as socket:
                        worker = FakeWorker(socket, f"gpu-1-{name}", "incarnation-1", 1)
                        await worker.say(hello(worker))
                        found[name] = link.read_from_coordinator(await socket.recv()).type
                except InvalidStatus as refused:
                    found[name] = str(refused.response.status_code)
        return found

    everyone = {"old": old, "new": new, "secret": before.worker}
    assert await answers(before, **everyone) == {"old": "welcome", "new": "401", "secret": "welcome"}
    assert await answers(both, **everyone) == dict.fromkeys(everyone, "welcome")
    assert await answers(after, **everyone) == {"old": "401", "new": "welcome", "secret": "401"}
