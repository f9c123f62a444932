"""A model's contract (`protocol/contract.py`) as a typed client keeps it: as text, with its classes. Pure."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from livereactor.base.errors import InvalidCommandError, PeerError
from livereactor.protocol.contract import Naming, answers_of, contract_hash, members_of
from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.schema import ModelSchema
from livereactor.protocol.types import DictType, ListType, OptionalType, StructureType, Type
from livereactor.protocol.validation import check


def contract_text(schema: ModelSchema, naming: Naming, titles: Mapping[str, str]) -> str:
    """Return the contract as JSON, one Command or Message a line; `Contract` reads it.

    Args:
        naming: the Python class of a structure.
        titles: the Python class of a Message, by its wire type.
    """
    tracks = [[each.name, each.kind, each.direction] for each in schema.tracks]
    commands = {each.name: [members_of(each, naming), answers_of(each)] for each in schema.commands}
    messages = {each.name: [members_of(each, naming), titles[each.name]] for each in schema.messages}
    parts = [f'"model": {json.dumps([schema.name, schema.version])}', f'"tracks": {json.dumps(tracks)}']
    for name, entries in (("commands", commands), ("messages", messages)):
        lines = ",\n  ".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items())
        parts.append(f'"{name}": {{\n  {lines}}}' if lines else f'"{name}": {{}}')
    return "{" + ",\n ".join(parts) + "}"


def _read(text: str) -> ModelSchema:
    """Read a text of `contract_text`, by way of the schema document that it abridges."""
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


class Contract:
    """The contract that a typed client was written for, and the classes of its structures and Messages.

    Args:
        text: written by `contract_text`.
        classes: dataclasses of structures and Messages, with their names in the text.
    """

    def __init__(self, text: str, *classes: type) -> None:
        self._text = text
        self._classes = {each.__name__: each for each in classes}

    @cached_property
    def schema(self) -> ModelSchema:
        """The schema, read from the text."""
        return _read(self._text)

    @cached_property
    def hash(self) -> str:
        """A hash that two contracts share exactly if they are equal."""
        return contract_hash(self.schema)

    def message(self, name: str, data: Mapping[str, Any]) -> Any:
        """Return the data of a Message of type `name` as its class, without members that the contract does not know.

        Raises:
            PeerError: the data does not fit the contract.
        """
        message = next(each for each in self.schema.messages if each.name == name)
        kind = StructureType(message.title, message.fields)
        try:
            return self._built(check(_known(data, kind), kind, name), kind)
        except InvalidCommandError as error:
            raise PeerError(f"the message does not match this client ({error.message})") from error

    def _built(self, value: Any, kind: Type) -> Any:
        found = kind.mapped(value, self._built)
        return self._classes[kind.name](**found) if isinstance(kind, StructureType) else found


def _known(value: Any, kind: Type) -> Any:
    """Return a value without members that the contract does not know: a newer server may send more."""
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


def kept_contract(path: str) -> ModelSchema | None:
    """The contract in a typed client's file; None where the file is no typed client."""
    try:
        module = ast.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    for statement in module.body:
        match statement:
            case ast.AnnAssign(
                target=ast.Name(id="CONTRACT"),
                value=ast.Call(func=ast.Name(id="Contract"), args=[ast.Constant(value=str(text)), *_]),
            ):
                return Contract(text).schema
            case _:
                continue
    return None
