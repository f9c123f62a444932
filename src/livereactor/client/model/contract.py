"""A model's contract: what of its schema a client's code depends on, without the words. Pure.

Contract = tracks, Commands, Messages with their types, bounds and defaults; descriptions, keys and hints are no part of
it, nor are the names of Python classes, the version, or the order of anything: a schema that came over the binary wire
format has the same contract as one from a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, TypeAlias, cast

from livereactor.base.errors import InvalidCommandError, PeerError
from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.openapi_writing import ORDER_HINT, type_to_json
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema
from livereactor.protocol.types import DictType, Field, ListType, OptionalType, StructureType, Type
from livereactor.protocol.validation import check

Naming: TypeAlias = Callable[[StructureType], str]


def contract_hash(schema: ModelSchema) -> str:
    """64 hexadecimal digits, equal exactly where the contracts are."""
    plain = {
        "tracks": sorted([each.name, each.kind, each.direction] for each in schema.tracks),
        "commands": {each.name: [_normal(_members(each, _nameless)), _answers(each)] for each in schema.commands},
        "messages": {each.name: _normal(_members(each, _nameless)) for each in schema.messages},
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _answers(command: CommandSchema) -> list[str | None]:
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


def contract_text(schema: ModelSchema, naming: Naming, titles: Mapping[str, str]) -> str:
    """The contract as JSON, one Command or Message a line; `Contract` reads it.

    Args:
        naming: the Python class of a structure.
        titles: the Python class of a Message, by its wire type.
    """
    tracks = [[each.name, each.kind, each.direction] for each in schema.tracks]
    commands = {each.name: [_members(each, naming), _answers(each)] for each in schema.commands}
    messages = {each.name: [_members(each, naming), titles[each.name]] for each in schema.messages}
    parts = [f'"model": {json.dumps([schema.name, schema.version])}', f'"tracks": {json.dumps(tracks)}']
    for name, entries in (("commands", commands), ("messages", messages)):
        lines = ",\n  ".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items())
        parts.append(f'"{name}": {{\n  {lines}}}' if lines else f'"{name}": {{}}')
    return "{" + ",\n ".join(parts) + "}"


def _read(text: str) -> ModelSchema:
    """What `contract_text` wrote, by way of the schema document that it is a part of."""
    plain = json.loads(text)
    titles = {name: title for name, (_, title) in plain["messages"].items()}
    return from_openapi(
        {
            "info": dict(zip(("title", "version"), plain["model"], strict=True)),
            "x-reactor": {"tracks": [dict(zip(_TRACK, each, strict=True)) for each in plain["tracks"]]},
            "paths": {
                f"/events/{name}": _post(members, [each and titles[each] for each in answers])
                for name, (members, answers) in plain["commands"].items()
            },
            "webhooks": {name: _post(_of(title)) for name, title in titles.items()},
            "components": {"schemas": {title: members for members, title in plain["messages"].values()}},
        }
    )


_TRACK: Final = ("name", "kind", "direction")


def _of(title: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{title}"}


def _post(body: Mapping[str, Any], answers: Sequence[str | None] = ()) -> dict[str, Any]:
    responses = {"202" if title is None else "200": {} if title is None else _content(_of(title)) for title in answers}
    return {"post": {"requestBody": _content(body), "responses": responses}}


def _content(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _members(of: CommandSchema | MessageSchema, naming: Naming) -> dict[str, Any]:
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


class Contract:
    """What a typed client was written for: the contract, and the classes that stand for its parts.

    Args:
        text: as `contract_text` wrote it.
        classes: dataclasses of structures and Messages, called as in the text.
    """

    def __init__(self, text: str, *classes: type) -> None:
        self._text = text
        self._classes = {each.__name__: each for each in classes}

    @cached_property
    def schema(self) -> ModelSchema:
        """As read from the text."""
        return _read(self._text)

    @cached_property
    def hash(self) -> str:
        """Equal to another's exactly where the contracts are."""
        return contract_hash(self.schema)

    def message(self, name: str, data: Mapping[str, Any]) -> Any:
        """The data of a Message of type `name` as its class; members that the contract does not know are left out.

        Raises:
            PeerError: the data is not what the contract says.
        """
        message = next(each for each in self.schema.messages if each.name == name)
        kind = StructureType(message.title, message.fields)
        try:
            return self._built(check(_known(data, kind), kind, name), kind)
        except InvalidCommandError as error:
            raise PeerError(f"the message is not what this client was written for ({error.message})") from error

    def _built(self, value: Any, kind: Type) -> Any:
        match kind:
            case OptionalType():
                return None if value is None else self._built(value, kind.inner)
            case ListType():
                return [self._built(item, kind.item) for item in value]
            case DictType():
                return {name: self._built(item, kind.value) for name, item in value.items()}
            case StructureType():
                members = {each.name: self._built(value[each.name], each.type) for each in kind.fields}
                return self._classes[kind.name](**members)
            case _:
                return value


def _known(value: Any, kind: Type) -> Any:
    """Without members that the contract does not know: a newer server may say more."""
    match kind:
        case OptionalType():
            return _known(value, kind.inner)
        case ListType() if isinstance(value, list):
            return [_known(item, kind.item) for item in cast("list[Any]", value)]
        case DictType() if isinstance(value, Mapping):
            entries = cast("Mapping[str, Any]", value)
            return {name: _known(item, kind.value) for name, item in entries.items()}
        case StructureType() if isinstance(value, Mapping):
            members = cast("Mapping[str, Any]", value)
            return {each.name: _known(members[each.name], each.type) for each in kind.fields if each.name in members}
        case _:
            return value
