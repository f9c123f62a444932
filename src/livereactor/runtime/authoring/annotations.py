"""Reading annotations and docstrings of authors' classes and functions; names that do not exist are named."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from livereactor.base.errors import DefinitionError

_ENTRY = re.compile(r"^ {4,}(\w+)(?: \([^)]*\))?: (.+)$")


def hints_of(thing: type | Callable[..., Any], where: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations by name, resolved, `Annotated` kept.

    Args:
        names: what else may be named: the locals around the class.

    Raises:
        DefinitionError: an annotation names what does not exist (yet).
    """
    try:
        return typing.get_type_hints(thing, localns=dict(names), include_extras=True)
    except NameError as error:
        raise DefinitionError(
            f"{where}: an annotation names {error.name!r}, which does not exist yet; define it above the class"
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise DefinitionError(f"{where}: an annotation cannot be read: {error}; correct it") from error


def names_around(frame: FrameType | None, package: str) -> Mapping[str, Any]:
    """The locals where the author's class is being written: the nearest caller outside of `package` and metaclasses."""
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(package):
        frame = frame.f_back
    return {} if frame is None else frame.f_locals


def summary(thing: Any) -> str:
    """The docstring's text before its sections, on one line a paragraph; empty without one of its own."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    head = re.split(r"^(?:Args|Returns|Raises|Yields|Attributes|Examples?|Notes?):\s*$", text, maxsplit=1, flags=re.M)[
        0
    ]
    return "\n\n".join(" ".join(part.split()) for part in head.strip().split("\n\n")) if head.strip() else ""


def argument_docs(thing: Any) -> dict[str, str]:
    """Return the text of each argument in the `Args:` section of a docstring in Google's style."""
    lines = inspect.cleandoc(getattr(thing, "__doc__", None) or "").splitlines()
    docs: dict[str, str] = {}
    inside, current = False, ""
    for line in lines:
        if re.match(r"^(Args|Arguments|Attributes):\s*$", line):
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        elif inside and (entry := _ENTRY.match(line)):
            current = entry[1]
            docs[current] = entry[2].strip()
        elif inside and current and line.strip():
            docs[current] += " " + line.strip()
    return docs
