"""A model's contract: what of its schema a client's code depends on, without the words. Pure.

Contract = tracks, Commands, Messages with their types, bounds and defaults; descriptions, keys and hints are no part of
it, nor are the names of Python classes, the version, or the order of anything: a schema that came over the binary wire
format has the same contract as one from a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from livereactor.protocol.openapi import from_openapi, to_openapi
from livereactor.protocol.openapi_writing import NAME_HINT, type_to_json
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema
from livereactor.protocol.types import DictType, Field, ListType, OptionalType, StructureType, Type

Naming = Callable[[StructureType], str]


def contract_hash(schema: ModelSchema) -> str:
    """64 hexadecimal digits, equal exactly where the contracts are."""
    plain = {
        "tracks": sorted([each.name, each.kind, each.direction] for each in schema.tracks),
        "commands": {each.name: [_members(each.fields), each.reply] for each in schema.commands},
        "messages": {each.name: _members(each.fields) for each in schema.messages},
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _members(fields: tuple[Field, ...]) -> Any:
    return _normal(type_to_json(StructureType("", tuple(_without_words(each, _nameless) for each in fields))))


def _normal(value: Any) -> Any:
    """JSON without what the binary wire format does not keep: 1.0 is 1, and `required` has no order."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        plain = {name: _normal(item) for name, item in members.items() if name != NAME_HINT}
        if isinstance(plain.get("required"), list):
            plain["required"] = sorted(plain["required"])
        return plain
    if isinstance(value, list):
        return [_normal(item) for item in cast("list[Any]", value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _nameless(_: StructureType) -> str:
    return ""


def contract_text(schema: ModelSchema, naming: Naming, titles: Mapping[str, str]) -> str:
    """The contract as a schema document, one Command or Message a line.

    Args:
        naming: the Python class of a structure.
        titles: the Python class of a Message, by its wire type.
    """

    def fields(each: CommandSchema | MessageSchema) -> tuple[Field, ...]:
        return tuple(_without_words(field, naming) for field in each.fields)

    bare = ModelSchema(
        schema.name,
        schema.version,
        tracks=schema.tracks,
        commands=tuple(CommandSchema(each.name, fields(each), reply=each.reply) for each in schema.commands),
        messages=tuple(MessageSchema(each.name, titles[each.name], fields(each)) for each in schema.messages),
    )
    return "\n".join(_lines(to_openapi(bare)))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    last = len(document) - 1
    for number, (name, part) in enumerate(document.items()):
        comma = "," if number < last else ""
        if name in ("paths", "webhooks"):
            yield f"{json.dumps(name)}: {{"
            yield from _entries(part)
            yield "}" + comma
        elif name == "components":
            yield f'{json.dumps(name)}: {{"schemas": {{'
            yield from _entries(part["schemas"])
            yield "}}" + comma
        else:
            yield f"{json.dumps(name)}: {json.dumps(part)}{comma}"
    yield "}"


def _entries(part: Mapping[str, Any]) -> Iterator[str]:
    last = len(part) - 1
    for number, (name, entry) in enumerate(part.items()):
        yield f"{json.dumps(name)}: {json.dumps(entry)}{',' if number < last else ''}"


def _without_words(field: Field, naming: Naming) -> Field:
    return Field(field.name, _renamed(field.type, naming), field.default)


def _renamed(kind: Type, naming: Naming) -> Type:
    match kind:
        case OptionalType():
            return OptionalType(_renamed(kind.inner, naming))
        case ListType():
            return replace(kind, item=_renamed(kind.item, naming))
        case DictType():
            return replace(kind, value=_renamed(kind.value, naming))
        case StructureType():
            return StructureType(naming(kind), tuple(_without_words(each, naming) for each in kind.fields))
        case _:
            return kind


def read_contract(text: str) -> ModelSchema:
    """What `contract_text` wrote."""
    return from_openapi(json.loads(text))
