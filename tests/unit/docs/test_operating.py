"""The operators' page of the docs: its commands are typed, its verification verifies, its lists are whole."""

import base64
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from livereactor.base.errors import LivereactorError
from livereactor.base.signatures import signed, signing_key
from livereactor.cli.main import app
from livereactor.settings import resolve
from tests.tools.figures import figures_of_outputs
from tests.tools.processes import REPOSITORY
from tests.unit.coordinator.service_rig import Rig

PAGE = (REPOSITORY / "docs/operating.md").read_text(encoding="utf-8")
SERVING = ("livereactor serve", "livereactor worker ", "livereactor doctor", "export ")  # tried elsewhere
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)


def test_every_command_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [re.sub(r"\s+#.*", "", line) for block in blocks("bash") for line in block.splitlines()]
    for line in lines:
        if line.startswith("livereactor ") and not line.startswith(SERVING):
            type_in(line.partition(" > ")[0])
        elif not line.startswith(SERVING):
            command = line.replace("python ", f"{sys.executable} ", 1)
            done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "backup/livereactor.db").stat().st_size > 0
    assert len(lines) > 15


def type_in(line: str) -> None:
    before = structlog.get_config()
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    structlog.configure(**before)
    if "…" in line:  # about something that only a reader has: it is understood, and not there
        assert isinstance(result.exception, LivereactorError), (line, result.output)
        assert result.exception.message.startswith("no "), result.exception.message
    else:
        assert result.exit_code == 0, (line, result.output)


def test_its_settings_are_settings(tmp_path: Path) -> None:
    text = "\n".join(blocks("toml")).replace("whsec_…", SECRET)
    (tmp_path / "livereactor.toml").write_text(text, encoding="utf-8")
    settings = resolve(tmp_path, command_line={}, environ={}).settings
    assert settings.webhooks.secrets == [SECRET]
    assert settings.coordinator.public_url == "https://live.example"


def test_what_is_signed_here_is_verified_there() -> None:
    (code,) = blocks("python")
    there: dict = {}
    exec(code, there)
    body = b'{"type": "session.ended"}'
    now = int(time.time())
    for keys in ([signing_key(SECRET)], [b"another", signing_key(SECRET)]):
        headers = dict(signed(keys, "evt_1", now, body))
        assert there["is_genuine"](SECRET, headers, body)
        assert not there["is_genuine"](SECRET, headers, body + b" ")
    assert not there["is_genuine"](SECRET, dict(signed([b"another"], "evt_1", now, body)), body)
    assert not there["is_genuine"](SECRET, dict(signed([signing_key(SECRET)], "evt_1", now - 3600, body)), body)


async def test_every_figure_is_explained() -> None:
    families = text_string_to_metric_families((await Rig().service.metrics.render()).decode())
    names = [family.name for family in families if not family.name.endswith("_created")]
    assert [name for name in names if f"`{name}" not in PAGE] == []
    known = {*names, *(f"{name}_total" for name in names), *figures_of_outputs()}
    assert [name for name in re.findall(r"`(livereactor_[a-z_]+)`", PAGE) if name not in known] == []


def test_every_event_is_listed() -> None:
    written = [file.read_text() for file in (REPOSITORY / "src/livereactor/coordinator/decisions").glob("*.py")]
    kinds = set(re.findall(r'"((?:session|worker)\.[a-z]+)"', "\n".join(written)))
    assert kinds
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in PAGE] == []
