"""Checked JSON values as the objects that authors' code takes, and back. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError

from livereactor.base.errors import InvalidCommandError
from livereactor.protocol.types import ChoiceType, FileType, StructureType, Type
from livereactor.protocol.validation import check

_SCALARS: Final = frozenset({bool, int, float, str})  # exactly these: numpy's float64 is a float that shows otherwise


def to_python(value: Any, kind: Type) -> Any:
    """A checked value as annotated: dataclass and pydantic instances, Enum members; files stay as they are.

    Raises:
        InvalidCommandError: the author's class refused it by a rule of its own.
    """
    if isinstance(kind, ChoiceType):
        return value if kind.python is None else kind.python(value)
    found = kind.mapped(value, to_python)
    return _instance(found, kind) if isinstance(kind, StructureType) else found


def _instance(members: dict[str, Any], kind: StructureType) -> Any:
    python = kind.python
    if python is None:
        return members
    try:
        if issubclass(python, BaseModel):
            return python.model_validate(members, by_name=True, by_alias=False)
        return python(**members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidCommandError(".".join(map(str, (kind.name, *first["loc"]))) + f": {first['msg']}") from error
    except ValueError as error:
        raise InvalidCommandError(f"{kind.name}: {error}") from error


def to_json(value: Any, kind: Type, path: str) -> Any:
    """A value of the author's as a checked JSON value; numpy scalars and arrays, tuples, Enums, dataclasses and
    pydantic models are taken apart.

    Raises:
        InvalidCommandError: it is not of its declared type; `path` names it.
    """
    return check(plain(value), kind, path)


def plain(value: Any) -> Any:
    """A value of a caller's taken apart into lists, dicts and scalars, as `to_json` says; nothing is checked."""
    if value is None or type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    tolist: Callable[[], Any] | None = getattr(value, "tolist", None)  # numpy's scalars and arrays
    return value if tolist is None else tolist()


def upload_ids(value: Any, kind: Type) -> list[str]:
    """The ids of all uploads that a checked value refers to, at any depth."""
    if isinstance(kind, FileType):
        return [value["upload_id"]]
    ids: list[str] = []
    kind.mapped(value, lambda part, kind: ids.extend(upload_ids(part, kind)))
    return ids


def with_files(value: Any, kind: Type, file: Callable[[str], Any]) -> Any:
    """A checked value with every upload reference replaced by `file(upload_id)`."""

    def visit(part: Any, kind: Type) -> Any:
        return file(part["upload_id"]) if isinstance(kind, FileType) else kind.mapped(part, visit)

    return visit(value, kind)
