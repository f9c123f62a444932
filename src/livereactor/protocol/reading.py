"""Reading Python annotations as types (docs/protocol.md); what cannot be one is a `DefinitionError`. Pure.

Annotations must be resolved (`typing.get_type_hints(…, include_extras=True)`).
"""

from __future__ import annotations

import dataclasses
import types as python_types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, cast

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from livereactor.base.errors import DefinitionError, InvalidCommandError
from livereactor.protocol.types import (
    REQUIRED,
    UNBOUNDED,
    AnyType,
    BoolType,
    Bounds,
    ChoiceType,
    DictType,
    Field,
    File,
    FileType,
    FloatType,
    Hint,
    IntType,
    ListType,
    OptionalType,
    StrType,
    StructureType,
    Type,
    type_name,
)
from livereactor.protocol.validation import bound_fault
from livereactor.protocol.values import to_json

_MAX_DEPTH: Final = 16  # of declared types within types; a type that holds itself has no end
_SCALARS: Final[Mapping[Any, Type]] = {
    bool: BoolType(),
    int: IntType(),
    float: FloatType(),
    str: StrType(),
    Any: AnyType(),
    object: AnyType(),
    list: ListType(),
    dict: DictType(),
}
_CAN_BE: Final = "int, float, str, bool, Literal, Enum, list, dict[str, T], Optional, Any, dataclass, pydantic, lr.File"


def type_of(annotation: Any, where: str) -> Type:
    """The type that a resolved annotation declares; `where` (`Pond.drop.x`) begins the error's sentence."""
    return _read(annotation, where, 0)


def field_of(
    name: str,
    annotation: Any,
    where: str,
    *,
    default: Any = REQUIRED,
    bounds: Bounds = UNBOUNDED,
    description: str = "",
    moderate: bool = False,
) -> Field:
    """Return the field that a resolved annotation and the metadata next to it declare.

    Args:
        default: a Python value of the annotated type; kept as JSON.
        bounds: in addition to those of the annotation; where both say something, this one counts.
        description: wins over one inside `Annotated`.

    Raises:
        DefinitionError: no type, bounds that do not fit it, or a default that breaks them or could be changed.
    """
    kind = with_bounds(type_of(annotation, where), bounds, where)
    return _field(name, annotation, kind, where, default=default, description=description, moderate=moderate)


def _field(
    name: str, annotation: Any, kind: Type, where: str, *, default: Any, description: str = "", moderate: bool = False
) -> Field:
    extras = list(_extras(annotation))
    hints = {extra.name: extra.value for extra in extras if isinstance(extra, Hint)}
    text = description or next((told for extra in extras if (told := _told(extra))), "")
    value = default if default is REQUIRED else _default(default, kind, where)
    return Field(name, kind, value, text, moderate, hints)


def _told(extra: Any) -> str:
    # PEP 727's Doc and annotated_types' doc say `documentation`, pydantic's FieldInfo `description`.
    said = getattr(extra, "documentation", None) or getattr(extra, "description", None)
    return said if isinstance(said, str) else ""


def _default(default: Any, kind: Type, where: str) -> Any:
    if isinstance(default, list | dict | set):
        instead = "a tuple" if isinstance(default, list) else "types.MappingProxyType({…})"
        raise DefinitionError(f"{where}: default {default!r} is mutable and would be shared by all; use {instead}")
    inner = kind.inner if isinstance(kind, OptionalType) else kind
    if isinstance(inner, IntType | FloatType) and isinstance(default, int | float) and not isinstance(default, bool):
        fault = bound_fault(default, inner.bounds, named=True)
        if fault is not None:
            raise DefinitionError(f"{where}: default {fault}; change one of them")
    try:
        return to_json(default, kind, f"{where}: default")
    except InvalidCommandError as error:
        raise DefinitionError(f"{error.message}; change one of them") from error


# --- annotations -------------------------------------------------------------------------------------------------


def _read(annotation: Any, where: str, depth: int) -> Type:
    if depth > _MAX_DEPTH:
        raise DefinitionError(f"{where}: types nest deeper than {_MAX_DEPTH} levels; a type cannot hold itself")
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        kind = _read(arguments[0], where, depth)
        return with_bounds(kind, _bounds_of(_extras(annotation), where), where)
    if origin is Literal:
        return _choice(arguments, where)
    if origin in (Union, python_types.UnionType):
        return _union(arguments, where, depth)
    if origin is list:
        return ListType(_read(arguments[0], where, depth + 1))
    if origin in (dict, Mapping) and len(arguments) == 2:
        if arguments[0] is not str:
            raise DefinitionError(f"{where}: keys of {_shown(annotation)} cannot be sent; use dict[str, …]")
        return DictType(_read(arguments[1], where, depth + 1))
    if isinstance(annotation, typing.NewType):
        return _read(annotation.__supertype__, where, depth)
    return _read_class(annotation, where, depth)


def _read_class(annotation: Any, where: str, depth: int) -> Type:
    try:
        if annotation in _SCALARS:
            return _SCALARS[annotation]
    except TypeError:  # not hashable, so no type
        pass
    if isinstance(annotation, type):
        python = cast("type[object]", annotation)
        if issubclass(python, Enum):
            return _enumeration(python, where)
        if issubclass(python, File):
            return FileType()
        if issubclass(python, BaseModel):
            return StructureType(python.__name__, tuple(_pydantic_fields(python, where, depth)), python)
        if dataclasses.is_dataclass(python):
            return StructureType(python.__name__, tuple(_dataclass_fields(python, where, depth)), python)
    raise DefinitionError(f"{where}: {_shown(annotation)} cannot be sent; use one of {_CAN_BE}")


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _enumeration(python: type[Enum], where: str) -> Type:
    kind = _choice([member.value for member in python], where)
    if isinstance(kind, OptionalType):
        raise DefinitionError(f"{where}: {python.__name__} has a member that is None; use {python.__name__} | None")
    return dataclasses.replace(kind, python=python)


def _choice(values: Iterable[Any], where: str) -> ChoiceType | OptionalType:
    members = list(dict.fromkeys(value.value if isinstance(value, Enum) else value for value in values))
    choices = tuple(value for value in members if value is not None)
    for value in choices:
        if not isinstance(value, str | int | float | bool):
            raise DefinitionError(f"{where}: the choice {value!r} cannot be sent; use strings, numbers or booleans")
    if not choices:
        raise DefinitionError(f"{where}: there are no choices; give at least one value")
    return OptionalType(ChoiceType(choices)) if None in members else ChoiceType(choices)


def _union(members: tuple[Any, ...], where: str, depth: int) -> Type:
    others = [member for member in members if member is not type(None)]
    if len(others) != 1:
        names = " | ".join(map(_shown, others))
        raise DefinitionError(f"{where}: the union {names} cannot be sent; use one type, or that type | None")
    inner = _read(others[0], where, depth)
    return inner if isinstance(inner, OptionalType) or len(members) == 1 else OptionalType(inner)


def _dataclass_fields(python: type, where: str, depth: int) -> Iterator[Field]:
    hints = typing.get_type_hints(python, include_extras=True)
    for each in dataclasses.fields(python):
        if not each.init:
            raise DefinitionError(f"{where}: {python.__name__}.{each.name} is not an argument of its class; init=True")
        default = each.default
        if each.default_factory is not dataclasses.MISSING:
            default = _frozen(each.default_factory())
        if default is dataclasses.MISSING:
            default = REQUIRED
        place = f"{where}.{each.name}"
        kind = _read(hints[each.name], place, depth + 1)
        yield _field(each.name, hints[each.name], kind, place, default=default)


def _pydantic_fields(python: type[BaseModel], where: str, depth: int) -> Iterator[Field]:
    hints = typing.get_type_hints(python, include_extras=True)
    for name, info in python.model_fields.items():
        place = f"{where}.{name}"
        kind = with_bounds(_read(hints[name], place, depth + 1), _bounds_of(info.metadata, place), place)
        given = info.get_default(call_default_factory=True, validated_data={})
        default = REQUIRED if info.is_required() else _frozen(given)
        yield _field(name, hints[name], kind, place, default=default, description=info.description or "")


def _frozen(default: Any) -> Any:
    """A default made by a factory is nobody else's, so a mutable one is fine; as `field_of` takes it."""
    if isinstance(default, list):
        return tuple(cast("list[Any]", default))
    if isinstance(default, dict):
        return python_types.MappingProxyType(cast("dict[Any, Any]", default))
    return default


# --- bounds ------------------------------------------------------------------------------------------------------


def _extras(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    elif typing.get_origin(annotation) in (Union, python_types.UnionType):
        for member in typing.get_args(annotation):
            yield from _extras(member)


def _bounds_of(metadata: Iterable[Any], where: str) -> Bounds:
    bounds = UNBOUNDED
    for extra in metadata:
        if isinstance(extra, FieldInfo):
            bounds = _merged(bounds, _bounds_of(extra.metadata, where))
        elif isinstance(extra, at.GroupedMetadata):
            bounds = _merged(bounds, _bounds_of(list(extra), where))
        else:
            bounds = _merged(bounds, _one_bound(extra, where))
    return bounds


def _one_bound(extra: Any, where: str) -> Bounds:
    match extra:
        case at.Ge():
            return Bounds(ge=_limit(extra.ge, where))
        case at.Gt():
            return Bounds(gt=_limit(extra.gt, where))
        case at.Le():
            return Bounds(le=_limit(extra.le, where))
        case at.Lt():
            return Bounds(lt=_limit(extra.lt, where))
        case at.MultipleOf():
            return Bounds(multiple_of=_limit(extra.multiple_of, where))
        case at.MinLen():
            return Bounds(min_length=extra.min_length)
        case at.MaxLen():
            return Bounds(max_length=extra.max_length)
        case at.BaseMetadata():
            raise DefinitionError(f"{where}: {extra!r} cannot be described to clients; check it in the handler")
        case _:
            return UNBOUNDED  # somebody else's mark (PEP 593: ignore what you do not know)


def _limit(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DefinitionError(f"{where}: the bound {value!r} is not a number; bounds are numbers")
    return value


def _merged(old: Bounds, new: Bounds) -> Bounds:
    changes = {name: value for name in _BOUND_NAMES if (value := getattr(new, name)) is not None}
    return dataclasses.replace(old, **changes) if changes else old


_BOUND_NAMES: Final = tuple(each.name for each in dataclasses.fields(Bounds))
_NUMBER_BOUNDS: Final = {"ge", "gt", "le", "lt", "multiple_of"}
_LENGTH_BOUNDS: Final = {"min_length", "max_length"}


def with_bounds(kind: Type, bounds: Bounds, where: str) -> Type:
    """`kind` narrowed by `bounds`; `DefinitionError` where they make no sense for it."""
    if bounds == UNBOUNDED:
        return kind
    if isinstance(kind, OptionalType):
        return OptionalType(with_bounds(kind.inner, bounds, where))
    if isinstance(kind, IntType | FloatType):
        fitting = _NUMBER_BOUNDS
    elif isinstance(kind, StrType | ListType | DictType):
        fitting = _LENGTH_BOUNDS
    else:
        raise DefinitionError(f"{where}: bounds make no sense for {type_name(kind)}; remove them")
    for name in _BOUND_NAMES:
        if name not in fitting and getattr(bounds, name) is not None:
            raise DefinitionError(f"{where}: {name} makes no sense for {type_name(kind)}; remove it")
    merged = _merged(kind.bounds, bounds)
    _refuse_empty(merged, where)
    return dataclasses.replace(kind, bounds=merged)


def _refuse_empty(bounds: Bounds, where: str) -> None:
    lows = [limit for limit in (bounds.ge, bounds.gt) if limit is not None]
    highs = [limit for limit in (bounds.le, bounds.lt) if limit is not None]
    if lows and highs and max(lows) > min(highs):
        raise DefinitionError(f"{where}: no number is above {max(lows)} and below {min(highs)}; change one of them")
    if bounds.multiple_of is not None and bounds.multiple_of <= 0:
        raise DefinitionError(f"{where}: multiple_of {bounds.multiple_of} is not above 0; change it")
    if (bounds.min_length or 0) > (bounds.max_length if bounds.max_length is not None else bounds.min_length or 0):
        raise DefinitionError(f"{where}: min_length {bounds.min_length} is above max_length {bounds.max_length}")
