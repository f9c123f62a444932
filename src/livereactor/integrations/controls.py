"""A model's Commands as plain descriptions of controls, for a page to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from livereactor.client.model.describing import in_order
from livereactor.protocol.schema import CommandSchema, ModelSchema
from livereactor.protocol.types import (
    REQUIRED,
    BoolType,
    Bounds,
    ChoiceType,
    Field,
    FileType,
    FloatType,
    IntType,
    OptionalType,
    StrType,
    Type,
)


def controls(schema: ModelSchema, order: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One entry per Command, as JSON; those that take files are left out.

    Args:
        order: names of Commands as the author wrote them: on the wire a schema has none.

    Each has `command`, `title`, `description`, `live` (one field, to be sent as it moves) and `fields`: `name`, `kind`
    (`number`, `whole`, `switch`, `choice`, `text`, `color` or `json`), `value`, `description`, and where they apply
    `min`, `max`, `step` and `values`.
    """
    places = {name: place for place, name in enumerate(order)}
    commands = sorted(schema.commands, key=lambda command: places.get(command.name, len(places)))
    return [_control(command) for command in commands if not any(_takes_file(each) for each in command.fields)]


def _control(command: CommandSchema) -> dict[str, Any]:
    fields = [_field(each) for each in in_order(command)]
    live = len(fields) == 1 and command.name == f"set_{fields[0]['name']}" and fields[0]["kind"] != "json"
    title = (command.fields[0].name if live else command.name).replace("_", " ")
    return {
        "command": command.name,
        "title": title,
        "description": command.description or (command.fields[0].description if live else ""),
        "live": live,
        "fields": fields,
    }


def _field(field: Field) -> dict[str, Any]:
    value = None if field.default is REQUIRED else field.default
    described = {"name": field.name, "value": value, "description": field.description}
    kind = field.type.inner if isinstance(field.type, OptionalType) else field.type
    match kind:
        case BoolType():
            return described | {"kind": "switch"}
        case FloatType(bounds):
            return described | {"kind": "number"} | _range(bounds, "any")
        case IntType(bounds):
            return described | {"kind": "whole"} | _range(bounds, 1)
        case ChoiceType(values):
            return described | {"kind": "choice", "values": list(values)}
        case StrType():
            return described | {"kind": "color" if field.hints.get("format") == "color" else "text"}
        case _:
            return described | {"kind": "json"}


def _range(bounds: Bounds, step: float | str) -> dict[str, Any]:
    low = bounds.gt if bounds.ge is None else bounds.ge
    high = bounds.lt if bounds.le is None else bounds.le
    found = {"min": low, "max": high, "step": bounds.multiple_of or step}
    return {name: value for name, value in found.items() if value is not None}


def _takes_file(field: Field) -> bool:
    kind: Type = field.type.inner if isinstance(field.type, OptionalType) else field.type
    return isinstance(kind, FileType)
