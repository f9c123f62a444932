"""Typed clients: a model's schema as the Python module of its client. Pure, and the same text for the same schema.

Above 400 lines because it is one thing: the names, the types and the classes of one module refer to each other.
"""

from __future__ import annotations

import builtins
import json
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from livereactor.base.errors import UsageError
from livereactor.client.commands import about, in_order, leading, one_line, sentence
from livereactor.client.contract import contract_text
from livereactor.client.python_layout import (
    INDENT,
    WIDTH,
    Brackets,
    Part,
    docstring,
    headed,
    laid_out,
    text,
    value,
    width,
)
from livereactor.client.typed import SyncTypedReactor, TypedReactor
from livereactor.protocol import types
from livereactor.protocol.contract import contract_hash
from livereactor.protocol.openapi import type_to_json
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema

IMPORTED: Final = frozenset(
    {"Any", "Callable", "Contract", "FileRef", "Final", "Literal", "Mapping", "Sequence", "StrEnum", "SyncTypedReactor"}
    | {"TypeAlias", "TypedReactor", "annotations", "cast", "dataclass"}
)
RESERVED_CLASSES: Final = frozenset({*keyword.kwlist, *dir(builtins), *IMPORTED})
# In a class body a member of such a name would hide a type from the annotations below it.
HIDING: Final = frozenset({"bool", "int", "float", "str", "self", *IMPORTED})


class Names:
    """Names that are given out once each.

    Args:
        taken: names that are never given out.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def give(self, *wishes: str) -> str:
        """Return the first free wish; if all are taken, the last one with a number."""
        free = next((wish for wish in wishes if wish not in self._taken), None)
        number = 2
        while free is None or free in self._taken:
            free, number = f"{wishes[-1]}{number}", number + 1
        self._taken.add(free)
        return free


def python_name(name: str, where: str) -> str:
    """Return a name unchanged, as it also goes over the wire.

    Raises:
        UsageError: Python cannot write it. Models written in Python have no such names.
    """
    is_plain = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    if is_plain and unicodedata.normalize("NFKC", name) == name:
        return name
    raise UsageError(f"{where}: Python cannot write {name[:60]!r} as a name; rename it in the model")


def member_name(name: str, where: str, classes: Collection[str]) -> str:
    """Return the name of an argument or a member; like `python_name`, and it must not hide a type or class."""
    if name in HIDING or name in classes:
        raise UsageError(f"{where}: {name!r} hides what Python calls so; rename it in the model")
    return python_name(name, where)


def class_name(text: str) -> str:
    """Return `BrightnessSet` for `brightness_set` and `brightness-set`."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name and not name[0].isdigit() else f"X{name}"


def constant_name(text: str) -> str:
    """Return `MAIN_VIDEO` for `main_video`."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").upper()
    return name if name and not name[0].isdigit() else f"X{name}"


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
        self.structures: dict[str, types.StructureType] = {}
        self.choices: dict[str, types.ChoiceType] = {}
        self.uses: set[str] = set()
        # Messages first: programs name them, so they get their own names.
        self.titles = {each.name: names.give(class_name(each.title)) for each in schema.messages}
        for each in (*schema.messages, *schema.commands):
            for place in each.fields:
                self._find(place.type, place.name, each.name)

    def _find(self, kind: types.Type, name: str, owner: str) -> None:
        if isinstance(kind, types.StructureType):
            for each in kind.fields:
                self._find(each.type, each.name, kind.name or name)
            if _key(kind) not in self._known:
                self.structures[self._named(kind, kind.name or name, owner)] = kind
        elif isinstance(kind, types.ChoiceType):
            if _key(kind) not in self._known:
                self.choices[self._named(kind, name, owner)] = kind
        else:
            for part in kind.parts:
                self._find(part, name, owner)

    def _named(self, kind: types.Type, name: str, owner: str) -> str:
        given = self._names.give(class_name(name), class_name(f"{owner}_{name}"))
        self._known[_key(kind)] = given
        return given

    def name_of(self, kind: types.StructureType | types.ChoiceType) -> str:
        """Return the class or alias of a type."""
        return self._known[_key(kind)]

    def annotation(self, kind: types.Type) -> str:
        """Return a type as it stands in an annotation."""
        match kind:
            case types.BoolType():
                return "bool"
            case types.IntType():
                return "int"
            case types.FloatType():
                return "float"
            case types.AnyType():
                return self._used("Any")
            case types.ListType():
                return f"{self._used('Sequence')}[{self.annotation(kind.item)}]"
            case types.DictType():
                return f"{self._used('Mapping')}[str, {self.annotation(kind.value)}]"
            case types.StructureType() | types.ChoiceType():
                return self.name_of(kind)
            case types.OptionalType():
                inner = self.annotation(kind.inner)
                return inner if inner == "Any" or inner.endswith(" | None") else f"{inner} | None"
            case types.FileType():
                return self._used("FileRef")
            case _:
                return "str"

    def _used(self, name: str) -> str:
        self.uses.add(name)
        return name

    def default(self, given: Any, kind: types.Type) -> Part:
        """Return a default, a JSON value, as an expression of its annotation."""
        match kind:
            case types.OptionalType():
                return "None" if given is None else self.default(given, kind.inner)
            case types.ListType():
                return Brackets("(", tuple(self.default(each, kind.item) for each in given), ")", is_tuple=True)
            case types.DictType():
                entries = ((value(name), self.default(each, kind.value)) for name, each in given.items())
                return Brackets("{", tuple(headed(f"{name}: ", each) for name, each in entries), "}")
            case types.StructureType():
                members = (headed(f"{each.name}=", self._member(given, each)) for each in kind.fields)
                return Brackets(f"{self.name_of(kind)}(", tuple(members), ")")
            case _:
                return value(given)

    def _member(self, given: Mapping[str, Any], each: types.Field) -> Part:
        return self.default(given[each.name], each.type)

    def alias(self, kind: types.ChoiceType) -> Part:
        """Return the type behind a choice's alias. A Literal has no floats: they are `float`, checked later."""
        values = [each for _, each in dict.fromkeys((type(each), each) for each in kind.values)]
        plain = [each for each in values if not isinstance(each, float)]
        if not plain:
            return "float"
        floats = " | float" if len(plain) < len(values) else ""
        return Brackets(f"{self._used('Literal')}[", tuple(map(value, plain)), f"]{floats}")


def _key(kind: types.Type) -> str:
    return json.dumps(type_to_json(kind, moderate=False))


# Attributes of instances, which `dir()` of the classes does not list.
_OF_INSTANCES: Final = ("commands", "contract")
_SENT_OR_RECEIVED: Final = {"out": "received", "in": "sent"}


def client_of(schema: ModelSchema) -> str:
    """Return the module: types, Messages, track names, and two classes, `PondModel` and `SyncPondModel`.

    Raises:
        UsageError: the schema has a name that Python cannot write.
    """
    return client_source(schema, {*dir(TypedReactor), *dir(SyncTypedReactor), *_OF_INSTANCES})


def client_source(schema: ModelSchema, reserved: Collection[str]) -> str:
    """Return the module; a Command called like a `reserved` attribute gets a `_` behind its name."""
    return _Module(schema, reserved).source()


class _Module:
    """Writes one client."""

    def __init__(self, schema: ModelSchema, reserved: Collection[str]) -> None:
        self._schema = schema
        stem = class_name(schema.name.rpartition("/")[2])
        self._client, self._sync_client = f"{stem}Model", f"Sync{stem}Model"
        taken = {*RESERVED_CLASSES, self._client, self._sync_client, "CONTRACT", "SCHEMA_HASH", "TrackName"}
        self._types = Types(schema, Names(taken))
        self._prose_name = one_line(schema.name) or "unnamed"
        self._classes = {*self._types.structures, *self._types.choices, *self._types.titles.values()}
        names = Names({*reserved, *HIDING, *self._classes})
        self._methods = {each.name: _given(names, python_name(each.name, "a command")) for each in schema.commands}
        self._handlers = {
            each.name: _given(names, f"on_{python_name(each.name, 'a message')}") for each in schema.messages
        }

    def source(self) -> str:
        contract = self._contract()
        blocks = [*self._data(), contract, *self._clients()]
        # Formatters break a line that is too long in ways of their own; here only a very long name causes one.
        is_wide = any(width(line) > WIDTH for block in blocks for line in block if block is not contract)
        lines = [*self._header(), *(["# fmt: off"] if is_wide else [])]  # last: it imports what the blocks use
        for before, block in zip([[""], *blocks], blocks, strict=False):
            lines += ["", "", *block] if _is_class(block) or _is_class(before) else ["", *block]
        return "\n".join(lines) + "\n"

    def _header(self) -> Iterator[str]:
        said = f"Typed client of the model `{self._prose_name}`, made by `livereactor codegen`."
        yield from docstring(
            [said, "Run `livereactor codegen` again when the model changes; edits here are lost."], indent=""
        )
        yield from ("", "from __future__ import annotations", "")
        uses = self._types.uses
        yield from _import("collections.abc", uses & {"Callable", "Mapping", "Sequence"})
        yield from _import("dataclasses", uses & {"dataclass"})
        yield from _import("dataclasses", uses & {"field as _field"})
        yield from _import("enum", uses & {"StrEnum"})
        yield from _import("typing", (uses & {"Any", "Literal", "TypeAlias", "cast"}) | {"Final"})
        yield ""
        ours = {"Contract", "SyncTypedReactor", "TypedReactor"} | (uses & {"FileRef"})
        yield from _import("livereactor.client.typed", ours)

    def _data(self) -> Iterator[list[str]]:
        yield [f"SCHEMA_HASH: Final = {text(contract_hash(self._schema))}"]
        for name, kind in self._types.choices.items():
            self._types.uses.add("TypeAlias")
            yield laid_out(headed(f"{name}: TypeAlias = ", self._types.alias(kind)))
        if self._schema.tracks:
            yield self._tracks(self._schema.tracks)
        for name, kind in self._types.structures.items():
            yield self._dataclass(name, f"The structure `{one_line(kind.name) or name}`.", kind.fields)
        for each in self._schema.messages:
            said = sentence(each.description) or f"The Message `{each.name}`."
            yield self._dataclass(self._types.titles[each.name], said, each.fields)

    def _clients(self) -> Iterator[list[str]]:
        yield self._class(self._client, "TypedReactor", "async def", "await ")
        yield self._class(self._sync_client, "SyncTypedReactor", "def", "")

    # --- data ----------------------------------------------------------------------------------------------------

    def _tracks(self, tracks: Sequence[TrackSchema]) -> list[str]:
        self._types.uses.add("StrEnum")
        names = Names()
        lines = ["class TrackName(StrEnum):", *docstring([f"Tracks of the model `{self._prose_name}`."]), ""]
        for each in tracks:
            member = f"{INDENT}{names.give(constant_name(each.name))} = {text(each.name)}"
            lines.append(f"{member}  # {each.kind}, {_SENT_OR_RECEIVED[each.direction]}")
        return lines

    def _dataclass(self, name: str, said: str, fields: Sequence[types.Field]) -> list[str]:
        self._types.uses.add("dataclass")
        lines = ["@dataclass(frozen=True, slots=True, kw_only=True)", f"class {name}:"]
        lines += docstring([said], [("Attributes", _described(fields, said))])
        if fields:
            lines.append("")
        for each in fields:
            lines += laid_out(self._attribute(each, name), INDENT)
        return lines

    def _attribute(self, each: types.Field, owner: str) -> Part:
        declared = f"{member_name(each.name, owner, self._classes)}: {self._types.annotation(each.type)}"
        if each.is_required:
            return declared
        default = self._types.default(each.default, each.type)
        if isinstance(default, Brackets) and default.head == "{":  # one that could be changed: made anew
            self._types.uses.add("field as _field")
            if "Any" in declared:
                self._types.uses.add("cast")
                default = Brackets("cast(", ('"Any"', default), ")")
            default = Brackets("_field(", (headed("default_factory=lambda: ", default),), ")")
        return headed(f"{declared} = ", default)

    def _contract(self) -> list[str]:
        document = contract_text(self._schema, self._types.name_of, self._types.titles)
        classes = [*self._types.structures, *self._types.titles.values()]
        quoted = f'r"""\n{document}\n"""'
        lines = laid_out(Brackets("CONTRACT: Final = Contract(", (quoted, *classes), ")"))
        return "\n".join(lines).split("\n")

    # --- the two clients -----------------------------------------------------------------------------------------

    def _class(self, name: str, base: str, define: str, wait: str) -> list[str]:
        said = sentence(self._schema.description) or f"The model `{self._prose_name}`."
        lines = [f"class {name}({base}):", *docstring([said]), "", f"{INDENT}contract = CONTRACT"]
        for command in self._schema.commands:
            lines += ["", *self._command(command, define, wait)]
        for message in self._schema.messages:
            lines += ["", *self._handler(message)]
        return lines

    def _command(self, command: CommandSchema, define: str, wait: str) -> list[str]:
        fields, where = in_order(command), f"command {command.name!r}"
        reply = None if command.reply is None else self._types.titles[command.reply]
        first = leading(command)
        star = ["*"] if [each for each in fields if each.name != first] else []
        parameters = [self._parameter(each, where) for each in fields]
        parameters[1 if first else 0 : 1 if first else 0] = star
        head = f"{define} {self._methods[command.name]}("
        answer = f"{reply} | None" if command.may_acknowledge else reply
        lines = laid_out(Brackets(head, ("self", *parameters), f") -> {answer}:"), INDENT)
        said = sentence(command.description) or f"The Command `{command.name}`."
        lines += docstring([said], [("Args", _described(fields, said))], INDENT * 2)
        given = Brackets("{", tuple(f"{text(each.name)}: {each.name}" for each in fields), "}")
        if reply is None:
            call = Brackets(f"{wait}self._tell(", (text(command.name), given), ")")
        else:
            ask = "_may_ask" if command.may_acknowledge else "_ask"
            call = Brackets(f"return {wait}self.{ask}(", (reply, text(command.name), given), ")")
        return [*lines, *laid_out(call, INDENT * 2)]

    def _parameter(self, each: types.Field, where: str) -> Part:
        declared = f"{member_name(each.name, where, self._classes)}: {self._types.annotation(each.type)}"
        if each.is_required:
            return declared
        return headed(f"{declared} = ", self._types.default(each.default, each.type))

    def _handler(self, message: MessageSchema) -> list[str]:
        title = self._types.titles[message.name]
        self._types.uses.add("Callable")
        kind = f"Callable[[{title}], object]"
        head = f"def {self._handlers[message.name]}("
        lines = laid_out(Brackets(head, ("self", f"handler: {kind}"), f") -> {kind}:"), INDENT)
        lines += docstring([f"Call `handler` for each `{title}`."], indent=INDENT * 2)
        call = Brackets("return self._on(", (title, text(message.name), "handler"), ")")
        return [*lines, *laid_out(call, INDENT * 2)]


def _described(fields: Sequence[types.Field], said: str) -> list[tuple[str, str]]:
    """Return name and description of the fields that need more words than their annotations and `said` give."""
    described = ((each.name, about(each, typed=True).removeprefix(said).strip()) for each in fields)
    return [(name, words) for name, words in described if words]


def _given(names: Names, name: str) -> str:
    return names.give(name, f"{name}_")


def _is_class(block: Sequence[str]) -> bool:
    return block[0].startswith(("class ", "@"))


def _import(module: str, names: Collection[str]) -> Iterator[str]:
    if names:
        line = f"from {module} import {', '.join(sorted(names))}"
        broken = Brackets(f"from {module} import (", tuple(sorted(names)), ")")
        yield from [line] if len(line) <= WIDTH else laid_out(broken)
