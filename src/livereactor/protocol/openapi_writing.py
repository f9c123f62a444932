"""Writing a model's contract as the schema document (docs/protocol.md). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from livereactor.protocol.bindings import BINDING_KEY, Binding, binding_to_json
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema
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
)

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
        "x-reactor": {"tracks": [_track(track) for track in schema.tracks]},
    }
    if schema.commands:
        document["paths"] = {f"/events/{command.name}": _command(command, titles) for command in schema.commands}
    if schema.messages:
        document["webhooks"] = {message.name: _webhook(message) for message in schema.messages}
    document |= _order({**document.get("paths", {}), **document.get("webhooks", {})})
    components = _components(schema)
    if components:
        document["components"] = {"schemas": components}
    return document


def _track(track: TrackSchema) -> dict[str, Any]:
    return {"name": track.name, "kind": track.kind, "direction": track.direction}


def _command(command: CommandSchema, titles: Mapping[str, str]) -> dict[str, Any]:
    responses: dict[str, Any] = {"202": {"description": "Command accepted"}}
    if command.reply is not None:
        title = titles[command.reply]
        reply = {"200": {"description": title, **_content(_component_ref(title))}}
        responses = {**reply, **responses} if command.may_acknowledge else reply
    return {
        "post": {
            "operationId": command.name,
            "summary": command.description,
            "requestBody": {"required": True, **_content(_object(command.fields, moderate=True))},
            "responses": responses,
            **_bound(command.binding),
        }
    }


def _bound(binding: Binding | None) -> dict[str, Any]:
    return {BINDING_KEY: binding_to_json(binding)} if binding else {}


def _webhook(message: MessageSchema) -> dict[str, Any]:
    return {
        "post": {
            "operationId": message.name,
            "summary": message.description,
            "requestBody": {"required": True, **_content(_component_ref(message.title))},
        }
    }


def _content(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {_JSON: {"schema": schema}}}


def _component_ref(title: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{title}"}


def _components(schema: ModelSchema) -> dict[str, Any]:
    components: dict[str, Any] = {}
    if any(_holds_file(each.type) for command in schema.commands for each in command.fields):
        components[UPLOAD_COMPONENT] = _upload_schema()
    for message in schema.messages:
        components[message.title] = _object(message.fields, moderate=False)
    return components


def _upload_schema() -> dict[str, Any]:
    properties = {name: dict(kind) for name, kind in _UPLOAD_SCHEMA["properties"].items()}
    return {**_UPLOAD_SCHEMA, "properties": properties, "required": list(_UPLOAD_SCHEMA["required"])}


def _holds_file(kind: Type) -> bool:
    match kind:
        case FileType():
            return True
        case OptionalType():
            return _holds_file(kind.inner)
        case ListType():
            return _holds_file(kind.item)
        case DictType():
            return _holds_file(kind.value)
        case StructureType():
            return any(_holds_file(each.type) for each in kind.fields)
        case _:
            return False


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
