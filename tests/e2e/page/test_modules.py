"""Check the page without a browser: types, imports, pure modules, colours."""

from __future__ import annotations

import graphlib
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from livereactor.playground import page_directory

ROOT = Path(__file__).parents[3]
# Text and where it stands, by the names of the tokens; WCAG 2.2 AA asks 4.5 for text and 3 for what else must be seen.
TEXT = [
    *product(["ink", "ink-quiet", "bad", "accent"], ["ground", "surface"]),
    ("on-accent", "accent"),
    ("bad", "bad-soft"),
    ("ink", "bad-soft"),
    ("ink", "accent-soft"),
    ("on-stage", "stage"),
    ("on-stage-quiet", "stage"),
    ("stage-bad", "stage"),
    ("on-stage-accent", "stage-accent"),
]
# The folders of js/, lowest first: a module imports from its own folder and from the folders before it.
FOLDERS = ["shared", "client", "media", "words", "inputs", "views"]
SIGNS = [*product(["good", "wait", "bad", "line-strong"], ["surface"]), ("stage-accent", "stage")]


def test_the_modules_pass_the_type_checker() -> None:
    checker = [ROOT / "node_modules/.bin/tsc", "-p", ROOT / "tsconfig.json"]
    done = subprocess.run(checker, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_pure_modules_pass_their_own_tests() -> None:
    node = shutil.which("node")
    assert node is not None, "no node on this machine; `make setup-test` installs it"
    modules = sorted(map(str, (Path(__file__).parent / "modules").glob("*.test.js")))
    done = subprocess.run([node, "--test", *modules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_modules_import_only_from_folders_below_them() -> None:
    for module, imported in imports().items():
        for other in imported:
            assert rank(other) <= rank(module), f"{module} imports {other}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    graphlib.TopologicalSorter(imports()).prepare()


def test_the_operators_page_shares_nothing_with_the_playground_but_its_lowest_folder() -> None:
    for module, imported in imports().items():
        if module.startswith("admin/"):
            assert all(other.startswith(("admin/", "js/shared/")) for other in imported), module


def test_every_comment_can_be_read_alone() -> None:
    fragment = re.compile(r"/\*\*\s+(?:\* )?(?:What|How|Those|Of|Its|Who|Whoever|Whose|In these|As `)\b.*")
    for file in sorted(page_directory().rglob("*.js")):
        assert fragment.findall(file.read_text()) == [], file.name


def imports() -> dict[str, set[str]]:
    """Map each module to the modules that it imports, for values or for types; paths from the page's root."""
    root = page_directory().resolve()
    found: dict[str, set[str]] = {}
    for file in root.rglob("*.js"):
        named = re.findall(r"(?:\bfrom |\bimport |\bimport\()\"(\.[^\"]+)\"", file.read_text())
        targets = {(file.parent / name).resolve() for name in named}
        for target in targets:  # types that JSDoc cannot write stand in a declaration file
            assert target.is_file() or target.with_suffix(".d.ts").is_file(), f"{file.name} imports {target}"
        found[str(file.relative_to(root))] = {str(target.relative_to(root)) for target in targets}
    return found


def rank(module: str) -> int:
    """Return a module's place in `FOLDERS`; entry points, which nothing imports, come last."""
    folder = module.split("/")[1] if module.startswith("js/") else ""
    return FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)


def test_nothing_on_the_page_names_another_place() -> None:
    for file in sorted(page_directory().rglob("*.*")):
        if file.suffix in {".html", ".css", ".js"}:
            found = re.findall(r"https?://[^\s\"'`]+", file.read_text())
            assert set(found) <= {"http://www.w3.org/2000/svg"}, file.name  # the name of a format, never fetched


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(scheme: str) -> None:
    tokens = colours(scheme)
    for pairs, least in ((TEXT, 4.5), (SIGNS, 3.0)):
        for front, back in pairs:
            assert contrast(tokens[front], tokens[back]) >= least, f"{scheme}: {front} on {back}"


def colours(scheme: str) -> dict[str, str]:
    light, dark = (page_directory() / "css/tokens.css").read_text().split("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark)) if scheme == "dark" else found


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2, 1..21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
