import pytest
from typer.testing import CliRunner

from livereactor.cli.main import app

MODELS = ["new", "run", "dev", "demo", "schema", "validate", "doctor"]
OPERATING = [
    "serve",
    "worker",
    "keys",
    "token",
    "sessions",
    "queue",
    "workers",
    "usage",
    "config",
    "limits",
    "replay",
    "export",
]
USING = ["codegen", "connect", "probe", "bench", "stats"]
COMMANDS = [*MODELS, *OPERATING, *USING]


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.output


def test_every_short_help_is_a_whole_sentence() -> None:
    lines = said("--help").partition("Commands:")[2].strip().splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(COMMANDS)
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert "Example: " in said(command, "--help")
    assert f"livereactor {command}" in said(command, "--help")
