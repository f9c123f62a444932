"""`livereactor limits`, of the settings here and of a running coordinator."""

from __future__ import annotations

import asyncio
import json

from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from livereactor.cli.main import app
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from tests.integration.coordinator.rig import coordinating


def said(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["limits", *arguments], env=environment)


def test_limits_are_those_of_the_settings_here() -> None:
    answer = said("--json", LIVEREACTOR_COORDINATOR__CONCURRENT_SESSIONS="7")
    assert json.loads(answer.stdout) == CoordinatorOptions().bounds() | {"concurrent_sessions": 7}


def test_people_read_units_and_what_is_unlimited() -> None:
    lines = dict(
        line.split(maxsplit=1) for line in said(LIVEREACTOR_COORDINATOR__CONCURRENT_SESSIONS="0").stdout.splitlines()
    )
    assert lines["concurrent_sessions"] == "unlimited"
    assert (lines["upload_bytes"], lines["message_bytes"]) == ("100 MiB", "256 KiB")
    assert (lines["max_session_duration"], lines["steps"]) == ("1,200 s", "10,000")


async def test_limits_elsewhere_are_that_coordinators() -> None:
    options = CoordinatorOptions(quotas=Quotas(9, 9, 9))
    with capture_logs():  # the coordinator's would go to the command's stdout
        async with coordinating(options) as served:
            answer = await asyncio.to_thread(said, "--json", "--coordinator", served.url)
    assert json.loads(answer.stdout) == options.bounds()


def test_what_operators_set_is_what_is_kept() -> None:
    given = {
        "RUNTIME__UPLOAD_BYTES": "7",
        "RUNTIME__UPLOAD_SESSION_BYTES": "8",
        "RUNTIME__IMAGE_PIXELS": "10",
        "RUNTIME__UPLOAD_URL_LIFETIME": "9",
        "RUNTIME__UPLOAD_WAIT": "5",
        "RUNTIME__CLIENT_SILENCE": "21",
        "RUNTIME__HEADER_WAIT": "6",
        "RUNTIME__ADDRESS_SOCKETS": "77",
        "RUNTIME__MAX_CONNECTIONS": "3",
        "RUNTIME__TIME_WARNING": "11",
        "COORDINATOR__ANONYMOUS_PER_MINUTE": "12",
        "COORDINATOR__CREATIONS_PER_MINUTE": "13",
        "COORDINATOR__SESSION_BURST": "4",
        "COORDINATOR__LEASE": "14",
        "COORDINATOR__POLL_HOLD": "15",
        "COORDINATOR__TOKEN_LIFETIME": "16",
        "COORDINATOR__SCOPED_TOKEN_LIFETIME": "17",
        "COORDINATOR__CLOSED_SESSION_KEPT": "61",
    }
    told = json.loads(said("--json", **{f"LIVEREACTOR_{name}": value for name, value in given.items()}).stdout)
    assert {name: told[name.partition("__")[2].lower()] for name in given} == {n: float(v) for n, v in given.items()}
