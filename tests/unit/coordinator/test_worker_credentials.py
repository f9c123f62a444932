"""Credentials of workers: whose they are, which secret made them, and how long they hold."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from livereactor.base.errors import ForbiddenError, UnauthorizedError
from livereactor.cli.main import app
from livereactor.coordinator.auth.secrets import given_secrets
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, claimed_name, credential, identified

OLD, NEW = "o" * 40, "n" * 40
POND = WorkerIdentity("wrk_1", "pond")


def test_a_credential_made_before_the_secret_changed_still_holds_and_goes_with_the_secret() -> None:
    before, rotated, after = given_secrets(OLD), given_secrets(f"{NEW},{OLD}"), given_secrets(NEW)
    shown = credential(before.worker, POND)
    assert identified(shown, rotated.worker_ring, now_at=0) == POND
    with pytest.raises(UnauthorizedError):
        identified(shown, after.worker_ring, now_at=0)


def test_an_operators_worker_secret_makes_credentials_too() -> None:
    ring = given_secrets(NEW, worker="between us two, and longer").worker_ring
    assert identified(credential("between us two, and longer", POND), ring, now_at=0) == POND


def test_it_expires() -> None:
    shown = credential("s" * 32, POND, expires_at=100)
    assert identified(shown, ["s" * 32], now_at=99.9) == POND
    with pytest.raises(UnauthorizedError, match="expired"):
        identified(shown, ["s" * 32], now_at=100)


def test_an_identity_covers_its_own_worker_and_model() -> None:
    POND.must_cover("wrk_1", "pond")
    WorkerIdentity().must_cover("any", "other")
    WorkerIdentity("gpu", is_family=True).must_cover("gpu-1", "any")
    for worker, model in (("wrk_2", "pond"), ("wrk_1-2", "pond"), ("wrk_1", "garden")):
        with pytest.raises(ForbiddenError):
            POND.must_cover(worker, model)


def test_the_command_mints_one_for_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEREACTOR_COORDINATOR__SECRET", NEW)
    done = CliRunner().invoke(app, ["workers", "mint", "--model", "pond", "--name", "gpu-1"])
    shown = done.stdout.strip()
    assert identified(shown, given_secrets(NEW).worker_ring, now_at=0) == WorkerIdentity("gpu-1", "pond", True)
    assert claimed_name(shown) == "gpu-1"
