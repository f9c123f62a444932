"""What a coordinator learns of models whose modules do more than define a class while they are imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from livereactor.base.errors import ModelLoadError
from livereactor.wiring.catalogue import read_models

MODEL = """
class Sky(lr.Model):
    main_video = lr.VideoOut(width=64, height=64, fps=10)

    def stream(self):
        yield None
"""
TALKATIVE = """
import atexit, os
import livereactor as lr

print("loading torch 2.9")
os.write(1, b"a line from C\\n")
atexit.register(print, "until next time")
"""


def written(folder: Path, text: str) -> str:
    path = folder / "sky.py"
    path.write_text(text)
    return str(path)


async def test_a_model_that_prints_while_it_is_imported_is_learned(tmp_path: Path) -> None:
    (model,) = await read_models([written(tmp_path, TALKATIVE + MODEL)])
    assert model.name == "sky"


async def test_a_module_that_ends_its_process_without_a_word_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"sky\.py.*no schema"):
        await read_models([written(tmp_path, "import os\nos._exit(0)\n")])


async def test_of_what_a_broken_module_prints_only_its_error_is_told(tmp_path: Path) -> None:
    target = written(tmp_path, 'import sys\nprint("loading torch 2.9")\nprint("hm", file=sys.stderr)\nimport nowhere\n')
    with pytest.raises(ModelLoadError, match="nowhere") as error:
        await read_models([target])
    assert "torch" not in error.value.message


@pytest.mark.parametrize("command", [["schema"], ["validate", "--json"]])
def test_what_a_model_prints_is_no_part_of_an_answer(tmp_path: Path, command: list[str]) -> None:
    target = written(tmp_path, TALKATIVE + MODEL)
    said = subprocess.run(
        [sys.executable, "-m", "livereactor", *command, target], capture_output=True, text=True, check=True, timeout=60
    )
    assert isinstance(json.loads(said.stdout), dict)
    assert "loading torch" in said.stderr
