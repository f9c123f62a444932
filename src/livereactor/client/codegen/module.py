"""A model's schema as the Python module of its typed client. Pure, and the same text for the same schema."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from livereactor.client.codegen.layout import INDENT, WIDTH, Brackets, Part, docstring, headed, laid_out, text, width
from livereactor.client.codegen.names import (
    HIDING,
    RESERVED_CLASSES,
    Names,
    class_name,
    constant_name,
    member_name,
    python_name,
)
from livereactor.client.codegen.types import Types
from livereactor.client.commands import about, in_order, leading, one_line, sentence
from livereactor.client.contract import contract_text
from livereactor.protocol.contract import contract_hash
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema
from livereactor.protocol.types import Field

_SENT_OR_RECEIVED: Final = {"out": "received", "in": "sent"}


def client_source(schema: ModelSchema, reserved: Collection[str]) -> str:
    """Return the module: types, Messages, track names, and two classes, `PondModel` and `SyncPondModel`.

    Args:
        reserved: attributes of the classes' bases; a Command called like one of them gets a `_` behind its name.

    Raises:
        UsageError: the schema has a name that Python cannot write.
    """
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
            [said, "Run `livereactor codegen` again when the model changes; edits here are lost."],
            indent="",
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

    def _dataclass(self, name: str, said: str, fields: Sequence[Field]) -> list[str]:
        self._types.uses.add("dataclass")
        lines = ["@dataclass(frozen=True, slots=True, kw_only=True)", f"class {name}:"]
        lines += docstring([said], [("Attributes", _described(fields, said))])
        if fields:
            lines.append("")
        for each in fields:
            lines += laid_out(self._attribute(each, name), INDENT)
        return lines

    def _attribute(self, each: Field, owner: str) -> Part:
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
        lines = laid_out(
            Brackets("CONTRACT: Final = Contract(", ('r"""' + "\n" + document + "\n" + '"""', *classes), ")")
        )
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

    def _parameter(self, each: Field, where: str) -> Part:
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


def _described(fields: Sequence[Field], said: str) -> list[tuple[str, str]]:
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
        yield from [line] if len(line) <= WIDTH else laid_out(_many(module, names))


def _many(module: str, names: Collection[str]) -> Brackets:
    return Brackets(f"from {module} import (", tuple(sorted(names)), ")")
