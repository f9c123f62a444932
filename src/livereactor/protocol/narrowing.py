"""Whether a field came to take less than it took. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from livereactor.protocol.types import (
    AnyType,
    Bounds,
    ChoiceType,
    DictType,
    Field,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    StrType,
    StructureType,
    Type,
    type_name,
)


def narrowed(old: Field, new: Field, path: str) -> Iterator[str]:
    """A sentence for each way in which `new` refuses what `old` took."""
    if new.is_required and not old.is_required:
        yield f"{path} is required now"
    yield from _narrowed_type(old.type, new.type, path)


def _narrowed_type(old: Type, new: Type, path: str) -> Iterator[str]:
    match old, new:
        case _, AnyType():
            return
        case OptionalType(), OptionalType():
            yield from _narrowed_type(old.inner, new.inner, path)
        case OptionalType(), _:
            yield f"{path} no longer takes null"
            yield from _narrowed_type(old.inner, new, path)
        case _, OptionalType():
            yield from _narrowed_type(old, new.inner, path)
        case (IntType(), IntType() | FloatType()) | (FloatType(), FloatType()) | (StrType(), StrType()):
            yield from _narrowed_bounds(old.bounds, new.bounds, path)
        case ListType(), ListType():
            yield from _narrowed_bounds(old.bounds, new.bounds, path)
            yield from _narrowed_type(old.item, new.item, f"{path}[]")
        case DictType(), DictType():
            yield from _narrowed_bounds(old.bounds, new.bounds, path)
            yield from _narrowed_type(old.value, new.value, f"{path}.*")
        case ChoiceType(), ChoiceType():
            gone = [value for value in old.values if value not in new.values]
            if gone:
                yield f"{path} no longer takes {', '.join(map(repr, gone))}"
        case ChoiceType(), StrType() if all(isinstance(value, str) for value in old.values):
            return
        case StructureType(), StructureType():
            yield from _narrowed_fields(old, new, path)
        case _ if type(old) is type(new):
            return
        case _:
            yield f"{path} was {type_name(old)} and is {type_name(new)}"


def _narrowed_fields(old: StructureType, new: StructureType, path: str) -> Iterator[str]:
    now = {each.name: each for each in new.fields}
    before = {each.name for each in old.fields}
    for each in old.fields:
        if each.name in now:
            yield from narrowed(each, now[each.name], f"{path}.{each.name}")
        else:
            yield f"{path}.{each.name} is gone"
    for each in new.fields:
        if each.is_required and each.name not in before:
            yield f"{path}.{each.name} is new and required"


def _narrowed_bounds(old: Bounds, new: Bounds, path: str) -> Iterator[str]:
    for name, rises in _RISING.items():
        before: float | None = getattr(old, name)
        now: float | None = getattr(new, name)
        if now is None or before == now:
            continue
        if before is None or (now > before if rises else now < before):
            yield f"{path} has {name}={now} now, {'no such bound' if before is None else before} before"
    if new.multiple_of is not None and new.multiple_of != old.multiple_of:
        yield f"{path} has multiple_of={new.multiple_of} now"


# Bound -> whether it narrows as it rises. `ge` turned into `gt` shows as a new bound, which it is.
_RISING = {"ge": True, "gt": True, "le": False, "lt": False, "min_length": True, "max_length": False}
