"""Writes docs/demos: a page for each demo model, made of what its file says of itself, and the gallery of them all.

Run it when a demo model has changed: `.venv/bin/python scripts/demo_pages.py`. The pictures are the loops that lie
beside the models (examples/make_loops.py).
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

from livereactor.cli.demo import MODELS
from livereactor.protocol.bindings import Binding
from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.schema import CommandSchema, ModelSchema
from livereactor.protocol.types import BoolType, ChoiceType, Field, FloatType, IntType, OptionalType, StrType, Type
from livereactor.wiring.catalogue import learn

ROOT = Path(__file__).parents[1]
EXAMPLES, PAGES = ROOT / "examples", ROOT / "docs/demos"
MADE = "<!-- Made by scripts/demo_pages.py from the model's own file; change that. -->"


def pages() -> Iterator[tuple[str, str]]:
    """File names in docs/demos, and what is in them."""
    learned = asyncio.run(learn([str(EXAMPLES / name) for name in MODELS]))
    schemas = [(Path(name), from_openapi(each.spec["schema"])) for name, each in zip(MODELS, learned, strict=True)]
    yield "index.md", _gallery([schema for _, schema in schemas])
    for path, schema in schemas:
        yield f"{schema.name}.md", _page(path, schema)


def _gallery(schemas: list[ModelSchema]) -> str:
    shown = [
        f"## [{each.name}]({each.name}.md)\n\n{_loop(f'{each.name}.webm')}\n\n{each.description}" for each in schemas
    ]
    told = "`make demo` serves these models. The file of each is short, and teaches one idea."
    return _joined(MADE, "# Gallery", told, *shown)


def _page(path: Path, schema: ModelSchema) -> str:
    source = (EXAMPLES / path).read_text(encoding="utf-8")
    parameters = [each for each in schema.commands if _sets_parameter(each)]
    commands = [each for each in schema.commands if not _sets_parameter(each)]
    return _joined(
        MADE,
        f"# {schema.name}",
        _loop(f"../{schema.name}.webm"),  # a page is a folder to the browser
        ast.get_docstring(ast.parse(source)) or "",
        f"```sh\nlivereactor run examples/{path}\n```",
        _table("parameter", [(each.fields[0].name, _field(each.fields[0]), each) for each in parameters]),
        _table("command", [(each.name, _arguments(each), each) for each in commands]),
        f"The model itself; what it draws with is in the same {'file' if path.parent == Path() else 'folder'}:",
        f'```python title="examples/{path}"\n{_model_class(source)}\n```',
    )


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _loop(url: str) -> str:
    return f'<video src="{url}" width="640" height="360" autoplay loop muted playsinline></video>'


def _sets_parameter(command: CommandSchema) -> bool:
    return len(command.fields) == 1 and command.name == f"set_{command.fields[0].name}"


def _table(what: str, rows: list[tuple[str, str, CommandSchema]]) -> str:
    if not rows:
        return ""
    lines = [f"| `{name}` | {values} | {command.description}{_keys(command)} |" for name, values, command in rows]
    return "\n".join([f"| {what} | takes | what it does |", "|---|---|---|", *lines])


def _arguments(command: CommandSchema) -> str:
    return "<br>".join(f"`{each.name}`: {_field(each)}" for each in command.fields) or "nothing"


def _field(field: Field) -> str:
    default = "" if field.is_required else f", at first {field.default!r}".replace("'", '"')
    return f"{_values(field.type)}{default}"


def _values(kind: Type) -> str:
    match kind:
        case BoolType():
            return "on or off"
        case ChoiceType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case IntType(bounds=bounds) | FloatType(bounds=bounds):
            inside = bounds.ge is not None and bounds.le is not None
            return f"{bounds.ge:g} to {bounds.le:g}" if inside else "a number"
        case StrType():
            return "a text"
        case OptionalType(inner=inner):
            return f"{_values(inner)}, or nothing"
        case _:
            return "JSON"


def _keys(command: CommandSchema) -> str:
    bindings = [command.binding, *(each.binding for each in command.fields)]
    told = [_binding(each) for each in bindings if each is not None]
    return f" ({'; '.join(told)})" if told else ""


def _binding(binding: Binding) -> str:
    keys = " and ".join(f"<kbd>{key}</kbd>" for key in binding.keys)
    stick = f"the gamepad's `{binding.gamepad}`" if binding.gamepad else ""
    return ", ".join(each for each in (keys, stick) if each)


def _model_class(source: str) -> str:
    """The text of the class that is the model."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Model") for base in node.bases):
            return "\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno])
    raise ValueError("no class in it is a Model")


def main() -> None:
    """Write them."""
    PAGES.mkdir(exist_ok=True)
    for name, text in pages():
        (PAGES / name).write_text(text, encoding="utf-8")
    for name in MODELS:
        loop = (EXAMPLES / name).with_suffix(".webm")
        link = PAGES / loop.name
        if not link.is_symlink():
            link.symlink_to(Path("../..") / loop.relative_to(ROOT))


if __name__ == "__main__":
    main()
