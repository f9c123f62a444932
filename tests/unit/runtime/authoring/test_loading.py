"""From a file to a model's class, and what stands in the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from livereactor.base.errors import ModelLoadError
from livereactor.runtime.execution.loading import load_model, model_file

HEAD = "import livereactor as lr\n\n"
POND = "class Pond(lr.Model):\n    def stream(self):\n        yield None\n"
LAKE = POND.replace("Pond", "Lake")


def written(folder: Path, text: str, name: str = "pond.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_file_with_one_model_is_enough(tmp_path: Path) -> None:
    assert load_model(written(tmp_path, HEAD + POND)).__name__ == "Pond"


def test_a_class_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + POND + LAKE)
    assert load_model(f"{path}:Lake").__name__ == "Lake"
    assert model_file(f"{path}:Lake") == Path(path)


def test_a_folder_means_its_model_py(tmp_path: Path) -> None:
    written(tmp_path, HEAD + POND, "model.py")
    written(tmp_path, "1/0", "other.py")
    assert load_model(str(tmp_path)).__name__ == "Pond"


def test_a_folder_without_one_means_the_file_of_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "pond"
    folder.mkdir()
    written(folder, HEAD + POND)
    written(folder, "1/0", "other.py")
    assert load_model(str(folder)).__name__ == "Pond"


def test_a_model_imports_what_lies_beside_it_and_bases_are_no_choice(tmp_path: Path) -> None:
    written(tmp_path, HEAD + "class Base(lr.Model):\n    def stream(self):\n        yield None\n", "basis_of_it.py")
    path = written(tmp_path, "from basis_of_it import Base\n\nclass Pond(Base):\n    pass\n")
    assert load_model(path).__name__ == "Pond"


def test_loading_again_reads_the_file_again(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + POND)
    first = load_model(path)
    written(tmp_path, HEAD + "\n" + POND + "    speed: int = lr.param(1)\n")
    assert load_model(path) is not first


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (HEAD + "class Pond(lr.Model)\n    pass\n", ["pond.py:3", "expected ':'"]),
        ("import not_there_at_all\n", ["pond.py:1", "'not_there_at_all'", "install"]),
        (HEAD + "\n\n1 / 0\n", ["pond.py:5", "ZeroDivisionError: division by zero"]),
        (HEAD + "x = 1\n", ["pond.py has no model", "class Name(lr.Model)"]),
        (HEAD + "class Pond(lr.Model):\n    pass\n", ["Pond has no stream", "yield"]),
        (HEAD + POND + LAKE, ["several models", "pond.py:Pond or ", "pond.py:Lake"]),
        (HEAD + POND + "    steps: int = lr.param(9, le=5)\n", ["Pond.steps", "9", "le=5", "pond.py:3"]),
        (HEAD + "import sys\nsys.exit(3)\n", ["pond.py:4", "SystemExit"]),
    ],
)
def test_a_mistake_is_told_with_file_line_and_fix(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ModelLoadError) as caught:
        load_model(written(tmp_path, text))
    for part in parts:
        assert part in caught.value.message


def test_a_file_that_is_not_there_or_has_no_such_class_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + POND)
    for target, part in (
        (str(tmp_path / "lake.py"), "no file"),
        (path.removesuffix(".py"), "did you mean"),
        (f"{path}:Lake", "no model 'Lake'; it has Pond"),
        (str(tmp_path / ".."), "no model.py in this folder"),
    ):
        with pytest.raises(ModelLoadError, match=part):
            load_model(target)


@pytest.mark.parametrize(
    ("track", "sentence"),
    [
        (
            "VideoOut(fps=0)",
            "fps: 0 is not above 0 and at most 240; give such a number, or None for the model's own rate",
        ),
        ("VideoOut(width=1)", "width: 1 is not within 2 to 8192 pixels; give a size in that range"),
        ("VideoIn(buffer=0)", "buffer: 0 is below 1; keep at least one frame"),
        ("AudioIn(buffer_seconds=0)", "buffer_seconds: 0 is not within 0.02 to 60; give seconds in that range"),
        ("AudioOut(channels=3)", "channels: 3 is not 1 or 2; give one of them"),
    ],
)
def test_a_bad_argument_of_a_track_is_named_with_its_fix(tmp_path: Path, track: str, sentence: str) -> None:
    path = written(tmp_path, f"{HEAD}class Pond(lr.Model):\n    track = lr.{track}\n")
    with pytest.raises(ModelLoadError) as caught:
        load_model(path)
    assert caught.value.message == f"pond.py:4: {sentence}"


def test_an_error_of_the_file_itself_says_its_type(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError) as caught:
        load_model(written(tmp_path, "int('x')\n"))
    assert caught.value.message == (
        "pond.py:1: ValueError: invalid literal for int() with base 10: 'x'; the file must import without an error"
    )


def test_importing_livereactor_is_quick_and_loads_no_codec_or_engine() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import livereactor; took = time.perf_counter() - t\n"
        "heavy = {'av', 'cv2', 'reactor_webrtc', 'aiortc', 'numpy', 'pydantic', 'fastapi'} & set(sys.modules)\n"
        "print(took < 0.15, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True []"


def test_every_public_name_is_there_and_nothing_else() -> None:
    import livereactor

    assert livereactor.__all__ == sorted(livereactor.__all__)
    assert all(hasattr(livereactor, name) for name in livereactor.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        livereactor.nothing_like_it  # noqa: B018 - the look-up is the test
