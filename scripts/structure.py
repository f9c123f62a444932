"""Count what makes `src/` hard to move into: files, single-importer modules, circles, fragments, dangling references.

    python scripts/structure.py            the table
    python scripts/structure.py --list     also the places behind each count

Reads the source as text and syntax trees; nothing of the project is imported or run.
`tests/unit/docs/test_structure.py` holds those that have reached zero.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[1]
PACKAGE: Final = "livereactor"
SOURCE_SUFFIXES: Final = {".py", ".js", ".css", ".html", ".ts"}
GENERATED: Final = re.compile(r"wire_v1_pb2|/migrations/|/templates/|/client/_sync/generated/")
SOFT_LINES, HARD_LINES = 400, 800  # a file above the soft limit says in its docstring why it is one thing
# First words of a docstring that cannot be read alone.
FRAGMENT: Final = re.compile(
    r"(What|How|Those|Of|Its|Whoever|Whose|That|To whom|Theirs|Where|When|Why|Which|Who|Until|As|By|In|On|From|Not|No"
    r"|With|For|This|It|Nobody|Nothing|Something|Everything|Everybody's|Whatever|Before|Another|Together|These|Asked"
    r"|Sent|Written|Called|Promised|Raised|None|Any|Ready|More|Two|Loop only|Seconds[.;])\b"
    r"|(All|Seconds)[,.;:]|(Newest|Oldest) first[.:,]"
)
# Citations of pages that the repository does not have.
DANGLING: Final = re.compile(
    r"\b([Bb]ehaviou?r(?:'s)?|[Pp]rotocol(?:'s)?|[Ss]ections?|§)\s+\d+(\.\d+)*\b(?! (bits?|bytes?|MiB|MB|kB|s\b))"
    r"|\bC-\d\d?\b|\b[Pp]art [A-E]\b"
)
RFC: Final = re.compile(
    r"\b(RFC|ISO|IEEE|ip protocol|ITU|H\.26|Debian|W3C|IETF|draft|FIPS|policy|AV1|Annex)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Module:
    """A Python module of the package: dotted name, file, text and syntax tree."""

    name: str
    file: Path
    text: str
    tree: ast.Module

    @property
    def folder(self) -> str:
        return self.name.rsplit(".", 1)[0]

    @property
    def lines(self) -> int:
        return self.text.count("\n")


@dataclass(frozen=True, slots=True)
class Count:
    """A row of the table: a number, its target, and the places behind it."""

    name: str
    number: int
    target: int | None
    places: list[str] = field(default_factory=list[str])

    @property
    def holds(self) -> bool:
        return self.target is None or self.number <= self.target


def source_files(root: Path) -> list[Path]:
    """List the files of `src/` that people write: no generated code, migrations or templates."""
    files = (file for file in (root / "src").rglob("*") if file.is_file() and file.suffix in SOURCE_SUFFIXES)
    return sorted(file for file in files if not GENERATED.search(file.as_posix()))


def modules(files: Iterable[Path], root: Path) -> dict[str, Module]:
    """Parse the Python files, by dotted name."""
    found: dict[str, Module] = {}
    for file in files:
        if file.suffix == ".py":
            parts = file.relative_to(root / "src").with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = file.read_text()
            found[name] = Module(name, file, text, ast.parse(text))
    return found


def imports(found: dict[str, Module]) -> dict[str, set[str]]:
    """Map each module to the modules of the package that it imports, lazily or not."""
    arrows: dict[str, set[str]] = {name: set() for name in found}
    for name, module in found.items():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                for alias in node.names:
                    for target in (f"{node.module}.{alias.name}", node.module):
                        if target in found:
                            arrows[name].add(target)
                            break
            elif isinstance(node, ast.Import):
                arrows[name].update(alias.name for alias in node.names if alias.name in found)
        arrows[name].discard(name)
    return arrows


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Find groups of modules that import each other around (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in arrows[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group: list[str] = []
            while not group or group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for name in arrows:
        if name not in index:
            visit(name)
    return found


def single_importers(found: dict[str, Module], arrows: dict[str, set[str]]) -> list[str]:
    """List modules that exactly one module imports, which stands in the same folder."""
    importers: dict[str, set[str]] = defaultdict(set)
    for name, targets in arrows.items():
        for target in targets:
            importers[target].add(name)
    rows: list[str] = []
    for name, module in found.items():
        if module.file.name == "__init__.py" or len(importers[name]) != 1:
            continue
        (only,) = importers[name]
        if found[only].file.parent == module.file.parent:
            rows.append(f"{name} ({module.lines} lines, by {only.split('.')[-1]})")
    return rows


def docstrings(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring of a module, its classes and functions."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def fragments(found: dict[str, Module]) -> list[str]:
    """List docstrings that begin with a word of `FRAGMENT`."""
    return [
        f"{name}:{line} {text.splitlines()[0][:70]}"
        for name, module in found.items()
        for line, text in docstrings(module)
        if FRAGMENT.match(text)
    ]


def dangling(files: Iterable[Path], root: Path) -> list[str]:
    """List lines that cite a numbered section which is none of a public standard."""
    rows: list[str] = []
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if DANGLING.search(line) and not RFC.search(line):
                rows.append(f"{file.relative_to(root)}:{number} {line.strip()[:90]}")
    return rows


def long_files(files: Iterable[Path], limit: int, root: Path) -> list[str]:
    """List files of more than `limit` lines."""
    counted = ((file.read_text().count("\n"), file) for file in files)
    return [f"{file.relative_to(root)} ({lines})" for lines, file in counted if lines > limit]


def shared_class_names(found: dict[str, Module]) -> list[str]:
    """List public class names that stand in more than one module."""
    names = Counter(
        node.name
        for module in found.values()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    return [f"{name} ({count})" for name, count in sorted(names.items()) if count > 1]


def delegates(found: dict[str, Module]) -> list[str]:
    """List methods whose one line calls a method of the same name of another object."""
    rows: list[str] = []
    for name, module in found.items():
        for owner in (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)):
            for method in owner.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and _delegates(method):
                    rows.append(f"{name}.{owner.name}.{method.name}")
    return rows


def _delegates(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    body = [node for node in method.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if len(body) != 1 or not isinstance(body[0], (ast.Return, ast.Expr)):
        return False
    value = body[0].value
    if isinstance(value, ast.Await):
        value = value.value
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == method.name
        and isinstance(value.func.value, ast.Attribute)
    )


def private_reaches(root: Path) -> list[str]:
    """List places in the tests that use an underscored attribute of an object of ours."""
    rows: list[str] = []
    for file in sorted((root / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
                owner = node.value
                if isinstance(owner, ast.Name) and owner.id in {"self", "cls", "os", "sys"}:
                    continue
                rows.append(f"{file.relative_to(root)}:{node.lineno} .{node.attr}")
    return rows


def counts(root: Path = REPOSITORY) -> list[Count]:
    """Count everything; the targets are the project's own."""
    files = source_files(root)
    found = modules(files, root)
    arrows = imports(found)
    tests = sorted((root / "tests").rglob("*.py"))
    lines = sum(module.lines for module in found.values())
    others = [file for file in files if file.suffix != ".py"]
    over = long_files(files, SOFT_LINES, root)
    cited = dangling([*files, *tests], root)
    rows = [
        Count("Python files in src, without generated ones", len(found), 400),
        Count("lines of them", lines, None),
        Count("files of the page (JavaScript, CSS, HTML)", len(others), None),
        Count("modules that one module of the same folder imports", 0, 50, single_importers(found, arrows)),
        Count("circles of modules", 0, 0, [" ↔ ".join(group) for group in circles(arrows)]),
        Count(f"files over {HARD_LINES} lines", 0, 0, long_files(files, HARD_LINES, root)),
        Count(f"files over {SOFT_LINES} lines", 0, None, over),
        Count("docstrings that begin with a fragment", 0, 0, fragments(found)),
        Count("dangling references", 0, 0, cited),
        Count("public class names in more than one module", 0, None, shared_class_names(found)),
        Count("methods that only call their namesake", 0, None, delegates(found)),
        Count("private reaches in tests", 0, None, private_reaches(root)),
    ]
    return [Count(row.name, row.number or len(row.places), row.target, row.places) for row in rows]


def main() -> None:
    """Print the table; the exit status is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--list", action="store_true", help="also the places behind each count")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="another checkout, to compare")
    arguments = parser.parse_args()
    rows = counts(arguments.root.resolve())
    for row in rows:
        target = "" if row.target is None else f"target ≤ {row.target}{'' if row.holds else '  MISSED'}"
        print(f"{row.number:>7}  {row.name:<52} {target}")
        if arguments.list:
            print(*(f"           {place}" for place in row.places), sep="\n")
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
