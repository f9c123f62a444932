"""Python source as `ruff format` leaves it, at any line length from `WIDTH` on. Pure.

Whatever does not fit a line is laid out one item a line with a trailing comma, which formatters keep as it is; so this
needs none of a formatter's rules on how to break a line, and no formatter.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, cast

WIDTH: Final = 88  # ruff's own default
INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Brackets:
    """An expression in brackets: `head` up to the opening one, the items, and `tail` from the closing one."""

    head: str
    items: tuple[Part, ...]
    tail: str
    is_tuple: bool = False  # one item alone has a comma behind it


Part: TypeAlias = str | Brackets


def width(line: str) -> int:
    """Return the most columns a text may take: formatters disagree on which letters beyond ASCII take two."""
    return len(line) + sum(not letter.isascii() for letter in line)


def flat(part: Part) -> str:
    """Return the text on one line."""
    if isinstance(part, str):
        return part
    comma = "," if part.is_tuple and len(part.items) == 1 else ""
    return part.head + ", ".join(map(flat, part.items)) + comma + part.tail


def laid_out(part: Part, indent: str = "", suffix: str = "") -> list[str]:
    """Return the lines; one if it fits."""
    line = indent + flat(part) + suffix
    if isinstance(part, str) or width(line) <= WIDTH or not part.items:
        return [line]
    if _is_lone_type(part) and not line.isascii():
        return [line]  # without a comma at its end it would be joined again, if it did fit
    comma = "" if _is_lone_type(part) else ","
    items = [line for item in part.items for line in laid_out(item, indent + INDENT, comma)]
    return [indent + part.head, *items, indent + part.tail + suffix]


def _is_lone_type(part: Brackets) -> bool:
    # With a comma behind it `Literal["a"]` would be about a tuple.
    return part.head.endswith("[") and len(part.items) == 1


def docstring(
    paragraphs: Sequence[str], sections: Iterable[tuple[str, Sequence[tuple[str, str]]]] = (), indent: str = INDENT
) -> list[str]:
    """Return the lines of a docstring.

    Args:
        paragraphs: the first is the summary; each is one line of text, wrapped here.
        sections: `Args:` and the like: title, and its entries' names and texts; those without entries are left out.
    """
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += ["", *_wrapped(paragraph, indent, "")]
    for title, entries in sections:
        if entries:
            lines += ["", f"{indent}{title}:"]
            for name, text in entries:
                lines += _wrapped(f"{name}: {text}", indent + INDENT, INDENT)
    quoted = [line if not line else line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in lines[1:]]
    first = quoted[0].removeprefix(indent)
    first = f" {first}" if first.startswith('"') else first
    if len(quoted) == 1:
        space = " " if first.endswith('"') else ""
        return [f'{indent}"""{first}{space}"""']
    return [f'{indent}"""{first}', *quoted[1:], f'{indent}"""']


def _wrapped(text: str, indent: str, hanging: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH - 6,  # room for the quotes
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def value(given: Any) -> Part:
    """Return a JSON value as an expression, with lists as tuples, so that a default cannot be changed."""
    match given:
        case None | bool() | int() | float():
            return repr(given).replace("e+", "e")
        case str():
            return text(given)
        case list() | tuple():
            return Brackets("(", tuple(map(value, cast("list[Any]", given))), ")", is_tuple=True)
        case _:
            members = cast("dict[str, Any]", given).items()
            return Brackets("{", tuple(headed(f"{text(name)}: ", value(item)) for name, item in members), "}")


def headed(head: str, part: Part, tail: str = "") -> Part:
    """Return a part with text before and after it."""
    if isinstance(part, str):
        return head + part + tail
    return replace(part, head=head + part.head, tail=part.tail + tail)


def text(given: str) -> str:
    """Return a text's literal, in double quotes unless single ones avoid escapes."""
    quote = '"' if given.count('"') <= given.count("'") else "'"
    return quote + "".join(_escaped(letter, quote) for letter in given) + quote


def _escaped(letter: str, quote: str) -> str:
    if letter in ("'", '"'):
        return f"\\{letter}" if letter == quote else letter
    return repr(letter)[1:-1]
