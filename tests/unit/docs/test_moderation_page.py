"""The page about moderation: its hooks run, its settings are settings, its tables are whole."""

from __future__ import annotations

import base64
import json
import re
import threading
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from livereactor.moderation.function.call import load_function
from livereactor.moderation.http.hook import HttpModerator
from livereactor.moderation.port import FileInQuestion, Question, TextInQuestion, VerdictAction
from livereactor.moderation.verdicts import question_json
from livereactor.settings import resolve
from tests.tools.processes import REPOSITORY

PAGE = (REPOSITORY / "docs/moderation.md").read_text(encoding="utf-8")
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)


def asking(prompt: str) -> Question:
    return Question("ses_1", "acme", "painter", "set_prompt", (TextInQuestion("prompt", prompt),))


async def test_the_hook_of_the_page_answers() -> None:
    there: dict[str, Any] = {"__name__": "hook"}
    exec(blocks("python")[0], there)
    with HTTPServer(("127.0.0.1", 0), there["Hook"]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        moderator = HttpModerator(f"http://127.0.0.1:{server.server_port}/", [SECRET])
        try:
            assert (await moderator.ask(asking("a koi"))).action is VerdictAction.ALLOW
            refused = await moderator.ask(asking("a Weapon"))
            assert (refused.action, refused.message) == (VerdictAction.REFUSE, "No weapons, please.")
        finally:
            await moderator.aclose()
            server.shutdown()


def test_the_function_of_the_page_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules.py").write_text(blocks("python")[1])
    monkeypatch.chdir(tmp_path)
    judge = load_function("rules.py:judge")
    assert judge(question_json(asking("a koi"))) == "allow"
    assert judge(question_json(asking("a weapon")))["action"] == "refuse"


def test_its_settings_are_settings(tmp_path: Path) -> None:
    (tmp_path / "livereactor.toml").write_text(blocks("toml")[0].replace("whsec_…", SECRET), encoding="utf-8")
    given = resolve(tmp_path, command_line={}, environ={}).settings.moderation
    assert (given.url, given.fields, given.on_failure) == ("http://127.0.0.1:9000/", "all", "closed")


def test_its_questions_have_the_members_that_are_sent() -> None:
    text, file = (json.loads(each) for each in blocks("json"))
    about = FileInQuestion("up-1", "koi.png", "image/png", 3, b"koi")
    assert list(text) == list(question_json(asking("x")))
    assert list(file["file"]) == list(question_json(Question("", "", "", "", file=about))["file"])


def test_every_action_is_in_its_table() -> None:
    assert [each.value for each in VerdictAction if f"| `{each.value}` |" not in PAGE] == []
