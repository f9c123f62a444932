"""Types and defaults of a schema as Python writes them, and the classes and aliases they need. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from livereactor.client.codegen.layout import Brackets, Part, headed, value
from livereactor.client.codegen.names import Names, class_name
from livereactor.protocol.openapi_writing import type_to_json
from livereactor.protocol.schema import ModelSchema
from livereactor.protocol.types import (
    AnyType,
    BoolType,
    ChoiceType,
    DictType,
    Field,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    StructureType,
    Type,
)


class Types:
    """The named types of one client.

    Attributes:
        titles: the class of each Message, by its wire type.
        structures: the classes of structures by name, each after those it holds.
        choices: the aliases of choices, by name.
        uses: names that the annotations asked for so far must import.
    """

    def __init__(self, schema: ModelSchema, names: Names) -> None:
        self._names = names
        self._known: dict[str, str] = {}  # by the type's JSON
        self.structures: dict[str, StructureType] = {}
        self.choices: dict[str, ChoiceType] = {}
        self.uses: set[str] = set()
        # Messages first: programs name them, so they get their own names.
        self.titles = {each.name: names.give(class_name(each.title)) for each in schema.messages}
        for each in (*schema.messages, *schema.commands):
            for place in each.fields:
                self._find(place.type, place.name, each.name)

    def _find(self, kind: Type, name: str, owner: str) -> None:
        match kind:
            case OptionalType():
                self._find(kind.inner, name, owner)
            case ListType():
                self._find(kind.item, name, owner)
            case DictType():
                self._find(kind.value, name, owner)
            case StructureType():
                for each in kind.fields:
                    self._find(each.type, each.name, kind.name or name)
                if _key(kind) not in self._known:
                    self.structures[self._named(kind, kind.name or name, owner)] = kind
            case ChoiceType():
                if _key(kind) not in self._known:
                    self.choices[self._named(kind, name, owner)] = kind
            case _:
                return

    def _named(self, kind: Type, name: str, owner: str) -> str:
        given = self._names.give(class_name(name), class_name(f"{owner}_{name}"))
        self._known[_key(kind)] = given
        return given

    def name_of(self, kind: StructureType | ChoiceType) -> str:
        """Return the class or alias of a type."""
        return self._known[_key(kind)]

    def annotation(self, kind: Type) -> str:
        """Return a type as it stands in an annotation."""
        match kind:
            case BoolType():
                return "bool"
            case IntType():
                return "int"
            case FloatType():
                return "float"
            case AnyType():
                return self._used("Any")
            case ListType():
                return f"{self._used('Sequence')}[{self.annotation(kind.item)}]"
            case DictType():
                return f"{self._used('Mapping')}[str, {self.annotation(kind.value)}]"
            case StructureType() | ChoiceType():
                return self.name_of(kind)
            case OptionalType():
                inner = self.annotation(kind.inner)
                return inner if inner == "Any" or inner.endswith(" | None") else f"{inner} | None"
            case FileType():
                return self._used("FileRef")
            case _:
                return "str"

    def _used(self, name: str) -> str:
        self.uses.add(name)
        return name

    def default(self, given: Any, kind: Type) -> Part:
        """Return a default, a JSON value, as an expression of its annotation."""
        match kind:
            case OptionalType():
                return "None" if given is None else self.default(given, kind.inner)
            case ListType():
                return Brackets("(", tuple(self.default(each, kind.item) for each in given), ")", is_tuple=True)
            case DictType():
                entries = ((value(name), self.default(each, kind.value)) for name, each in given.items())
                return Brackets("{", tuple(headed(f"{name}: ", each) for name, each in entries), "}")
            case StructureType():
                members = (headed(f"{each.name}=", self._member(given, each)) for each in kind.fields)
                return Brackets(f"{self.name_of(kind)}(", tuple(members), ")")
            case _:
                return value(given)

    def _member(self, given: Mapping[str, Any], each: Field) -> Part:
        return self.default(given[each.name], each.type)

    def alias(self, kind: ChoiceType) -> Part:
        """Return the type behind a choice's alias. A Literal has no floats: they are `float`, checked later."""
        values = [each for _, each in dict.fromkeys((type(each), each) for each in kind.values)]
        plain = [each for each in values if not isinstance(each, float)]
        if not plain:
            return "float"
        floats = " | float" if len(plain) < len(values) else ""
        return Brackets(f"{self._used('Literal')}[", tuple(map(value, plain)), f"]{floats}")


def _key(kind: Type) -> str:
    return json.dumps(type_to_json(kind, moderate=False))
