"""What a page is told of a model's Commands."""

from __future__ import annotations

from livereactor.integrations.notebook import controls
from livereactor.protocol.schema import CommandSchema, ModelSchema
from livereactor.protocol.types import (
    BoolType,
    Bounds,
    ChoiceType,
    Field,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    StrType,
)


def told(*commands: CommandSchema) -> list[dict[str, object]]:
    return controls(ModelSchema("m", commands=commands))


def test_a_parameter_is_live_and_has_its_bounds() -> None:
    field = Field("rain", FloatType(Bounds(ge=0, le=1)), default=0.2, description="Drops.")
    (control,) = told(CommandSchema("set_rain", (field,)))
    assert control == {
        "command": "set_rain",
        "title": "rain",
        "description": "Drops.",
        "live": True,
        "fields": [
            {"name": "rain", "kind": "number", "value": 0.2, "description": "Drops.", "min": 0, "max": 1, "step": "any"}
        ],
    }


def test_a_command_has_a_field_for_each_argument() -> None:
    fields = (
        Field("count", IntType(Bounds(gt=0)), default=1),
        Field("loud", BoolType(), default=False),
        Field("place", ChoiceType(("left", "right"))),
        Field("name", OptionalType(StrType()), default=None),
        Field("tint", StrType(), default="#ff0000", hints={"format": "color"}),
        Field("path", ListType()),
    )
    (control,) = told(CommandSchema("let_it_rain", fields, "Rain."))
    assert (control["title"], control["live"], control["description"]) == ("let it rain", False, "Rain.")
    described = control["fields"]
    assert isinstance(described, list)
    kinds = {each["name"]: each["kind"] for each in described}
    assert kinds == {
        "count": "whole",
        "loud": "switch",
        "place": "choice",
        "name": "text",
        "tint": "color",
        "path": "json",
    }
    by_name = {each["name"]: each for each in described}
    assert by_name["count"]["step"] == 1
    assert by_name["place"]["values"] == ["left", "right"]


def test_commands_come_in_the_authors_order_and_others_after_them() -> None:
    schema = ModelSchema("m", commands=(CommandSchema("c"), CommandSchema("b"), CommandSchema("a")))
    assert [each["command"] for each in controls(schema, ["a", "b"])] == ["a", "b", "c"]


def test_a_command_that_takes_a_file_is_left_out() -> None:
    assert told(CommandSchema("set_image", (Field("image", OptionalType(FileType())),))) == []
