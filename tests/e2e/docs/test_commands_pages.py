"""The pages on commands and typed clients: their programs are run as they stand, and say what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.cli.command import ended
from tests.e2e.docs.test_files_and_figures import said_by
from tests.tools.processes import REPOSITORY, livereactor_run
from tests.unit.docs.test_first_model import blocks

DOCS = REPOSITORY / "docs"
STEERING, TYPED = (DOCS / f"{name}.md" for name in ("commands", "typed-clients"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every program of the two pages, in an empty folder."""
    for page in (STEERING, TYPED):
        for block in blocks(page):
            if block.file is not None:
                (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    return tmp_path


def promised(page: Path, program: str) -> str:
    """What the page says that a program prints: the block, or the words in backquotes, after "It prints"."""
    after = page.read_text(encoding="utf-8").partition(f'title="{program}"')[2].partition("It prints")[2]
    if block := re.match(r":\n\n```text\n(.*?)```", after, re.S):
        return block[1]
    sentence = re.match(r"(\s`[^`]*`|,| and| then)+", after)
    return "".join(f"{line}\n" for line in re.findall(r"`(.*?)`", sentence[0])) if sentence else ""


async def test_the_kettle_is_steered_as_the_page_says(folder: Path) -> None:
    with livereactor_run(folder / "kettle.py", log_path=folder / "log") as server:
        for program in ("pour.py", "ask.py", "listen.py", "mistakes.py"):
            assert await said_by(folder, program, url=server.url) == promised(STEERING, program), program


async def test_a_typed_client_makes_tea(folder: Path) -> None:
    write, check = (line.split() for block in blocks(TYPED) if block.kind == "sh" for line in block.text.splitlines())
    assert (await ended(*write[1:], folder=folder)).code == 0
    client = (folder / "kettle_client.py").read_text(encoding="utf-8")
    (shown,) = (block.text for block in blocks(TYPED) if block.kind == "python" and block.file is None)
    assert shown in client
    with livereactor_run(folder / "kettle.py", log_path=folder / "log") as server:
        assert await said_by(folder, "tea.py", url=server.url) == promised(TYPED, "tea.py")
        assert await said_by(folder, "quick_tea.py", url=server.url) == "4\n"

    assert (await ended(*check[1:], folder=folder)).code == 0
    model = folder / "kettle.py"
    model.write_text(model.read_text(encoding="utf-8").replace("def pour(", "def serve(").replace("le=3", "le=2"))
    broken = await ended(*check[1:], folder=folder)
    assert (broken.code, broken.out) == (1, "command 'pour' is gone\n")
    assert broken.out.strip() in TYPED.read_text(encoding="utf-8")
    assert (folder / "kettle_client.py").read_text(encoding="utf-8") == client
