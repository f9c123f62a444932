"""The schema document (docs/protocol.md): a model's contract as OpenAPI 3.1, written and read. Pure.

One module above 400 lines, because each of the two directions is right only as the inverse of the other. Whatever is
wrong with a document is a `PeerError`. Its numbers may all be floats, as they are after the binary wire format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from math import isfinite
from typing import Any, Final, cast

from livereactor.base.errors import InvalidCommandError, PeerError
from livereactor.protocol.bindings import BINDING_KEY, Binding, binding_in, binding_to_json
from livereactor.protocol.fields import json_object, member, text
from livereactor.protocol.json_text import shown
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema
from livereactor.protocol.types import (
    REQUIRED,
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
)
from livereactor.protocol.validation import check

_MAX_DEPTH: Final = 20  # of types within types; our own end at 16
_MAX_TYPES: Final = 10_000  # references can multiply: a small document must not make a huge schema
_PREFIX: Final = "#/components/schemas/"
UPLOAD_COMPONENT: Final = "ReactorUploadReference"
MODERATE: Final = "x-reactor-moderate"
HINT_PREFIX: Final = "x-livereactor-"
NAME_HINT: Final = "x-livereactor-structure"  # the name of a nested structure's class, for typed clients
# The author's order of commands and messages, and of an object's properties: over the v1 wire the document is a
# protobuf Struct, whose maps have none.
ORDER_HINT: Final = "x-livereactor-order"
_JSON: Final = "application/json"
_UPLOAD_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "format": "reactor-upload-reference",
    "description": "A file that this session's client has uploaded.",
    "properties": {
        "upload_id": {"type": "string", "format": "uuid"},
        "name": {"type": "string"},
        "mime_type": {"type": "string"},
        "size": {"type": "integer"},
    },
    "required": ["upload_id", "name", "mime_type", "size"],
}


def to_openapi(schema: ModelSchema) -> dict[str, Any]:
    """The document; a JSON object, fresh at each call."""
    titles = {message.name: message.title for message in schema.messages}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": schema.name, "version": schema.version, "description": schema.description},
        "x-reactor": {"tracks": [asdict(track) for track in schema.tracks]},
    }
    if schema.commands:
        document["paths"] = {f"/events/{command.name}": _command(command, titles) for command in schema.commands}
    if schema.messages:
        document["webhooks"] = {
            message.name: _post(message.name, message.description, _component_ref(message.title))
            for message in schema.messages
        }
    document |= _order({**document.get("paths", {}), **document.get("webhooks", {})})
    components = _components(schema)
    if components:
        document["components"] = {"schemas": components}
    return document


def _command(command: CommandSchema, titles: Mapping[str, str]) -> dict[str, Any]:
    responses: dict[str, Any] = {"202": {"description": "Command accepted"}}
    if command.reply is not None:
        title = titles[command.reply]
        reply = {"200": {"description": title, **_content(_component_ref(title))}}
        responses = {**reply, **responses} if command.may_acknowledge else reply
    body = _object(command.fields, moderate=True)
    return _post(command.name, command.description, body, responses=responses, **_bound(command.binding))


def _bound(binding: Binding | None) -> dict[str, Any]:
    return {BINDING_KEY: binding_to_json(binding)} if binding else {}


def _post(name: str, summary: str, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    request = {"required": True, **_content(body)}
    return {"post": {"operationId": name, "summary": summary, "requestBody": request, **more}}


def _content(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {_JSON: {"schema": schema}}}


def _component_ref(title: str) -> dict[str, Any]:
    return {"$ref": _PREFIX + title}


def _components(schema: ModelSchema) -> dict[str, Any]:
    components: dict[str, Any] = {}
    if any(command.takes_files for command in schema.commands):
        components[UPLOAD_COMPONENT] = deepcopy(_UPLOAD_SCHEMA)
    for message in schema.messages:
        components[message.title] = _object(message.fields, moderate=False)
    return components


def _object(fields: Sequence[Field], *, moderate: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {each.name: _property(each, moderate=moderate) for each in fields},
    }
    required = [each.name for each in fields if each.is_required]
    return {**schema, **({"required": required} if required else {}), **_order(schema["properties"])}


def _order(named: Mapping[str, Any]) -> dict[str, Any]:
    return {ORDER_HINT: list(named)} if len(named) > 1 else {}


def _property(each: Field, *, moderate: bool) -> dict[str, Any]:
    schema = type_to_json(each.type, moderate=moderate)
    if not each.is_required:
        schema["default"] = each.default
    if each.description:
        schema["description"] = each.description
    if moderate:
        schema[MODERATE] = each.moderate
    for name, value in each.hints.items():
        schema[HINT_PREFIX + name] = value
    return {**schema, **_bound(each.binding)}


def type_to_json(kind: Type, *, moderate: bool = True) -> dict[str, Any]:
    """The JSON Schema of one type; `moderate`: mark the fields of structures inside, as a command's schema does."""
    match kind:
        case BoolType():
            return {"type": "boolean"}
        case IntType():
            return {"type": "integer", **_limits(kind.bounds)}
        case FloatType():
            return {"type": "number", **_limits(kind.bounds)}
        case StrType():
            return {"type": "string", **_lengths(kind.bounds, "minLength", "maxLength")}
        case AnyType():
            return {}
        case ListType():
            items = type_to_json(kind.item, moderate=moderate)
            return {"type": "array", "items": items, **_lengths(kind.bounds, "minItems", "maxItems")}
        case DictType():
            values = type_to_json(kind.value, moderate=moderate)
            lengths = _lengths(kind.bounds, "minProperties", "maxProperties")
            return {"type": "object", "additionalProperties": values, **lengths}
        case StructureType():
            schema = _object(kind.fields, moderate=moderate)
            return {**schema, NAME_HINT: kind.name} if kind.name else schema
        case OptionalType():
            return {"anyOf": [type_to_json(kind.inner, moderate=moderate), {"type": "null"}]}
        case ChoiceType():
            return _choice(kind.values)
        case FileType():
            return _component_ref(UPLOAD_COMPONENT)


BOUND_KEYS: Final[Mapping[str, str]] = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}


def _limits(bounds: Bounds) -> dict[str, Any]:
    return {key: value for name, key in BOUND_KEYS.items() if (value := getattr(bounds, name)) is not None}


def _lengths(bounds: Bounds, minimum: str, maximum: str) -> dict[str, Any]:
    pairs = ((minimum, bounds.min_length), (maximum, bounds.max_length))
    return {key: value for key, value in pairs if value is not None}


_JSON_NAMES: Final[Mapping[type, str]] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _choice(values: Iterable[str | int | float | bool]) -> dict[str, Any]:
    members = list(values)
    names = {next(_JSON_NAMES[kind] for kind in type(member).__mro__ if kind in _JSON_NAMES) for member in members}
    return {"type": names.pop(), "enum": members} if len(names) == 1 else {"enum": members}


# --- reading -------------------------------------------------------------------------------------------------------


def from_openapi(document: Any) -> ModelSchema:
    """The contract in a parsed document of ours or of an official runtime."""
    return _Reader(json_object(document, "the schema")).schema()


class _Reader:
    """One document being read; counts what it makes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._components = member(member(document, "components"), "schemas")
        self._types_left = _MAX_TYPES

    def schema(self) -> ModelSchema:
        info = member(self._document, "info")
        messages = self._webhooks()
        commands = self._commands(messages)
        tracks = _items(member(self._document, "x-reactor").get("tracks", []), "tracks")
        return ModelSchema(
            name=text(info, "title", default=""),
            version=text(info, "version", default=""),
            description=text(info, "description", default=""),
            tracks=tuple(_read_track(json_object(track, "a track")) for track in tracks),
            commands=commands,
            messages=tuple(messages.values()),
        )

    def _webhooks(self) -> dict[str, MessageSchema]:
        """Messages by title."""
        messages: dict[str, MessageSchema] = {}
        for name, webhook in _in_order(member(self._document, "webhooks"), self._document):
            post = member(json_object(webhook, name), "post")
            title = _title_of(_body_schema(post)) or name
            messages[title] = self._message(name, title, _summary(post))
        return messages

    def _message(self, name: str, title: str, description: str) -> MessageSchema:
        return MessageSchema(name, title, self._fields(member(self._components, title), 0), description)

    def _commands(self, messages: dict[str, MessageSchema]) -> tuple[CommandSchema, ...]:
        commands: list[CommandSchema] = []
        for path, item in _in_order(member(self._document, "paths"), self._document):
            post = member(json_object(item, path), "post")
            name = path.removeprefix("/events/")
            reply = self._reply(post, messages)
            fields = self._fields(_body_schema(post), 0)
            may_acknowledge = reply is not None and "202" in member(post, "responses")
            commands.append(CommandSchema(name, fields, _summary(post), reply, binding_in(post), may_acknowledge))
        return tuple(commands)

    def _reply(self, post: Mapping[str, Any], messages: dict[str, MessageSchema]) -> str | None:
        title = _title_of(_content_schema(member(member(post, "responses"), "200")))
        if title is None:
            return None
        if title not in messages:  # a document may name a reply that is no webhook
            messages[title] = self._message(_snake_case(title), title, "")
        return messages[title].name

    def _fields(self, schema: Mapping[str, Any], depth: int) -> tuple[Field, ...]:
        required = set(map(str, _items(schema.get("required", []), "required")))
        properties = _in_order(member(schema, "properties"), schema)
        return tuple(self._field(name, json_object(each, name), name in required, depth) for name, each in properties)

    def _field(self, name: str, schema: Mapping[str, Any], required: bool, depth: int) -> Field:
        kind = self._type(schema, name, depth)
        hints = {key.removeprefix(HINT_PREFIX): text(schema, key) for key in schema if _is_hint(key)}
        default: Any = REQUIRED
        if "default" in schema:
            try:
                default = check(schema["default"], kind, name)
            except InvalidCommandError as error:
                raise PeerError(f"the schema's default is wrong: {error.message}") from error
        elif not required:
            # Neither required nor a default: only an official document says so, and null is what it means.
            kind, default = (kind if isinstance(kind, OptionalType | AnyType) else OptionalType(kind)), None
        description, moderate = text(schema, "description", default=""), schema.get(MODERATE) is True
        return Field(name, kind, default, description, moderate, hints, binding_in(schema))

    def _type(self, schema: Mapping[str, Any], name: str, depth: int) -> Type:
        self._types_left -= 1
        if depth > _MAX_DEPTH or self._types_left < 0:
            raise PeerError(f"{name}: the schema nests deeper than {_MAX_DEPTH} levels or holds too many types")
        if "$ref" in schema:
            return self._referenced(text(schema, "$ref"), depth)
        if "anyOf" in schema:
            return self._any_of(_items(schema["anyOf"], name), name, depth)
        if "enum" in schema:
            return _read_choice(_items(schema["enum"], name), schema.get("type"), name)
        match schema.get("type"):
            case None:
                return AnyType()
            case "boolean":
                return BoolType()
            case "integer":
                return IntType(_read_limits(schema))
            case "number":
                return FloatType(_read_limits(schema))
            case "string":
                return StrType(_read_lengths(schema, "minLength", "maxLength"))
            case "array":
                item = self._type(member(schema, "items"), name, depth + 1)
                return ListType(item, _read_lengths(schema, "minItems", "maxItems"))
            case "object":
                return self._object(schema, name, depth)
            case other:
                raise PeerError(f"{name}: the schema has a type {shown(other)}, which does not exist")

    def _object(self, schema: Mapping[str, Any], name: str, depth: int) -> Type:
        if "properties" in schema:
            return StructureType(text(schema, NAME_HINT, default=""), self._fields(schema, depth + 1))
        extra = schema.get("additionalProperties")
        value = self._type(json_object(extra, name), name, depth + 1) if isinstance(extra, dict) else AnyType()
        return DictType(value, _read_lengths(schema, "minProperties", "maxProperties"))

    def _any_of(self, members: list[Any], name: str, depth: int) -> Type:
        others = [each for each in members if each != {"type": "null"}]
        if len(others) != 1 or len(members) > 2:
            raise PeerError(f"{name}: the schema has a choice of types other than 'T or null'")
        kind = self._type(json_object(others[0], name), name, depth + 1)
        return kind if len(members) == 1 else OptionalType(kind)

    def _referenced(self, reference: str, depth: int) -> Type:
        title = reference.removeprefix(_PREFIX)
        if title == UPLOAD_COMPONENT:
            return FileType()
        if title not in self._components:
            raise PeerError(f"the schema refers to {shown(reference)}, which it does not contain")
        return self._type(member(self._components, title), title, depth + 1)


def _read_track(track: Mapping[str, Any]) -> TrackSchema:
    kind, direction = track.get("kind"), track.get("direction")
    if kind not in ("video", "audio") or direction not in ("out", "in"):
        raise PeerError(f"the schema has a track of kind {shown(kind)} and direction {shown(direction)}")
    return TrackSchema(text(track, "name"), kind, direction)


def _in_order(named: Mapping[str, Any], holder: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The members of `named` as their author ordered them, where `holder` says; others after them."""
    told = holder.get(ORDER_HINT)
    names = cast("list[object]", told) if isinstance(told, list) else []
    places = {name: place for place, name in enumerate(names) if isinstance(name, str)}
    return sorted(named.items(), key=lambda each: places.get(each[0], len(names)))


def _items(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise PeerError(f"{name}: expected a list, got {shown(value)}")
    return cast("list[Any]", value)


def _summary(post: Mapping[str, Any]) -> str:
    return text(post, "summary", default="")


def _body_schema(post: Mapping[str, Any]) -> Mapping[str, Any]:
    return _content_schema(member(post, "requestBody"))


def _content_schema(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    return member(member(member(holder, "content"), "application/json"), "schema")


def _title_of(schema: Mapping[str, Any]) -> str | None:
    return text(schema, "$ref").removeprefix(_PREFIX) if "$ref" in schema else None


def _snake_case(title: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in title).lstrip("_")


def _is_hint(key: str) -> bool:
    return key.startswith(HINT_PREFIX) and key not in (NAME_HINT, ORDER_HINT, BINDING_KEY)


def _number(schema: Mapping[str, Any], key: str) -> float | None:
    value = schema.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise PeerError(f"{key}: expected a number, got {shown(value)}")
    return int(value) if value == int(value) else value


def _read_limits(schema: Mapping[str, Any]) -> Bounds:
    limits: dict[str, Any] = {name: _number(schema, key) for name, key in BOUND_KEYS.items()}
    return Bounds(**limits)


def _read_lengths(schema: Mapping[str, Any], minimum: str, maximum: str) -> Bounds:
    return Bounds(min_length=_length(schema, minimum), max_length=_length(schema, maximum))


def _length(schema: Mapping[str, Any], key: str) -> int | None:
    value = _number(schema, key)
    return None if value is None else int(value)


def _read_choice(values: list[Any], kind: Any, name: str) -> Type:
    if not values or any(not isinstance(value, str | int | float) for value in values):
        raise PeerError(f"{name}: the schema has choices that are not strings, numbers or booleans")
    if kind == "integer":
        values = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    return ChoiceType(tuple(values))
