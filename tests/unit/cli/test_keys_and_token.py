"""`livereactor keys` and `livereactor token` on a data folder, and towards a coordinator that is not there."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from livereactor.base.errors import ConfigError, LivereactorError, NotFoundError, UnavailableError, UsageError
from livereactor.cli.main import app
from livereactor.coordinator.auth.caller import ALL_SCOPES, SESSION_SCOPES
from livereactor.coordinator.auth.keys import KEY
from livereactor.coordinator.auth.secrets import kept_secrets
from livereactor.coordinator.auth.tokens import Tokens
from tests.tools.processes import free_port

Command = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def command(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in an empty folder, with the data folder in the environment."""
    monkeypatch.chdir(tmp_path)
    before = structlog.get_config()

    def run(*arguments: str) -> Result:
        try:
            return CliRunner().invoke(app, [*arguments], env={"LIVEREACTOR_DATA_DIR": str(data)})
        finally:
            structlog.configure(**before)

    return run


def refusal(result: Result, kind: type[LivereactorError]) -> str:
    assert isinstance(result.exception, kind)
    return result.exception.message


def created(command: Command, *arguments: str) -> dict:
    result = command("keys", "create", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_key_is_the_only_line_on_stdout(command: Command) -> None:
    result = command("keys", "create", "--name", "website")
    assert result.exit_code == 0
    assert KEY.fullmatch(result.stdout.strip())
    assert "shown only once" in result.stderr


def test_the_first_key_that_counts_says_that_guests_are_over(command: Command) -> None:
    told = "From now on everyone needs a key or a token"
    first = command("keys", "create")
    assert KEY.fullmatch(first.stdout.strip())
    assert told in first.stderr
    assert told not in command("keys", "create").stderr
    for row in command("keys", "list", "--json").stdout.splitlines():
        command("keys", "revoke", json.loads(row)["id"])
    assert told in command("keys", "create").stderr


def test_a_first_key_for_scripts_is_all_that_is_said(command: Command) -> None:
    assert command("keys", "create", "--json").stderr == ""


def test_no_keys_are_told_on_stderr(command: Command, data: Path) -> None:
    data.mkdir()
    shown = command("keys", "list")
    assert (shown.stdout, shown.stderr) == ("", "no keys\n")
    assert command("keys", "list", "--json").output == ""


def test_for_scripts_a_key_is_one_object(command: Command) -> None:
    made = created(command, "--account", "acme", "--scope", "view", "--scope", "admin", "--max-sessions", "0")
    assert KEY.fullmatch(made["key"])
    assert (made["account"], made["scopes"]) == ("acme", ["admin", "view"])


def test_the_data_folder_is_its_owners_alone(command: Command, data: Path) -> None:
    created(command)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600


def test_keys_are_listed_without_what_opens_anything(command: Command) -> None:
    made = created(command, "--name", "website")
    lines = command("keys", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [made["id"]]
    shown = command("keys", "list").stdout
    assert made["prefix"] in shown
    assert "never used" in shown
    assert made["key"] not in shown


def test_a_key_is_revoked_by_what_the_list_shows(command: Command) -> None:
    made = created(command)
    result = command("keys", "revoke", made["prefix"])
    assert result.stdout == f"revoked {made['id']}\n"
    assert "revoked 20" in command("keys", "list").stdout


def test_a_key_that_is_not_there_is_named(command: Command) -> None:
    created(command)
    assert refusal(command("keys", "revoke", "rk_nope"), NotFoundError).startswith("no key 'rk_nope'")


def test_a_data_folder_that_is_not_there_is_not_made_by_looking(command: Command, data: Path) -> None:
    assert f"no data folder {data}" in refusal(command("keys", "list"), ConfigError)
    assert not data.exists()


def test_a_token_is_printed_and_counts(command: Command, data: Path) -> None:
    result = command("token", "--model", "pond", "--expires-after", "60")
    caller = Tokens(kept_secrets(data).token_keys).verify(result.stdout.strip(), now_at=0)
    assert (caller.account, caller.models, caller.scopes) == ("default", {"pond"}, SESSION_SCOPES)


def test_a_token_tells_scripts_when_it_ends_and_what_it_grants(command: Command, data: Path) -> None:
    answer = json.loads(command("token", "--admin", "--account", "ops", "--json").stdout)
    caller = Tokens(kept_secrets(data).token_keys).verify(answer["jwt"], now_at=0)
    assert (caller.account, caller.scopes, caller.expires_at) == ("ops", ALL_SCOPES, answer["expires_at"])


def test_a_token_for_a_session_that_is_not_there_is_refused(command: Command) -> None:
    assert "no open session 'ses_1'" in refusal(command("token", "--session", "ses_1"), NotFoundError)


def test_the_option_wins_over_the_environment(command: Command, data: Path, tmp_path: Path) -> None:
    created(command, "--data-dir", str(tmp_path / "other"))
    assert (tmp_path / "other").is_dir()
    assert not data.exists()


def test_a_coordinator_that_is_not_there_is_named_with_its_address(command: Command) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    message = refusal(command("keys", "list", "--coordinator", url), UnavailableError)
    assert message == f"could not reach {url} (connection refused); check that it is running"


def test_what_is_no_url_is_refused(command: Command) -> None:
    assert "write https://host:port" in refusal(command("token", "--coordinator", "here"), UsageError)
