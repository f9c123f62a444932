"""A model's contract: what of its schema others depend on, without the words. Pure.

Contract = tracks, Commands, Messages with their types, bounds and defaults; descriptions, keys and hints are no part of
it, nor are the names of Python classes, the version, or the order of anything: a schema that came over the binary wire
format has the same contract as one from a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, cast

from livereactor.protocol.openapi import ORDER_HINT, type_to_json
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema
from livereactor.protocol.types import DictType, Field, ListType, OptionalType, StructureType, Type

Naming: TypeAlias = Callable[[StructureType], str]


def contract_hash(schema: ModelSchema) -> str:
    """64 hexadecimal digits, equal exactly where the contracts are."""
    plain = {
        "tracks": sorted([each.name, each.kind, each.direction] for each in schema.tracks),
        "commands": {each.name: [_normal(members_of(each, _nameless)), answers_of(each)] for each in schema.commands},
        "messages": {each.name: _normal(members_of(each, _nameless)) for each in schema.messages},
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def answers_of(command: CommandSchema) -> list[str | None]:
    """The types of Messages that it may answer with; None = an acknowledgement."""
    return [command.reply] if not command.may_acknowledge else [command.reply, None]


def _nameless(_: StructureType) -> str:
    return ""


def _normal(value: Any) -> Any:
    """JSON without what the binary wire format does not keep: 1.0 is 1, and `required` has no order."""
    if isinstance(value, dict):
        plain = {name: _normal(item) for name, item in cast("dict[str, Any]", value).items()}
        if isinstance(plain.get("required"), list):
            plain["required"] = sorted(plain["required"])
        return plain
    if isinstance(value, list):
        return [_normal(item) for item in cast("list[Any]", value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def members_of(of: CommandSchema | MessageSchema, naming: Naming) -> dict[str, Any]:
    """Write the fields as a JSON schema without texts; `naming` gives the Python class of a structure."""
    kind = StructureType("", tuple(_without_words(each, naming) for each in of.fields))
    members: dict[str, Any] = _without_order(type_to_json(kind, moderate=False))
    return members


def _without_order(schema: Any) -> Any:
    if isinstance(schema, dict):
        entries = cast("dict[str, Any]", schema).items()
        return {name: _without_order(entry) for name, entry in entries if name != ORDER_HINT}
    return [_without_order(each) for each in cast("list[Any]", schema)] if isinstance(schema, list) else schema


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
