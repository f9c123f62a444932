"""Operators' commands at one running coordinator: on its data folder, and on its URL with a key."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from livereactor.base.errors import LivereactorError
from livereactor.cli.main import app
from tests.e2e.cli.command import LIVEREACTOR, written
from tests.tools.processes import free_port
from tests.tools.serving import Coordinator, livereactor_serve, operate

PATIENCE = 60.0
pytestmark = pytest.mark.timeout(300)  # the first starts a coordinator and a worker


@dataclass(frozen=True)
class Said:
    """What a command printed; `refusal` is the sentence that it ends with on stderr."""

    out: str
    log: str
    refusal: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        assert not self.refusal
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Said]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    folder = tmp_path_factory.mktemp("operating")
    environment = {"LIVEREACTOR_RUNTIME__LOG_FORMAT": "json"}
    with livereactor_serve([written(folder, "")], log_path=folder / "log", environment=environment) as found:
        found.wait_for_worker(timeout=90)
        yield found


@pytest.fixture(scope="module")
def admin_key(served: Coordinator) -> str:
    return operate(served.data_dir, "keys", "create", "--account", "ops", "--scope", "admin")["key"]


@pytest.fixture(params=["folder", "url"])
def command(
    request: pytest.FixtureRequest,
    served: Coordinator,
    admin_key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Runs a command, in this process, on the data folder or on the URL."""
    monkeypatch.chdir(tmp_path)
    where = {
        "folder": ["--data-dir", str(served.data_dir)],
        "url": ["--coordinator", served.url, "--key", admin_key],
    }
    return lambda *arguments: said(*arguments, *where[request.param])


def workers(served: Coordinator) -> list[dict[str, Any]]:
    return said("workers", "--json", "--data-dir", str(served.data_dir)).objects


def said(*arguments: str, environment: dict[str, str] | None = None) -> Said:
    before = structlog.get_config()
    try:
        result = CliRunner().invoke(app, arguments, env=environment)
    finally:
        structlog.configure(**before)
    error = result.exception
    if isinstance(error, LivereactorError):
        return Said(result.stdout, result.stderr, error.message)
    assert result.exit_code == 0, (result.output, error)
    return Said(result.stdout, result.stderr, "")


@pytest.fixture
def running(served: Coordinator) -> Iterator[str]:
    """A session on the only worker."""
    session = served.create("grey")["session_id"]
    served.wait_until(lambda: "capabilities" in served.call("GET", f"/sessions/{session}")[1], timeout=PATIENCE)
    yield session
    served.call("DELETE", f"/sessions/{session}", {})


@pytest.fixture
def queued(served: Coordinator, running: str) -> Iterator[str]:
    session = served.create("grey")["session_id"]
    yield session
    served.call("DELETE", f"/sessions/{session}", {})


def test_sessions_are_listed_and_one_is_shown(command: Command, running: str, queued: str) -> None:
    opened = command("sessions", "list", "--state", "open", "--json").objects
    assert [each["session_id"] for each in opened] == [queued, running]
    assert {each["account"] for each in opened} == {"tests"}
    (waiting,) = command("sessions", "list", "--state", "queued", "--json").objects
    assert (waiting["session_id"], waiting["state"]) == (queued, "SUSPENDED")
    heading, *lines = command("sessions", "list", "--state", "open").out.splitlines()
    assert heading.split()[:3] == ["SESSION", "STATE", "MODEL"]
    assert [line.split()[:3] for line in lines] == [[queued, "SUSPENDED", "grey"], [running, "WAITING", "grey"]]

    (shown,) = command("sessions", "show", running, "--json").objects
    assert {"session_id", "state", "account", "model", "worker", "created_at"} <= set(shown)
    assert (shown["session_id"], shown["model"]) == (running, "grey")
    assert any(line.split() == ["account", "tests"] for line in command("sessions", "show", running).out.splitlines())


def test_a_session_is_ended_with_a_reason_for_its_client(command: Command, served: Coordinator, running: str) -> None:
    (ended,) = command("sessions", "end", running, "--reason", "moved house", "--json").objects
    assert ended == {"session_id": running, "ended": True}
    view = served.call("GET", f"/sessions/{running}")[1]
    assert (view["state"], view["end_reason"]) == ("CLOSED", "moved house")
    assert command("sessions", "end", running).out == f"ended {running}\n"
    served.wait_until(lambda: [each["sessions"] for each in workers(served)] == [[]], timeout=PATIENCE)


def test_a_session_that_is_not_there_is_named(command: Command) -> None:
    for wrong in (("sessions", "show", "ses_nope"), ("sessions", "end", "ses_nope")):
        assert command(*wrong).refusal.startswith("no session 'ses_nope'"), wrong
    assert "use at most 64" in command("sessions", "end", "ses_nope", "--reason", "x" * 65).refusal


def test_the_queue_is_shown_in_order_with_estimates(command: Command, served: Coordinator, queued: str) -> None:
    behind = served.create("grey")["session_id"]
    rows = command("queue", "--json").objects
    assert [(each["position"], each["session_id"], each["length"]) for each in rows] == [(1, queued, 2), (2, behind, 2)]
    heading, first, second = command("queue").out.splitlines()
    assert heading.split() == ["PLACE", "SESSION", "MODEL", "ACCOUNT", "WAITED", "ESTIMATE"]
    assert first.split()[:4] == ["1", queued, "grey", "tests"]
    assert [line.index("tests") for line in (first, second)] == [heading.index("ACCOUNT")] * 2
    served.call("DELETE", f"/sessions/{behind}", {})


def test_an_empty_queue_says_so_on_stderr(command: Command) -> None:
    assert (command("queue").out, command("queue").log) == ("", "none\n")
    assert command("queue", "--json").out == ""


def test_workers_are_listed(command: Command, running: str) -> None:
    (worker,) = command("workers", "--json").objects
    assert (worker["model"], worker["state"], worker["slots"]) == ("grey", "ready", 1)
    assert worker["sessions"] == [running]
    heading, line = command("workers").out.splitlines()
    assert heading.split() == ["WORKER", "STATE", "MODEL", "NODE", "SESSIONS"]
    assert line.split()[:3] == [worker["worker"], "ready", "grey"]
    assert running in line


def test_one_id_follows_a_session_through_the_logs_of_all_processes(served: Coordinator, running: str) -> None:
    served.call("DELETE", f"/sessions/{running}", {})
    (worker,) = workers(served)
    of_worker = served.data_dir / "workers" / f"{worker['worker']}.log"
    for log, event in ((served.log_path, "session ended"), (of_worker, "session reported")):
        served.wait_until(lambda log=log, event=event: event in told_of(log, running), timeout=PATIENCE)


def told_of(log: Path, session: str) -> set[str]:
    """What a log in JSON says of a session."""
    records = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return {each.get("event", "") for each in records if each.get("session") == session}


def test_a_scraper_finds_what_every_worker_counts(served: Coordinator, admin_key: str, running: str) -> None:
    (target,) = served.call("GET", "/admin/targets", token=admin_key)[1]
    labels = target["labels"]
    (worker,) = workers(served)
    assert (labels["worker"], labels["model"], labels["slot"]) == (worker["worker"], "grey", "0")
    url = f"{labels['__scheme__']}://{target['targets'][0]}{labels['__metrics_path__']}"
    assert url.startswith(served.url)
    path = f"{labels['__metrics_path__']}?slot={labels['__param_slot']}"
    status, text = served.call("GET", path, token=admin_key)
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"livereactor_connections", "livereactor_commands", "livereactor_load_seconds"} <= names
    for wrong in (path.replace("slot=0", "slot=1"), path.replace(worker["worker"], "wrk_nope")):
        assert served.call("GET", wrong, token=admin_key)[0] == 404
    assert served.call("GET", path)[0] == 403


def test_a_worker_that_is_not_there_is_named(command: Command) -> None:
    assert command("workers", "drain", "wrk_nope").refusal.startswith("no worker 'wrk_nope'")


def test_keys_are_made_used_listed_and_revoked(command: Command, served: Coordinator) -> None:
    (made,) = command("keys", "create", "--name", "shop", "--account", "acme", "--scope", "view", "--json").objects
    assert (made["name"], made["account"], made["scopes"]) == ("shop", "acme", ["view"])
    assert served.call("GET", "/quotas", token=made["key"])[0] == 200
    (listed,) = [each for each in command("keys", "list", "--json").objects if each["id"] == made["id"]]
    assert "key" not in listed
    assert any(line.startswith(made["prefix"]) for line in command("keys", "list").out.splitlines())
    assert command("keys", "revoke", made["id"]).out == f"revoked {made['id']}\n"
    (revoked,) = [each for each in command("keys", "list", "--json").objects if each["id"] == made["id"]]
    assert revoked["revoked_at"] > made["created_at"]


def test_a_token_is_printed_and_lets_in(command: Command, served: Coordinator) -> None:
    token = command("token", "--expires-after", "60").out.strip()
    status, body = served.call("GET", "/quotas", token=token)
    assert (status, body["quotas"][0]["quota_type"]) == (200, "concurrent_sessions")


def test_usage_is_told_as_lines_json_and_csv(command: Command, served: Coordinator, running: str) -> None:
    served.call("DELETE", f"/sessions/{running}", {})
    (row,) = command("usage", "--account", "tests", "--json").objects
    assert (row["account"], row["model"], row["sessions"] >= 1, row["seconds"] > 0) == ("tests", "grey", True, True)
    (line,) = csv.DictReader(io.StringIO(command("usage", "--account", "tests", "--csv").out))
    assert (line["account"], line["model"], int(line["sessions"])) == ("tests", "grey", row["sessions"])
    assert command("usage", "--account", "tests").out.split()[:4] == ["tests", "grey", str(row["sessions"]), "sessions"]
    long_ago = command("usage", "--from", "2001-01-01", "--to", "2001-02-01")
    assert (long_ago.out, long_ago.log) == ("", "no sessions ended in this time\n")
    assert "write 2026-11-26" in command("usage", "--from", "yesterday").refusal
    assert "choose one" in command("usage", "--json", "--csv").refusal


def test_whoever_shows_no_key_or_a_weak_one_is_told_which_it_takes(served: Coordinator) -> None:
    for arguments in (("sessions", "list"), ("queue",), ("workers",), ("keys", "list"), ("usage",)):
        refusal = said(*arguments, "--coordinator", served.url).refusal
        assert refusal.endswith("with --key or LIVEREACTOR_API_KEY"), arguments
        weak = said(*arguments, "--coordinator", served.url, environment={"LIVEREACTOR_API_KEY": served.key})
        assert "lacks the scope `admin`" in weak.refusal


def test_a_coordinator_or_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for arguments in (("queue",), ("workers",), ("usage",), ("sessions", "list")):
        assert f"could not reach {url}" in said(*arguments, "--coordinator", url).refusal
        assert "there is no data folder" in said(*arguments, "--data-dir", str(tmp_path / "none")).refusal


def test_the_installed_command_keeps_its_streams_and_codes_apart(served: Coordinator) -> None:
    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        at = ["--data-dir", str(served.data_dir)]
        return subprocess.run([LIVEREACTOR, *arguments, *at], capture_output=True, text=True, timeout=60, check=False)

    failed = ran("sessions", "show", "ses_nope")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("livereactor: no session 'ses_nope'")
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("where", ["folder", "url"])
def test_a_drained_worker_is_gone(served: Coordinator, admin_key: str, where: str) -> None:
    served.wait_until(lambda: [each["state"] for each in workers(served)] == ["ready"], timeout=PATIENCE)
    (before,) = workers(served)
    at = ["--coordinator", served.url, "--key", admin_key] if where == "url" else ["--data-dir", str(served.data_dir)]
    assert said("workers", "drain", before["worker"], *at).out == f"draining {before['worker']}\n"
    served.wait_until(lambda: before["worker"] not in [each["worker"] for each in workers(served)], timeout=PATIENCE)
