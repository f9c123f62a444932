"""What a schema says of a Command in words: the docstrings of `reactor.commands` and of typed clients. Pure."""

from __future__ import annotations

from livereactor.protocol.schema import CommandSchema
from livereactor.protocol.types import (
    Bounds,
    ChoiceType,
    DictType,
    Field,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    StrType,
    Type,
)


def leading(command: CommandSchema) -> str | None:
    """The argument that may be given by its place: the only required one, or the only one there is.

    With two, a model that swapped them would silently be given the one for the other.
    """
    required = [each.name for each in command.fields if each.is_required]
    candidates = required or [each.name for each in command.fields]
    return candidates[0] if len(candidates) == 1 else None


def in_order(command: CommandSchema) -> tuple[Field, ...]:
    """The arguments as a call is written: the leading one, the required ones, those with a default."""
    first = leading(command)
    return tuple(sorted(command.fields, key=lambda each: (each.name != first, not each.is_required)))


def about(field: Field, *, typed: bool = False) -> str:
    """Its description and its limits, as sentences; empty where neither is known.

    Args:
        typed: it stands beside an annotation that lists a choice's values.
    """
    return " ".join(filter(None, (sentence(field.description), sentence(limits(field.type, typed=typed)))))


def sentence(text: str) -> str:
    """On one line, with an upper-case start and a full stop; empty stays empty."""
    line = one_line(text)
    return line and line[0].upper() + line[1:] + ("" if line[-1] in ".!?…:)" else ".")


def one_line(text: str) -> str:
    """Without line breaks, and without letters that cannot be seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def limits(kind: Type, *, typed: bool = False) -> str:
    """What beyond its Python type a value must be: `0 to 1`, `at most 8 characters`; empty where anything goes."""
    match kind:
        case OptionalType():
            return limits(kind.inner, typed=typed)
        case IntType() | FloatType():
            return _range(kind.bounds)
        case StrType():
            return _length(kind.bounds, "character")
        case ListType():
            return _with_each(_length(kind.bounds, "item"), limits(kind.item, typed=typed))
        case DictType():
            return _with_each(_length(kind.bounds, "entry"), limits(kind.value, typed=typed))
        case ChoiceType() if not typed or any(isinstance(each, float) for each in kind.values):
            return f"one of {', '.join(map(repr, kind.values))}"
        case _:
            return ""


def _with_each(text: str, each: str) -> str:
    return ", ".join(filter(None, (text, f"each {each}" if each else "")))


def _range(bounds: Bounds) -> str:
    if bounds.ge is not None and bounds.le is not None and bounds.gt is None and bounds.lt is None:
        parts = [f"{bounds.ge} to {bounds.le}"]
    else:
        words = {"at least": bounds.ge, "above": bounds.gt, "at most": bounds.le, "below": bounds.lt}
        parts = [f"{word} {value}" for word, value in words.items() if value is not None]
    if bounds.multiple_of is not None:
        parts.append(f"a multiple of {bounds.multiple_of}")
    return " and ".join(parts)


def _length(bounds: Bounds, unit: str) -> str:
    low, high = bounds.min_length, bounds.max_length
    units = f"{unit}s" if unit != "entry" else "entries"
    if low is not None and high is not None:
        return f"{low} to {high} {units}" if low != high else f"{low} {unit if low == 1 else units}"
    if low is not None:
        return f"at least {low} {unit if low == 1 else units}"
    return "" if high is None else f"at most {high} {unit if high == 1 else units}"
