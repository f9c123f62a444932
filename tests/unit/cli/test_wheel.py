"""What an installed wheel has: the page, the templates and the demo models, beside the code."""

import subprocess
import sys
import zipfile
from pathlib import Path

from livereactor.cli.commands.serve import MODELS
from tests.tools.processes import REPOSITORY


def test_the_wheel_carries_page_templates_and_demo(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    command = [
        uv,
        "build",
        "--wheel",
        "--quiet",
        "--out-dir",
        tmp_path,
        REPOSITORY,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    source = REPOSITORY / "src"
    files = [*source.rglob("playground/**/*.*"), *source.rglob("cli/templates/*.py"), *source.rglob("*.pyi")]
    wanted = {str(file.relative_to(source)) for file in files if file.is_file() and "__pycache__" not in file.parts}
    assert wanted
    assert wanted - held == set()
    films = [name.removesuffix(".py") + ".webm" for name in MODELS]
    assert {f"livereactor/demos/{name}" for name in (*MODELS, *films, "garden/weights.npz")} <= held
    assert not any(name.startswith(("tests/", "bench/")) or "__pycache__" in name for name in held)
