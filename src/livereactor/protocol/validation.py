"""Checking values against their declared types, and turning them into what handlers take and back. Pure.

A checked value is a JSON value in the declared shape: integral floats are ints where ints are declared, ints are floats
where floats are, missing members have their defaults. Errors are `InvalidCommandError`s such as `set_steps.steps: 9 is
above 5`; the same check serves server and client, so both give the same verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, cast

from livereactor.base.errors import InvalidCommandError
from livereactor.protocol.json_text import json_fault, shown
from livereactor.protocol.types import (
    AnyType,
    BoolType,
    Bounds,
    ChoiceType,
    DictType,
    Field,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    StrType,
    StructureType,
    Type,
    type_name,
)

_EXACT_INTEGERS: Final = 2.0**53  # beyond it a double no longer tells neighbouring integers apart
_REFERENCE_KEYS: Final = ("upload_id", "name", "mime_type", "size")


def check(value: Any, kind: Type, path: str) -> Any:
    """`value` in the declared shape; `path` names it in the `InvalidCommandError` anything else raises."""
    match kind:
        case OptionalType():
            return None if value is None else check(value, kind.inner, path)
        case BoolType() if isinstance(value, bool):
            return value
        case IntType() if _is_whole(value):
            whole = int(value)
            return _unless(bound_fault(whole, kind.bounds), whole, path)
        case FloatType() if _is_number(value) and isfinite(value):
            number = float(value)
            return _unless(bound_fault(number, kind.bounds), number, path)
        case StrType() if isinstance(value, str):
            return _unless(length_fault(len(value), kind.bounds, "characters"), value, path)
        case AnyType():
            return _unless(json_fault(value), value, path)
        case ListType() if isinstance(value, list | tuple):
            items = [check(item, kind.item, f"{path}[{index}]") for index, item in enumerate(cast("list[Any]", value))]
            return _unless(length_fault(len(items), kind.bounds, "items"), items, path)
        case DictType() if isinstance(value, Mapping):
            entries = cast("Mapping[Any, Any]", value)
            members = {_key(name, path): check(item, kind.value, f"{path}.{name}") for name, item in entries.items()}
            return _unless(length_fault(len(members), kind.bounds, "entries"), members, path)
        case StructureType() if isinstance(value, Mapping):
            return check_fields(cast("Mapping[str, Any]", value), kind.fields, path)
        case ChoiceType():
            return _chosen(value, kind, path)
        case FileType() if isinstance(value, Mapping):
            return _reference(cast("Mapping[str, Any]", value), path)
        case _:
            raise InvalidCommandError(f"{path}: expected {type_name(kind)}, got {_got(value)}")


def check_fields(values: Mapping[str, Any], fields: Sequence[Field], path: str) -> dict[str, Any]:
    """All of `fields` by name, defaults filled in; neither more nor less may be given."""
    known = {each.name for each in fields}
    for name in values:
        if name not in known:
            raise InvalidCommandError(f"{path}.{_short(name)}: unexpected argument; {_takes(path, fields)}")
    for each in fields:
        if each.is_required and each.name not in values:
            raise InvalidCommandError(f"{path}.{each.name}: missing; {_takes(path, fields)}")
    return {each.name: check(values.get(each.name, each.default), each.type, f"{path}.{each.name}") for each in fields}


def _takes(path: str, fields: Sequence[Field]) -> str:
    return f"{path} takes {', '.join(each.name for each in fields) or 'no arguments'}"


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= 60 else text[:60] + "…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= _EXACT_INTEGERS
    return isinstance(value, int) and not isinstance(value, bool)


def _got(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return shown(value) if value.is_integer() or not isfinite(value) else f"the fraction {value!r}"
    return "object" if isinstance(value, dict) else type(value).__name__


def _unless(fault: str | None, value: Any, path: str) -> Any:
    if fault is not None:
        raise InvalidCommandError(f"{path}: {fault}")
    return value


def bound_fault(value: float, bounds: Bounds, *, named: bool = False) -> str | None:
    """Say how `value` breaks its bounds, such as `9 is above 5`; None when it keeps them. `named`: say `le=5`."""

    def limit(name: str, value: float) -> str:
        return f"{name}={value}" if named else str(value)

    if bounds.ge is not None and value < bounds.ge:
        return f"{shown(value)} is below {limit('ge', bounds.ge)}"
    if bounds.gt is not None and value <= bounds.gt:
        return f"{shown(value)} is not above {limit('gt', bounds.gt)}"
    if bounds.le is not None and value > bounds.le:
        return f"{shown(value)} is above {limit('le', bounds.le)}"
    if bounds.lt is not None and value >= bounds.lt:
        return f"{shown(value)} is not below {limit('lt', bounds.lt)}"
    if bounds.multiple_of is not None and not _is_multiple(value, bounds.multiple_of):
        return f"{shown(value)} is not a multiple of {bounds.multiple_of}"
    return None


def _is_multiple(value: float, of: float) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    turns = value / of
    # 0.3 / 0.1 is 2.9999999999999996: a step a person wrote in decimals must still fit.
    return abs(turns - round(turns)) <= 1e-9 * max(1.0, abs(turns)) if isfinite(turns) else False


def length_fault(length: int, bounds: Bounds, unit: str) -> str | None:
    """Say how a length breaks its bounds; None when it keeps them."""
    if bounds.min_length is not None and length < bounds.min_length:
        return f"{length} {unit} is below {bounds.min_length}"
    if bounds.max_length is not None and length > bounds.max_length:
        return f"{length} {unit} is above {bounds.max_length}"
    return None


def _key(name: Any, path: str) -> str:
    if not isinstance(name, str):
        raise InvalidCommandError(f"{path}: expected str keys, got {_got(name)}")
    return name


def _chosen(value: Any, kind: ChoiceType, path: str) -> Any:
    is_bool, is_text = isinstance(value, bool), isinstance(value, str)
    for choice in kind.values:
        if isinstance(choice, bool) == is_bool and isinstance(choice, str) == is_text and choice == value:
            return choice
    choices = ", ".join(map(repr, kind.values[:12])) + (", …" if len(kind.values) > 12 else "")
    raise InvalidCommandError(f"{path}: {shown(value)} is not one of {choices}")


def _reference(value: Mapping[str, Any], path: str) -> dict[str, Any]:
    if not isinstance(value.get("upload_id"), str):
        raise InvalidCommandError(f"{path}: expected an upload reference with a string 'upload_id', got {shown(value)}")
    return {name: value[name] for name in _REFERENCE_KEYS if name in value}
