"""The types a parameter, a command's argument or a message's field may have (docs/protocol.md). Pure data.

    Type = Bool | Int | Float | Str | Any | List | Dict | Structure | Optional | Choice | File   (each …Type)

`reading.type_of` makes them from annotations, `openapi` writes them, `validation` checks values against them. What is
said of one place rather than of a type (default, description, marks) is in its `Field`. Each type knows the types it
holds (`parts`) and how to go through a value of it (`mapped`), so nobody else tells lists from structures for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from livereactor.protocol.bindings import Binding


class File:
    """Annotation of an argument that takes an uploaded file: `lr.File`. A subclass counts as it."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Lets a pydantic model have fields of this type; the runtime puts the file there, so all is taken."""
        from pydantic_core import core_schema

        return core_schema.any_schema()


@dataclass(frozen=True, slots=True)
class Hint:
    """A hint for pages that show a value, in `Annotated[…]`: `Hint("format", "color")` is `x-livereactor-format`."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a number, or of the length of a text, list or dict; None = unbounded."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None


UNBOUNDED: Final = Bounds()


class _Leaf:
    """A type that holds no other."""

    __slots__ = ()

    @property
    def parts(self) -> tuple[Type, ...]:
        """The types it holds."""
        return ()

    def mapped(self, value: Any, visit: Visit) -> Any:
        """Return a checked value with every part of it replaced by `visit(part, its type)`."""
        return value


@dataclass(frozen=True, slots=True)
class BoolType(_Leaf):
    """true or false."""


@dataclass(frozen=True, slots=True)
class IntType(_Leaf):
    """A whole number; takes an integral float too, which is how the binary wire format carries integers."""

    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True)
class FloatType(_Leaf):
    """A finite number; takes an integer too."""

    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True)
class StrType(_Leaf):
    """A text; lengths in characters."""

    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True)
class AnyType(_Leaf):
    """The type of a value that may be any JSON."""


@dataclass(frozen=True, slots=True)
class ListType:
    """A list of one type."""

    item: Type = AnyType()
    bounds: Bounds = UNBOUNDED

    @property
    def parts(self) -> tuple[Type, ...]:
        """The type of its items."""
        return (self.item,)

    def mapped(self, value: Any, visit: Visit) -> Any:
        """Return a list of the visited items."""
        return [visit(item, self.item) for item in value]


@dataclass(frozen=True, slots=True)
class DictType:
    """An object with any keys and one type of values."""

    value: Type = AnyType()
    bounds: Bounds = UNBOUNDED

    @property
    def parts(self) -> tuple[Type, ...]:
        """The type of its values."""
        return (self.value,)

    def mapped(self, value: Any, visit: Visit) -> Any:
        """Return a dict of the visited values."""
        return {name: visit(item, self.value) for name, item in value.items()}


@dataclass(frozen=True, slots=True)
class StructureType:
    """An object with declared keys; `python` is the dataclass or pydantic model it was read from, if any."""

    name: str
    fields: tuple[Field, ...]
    python: type | None = field(default=None, compare=False)

    @property
    def parts(self) -> tuple[Type, ...]:
        """The types of its fields."""
        return tuple(each.type for each in self.fields)

    def mapped(self, value: Any, visit: Visit) -> Any:
        """Return a dict of the visited members."""
        return {each.name: visit(value[each.name], each.type) for each in self.fields}


@dataclass(frozen=True, slots=True)
class OptionalType:
    """`inner` or null."""

    inner: Type

    @property
    def parts(self) -> tuple[Type, ...]:
        """The type of a value that is not null."""
        return (self.inner,)

    def mapped(self, value: Any, visit: Visit) -> Any:
        """Return the visited value, or None."""
        return None if value is None else visit(value, self.inner)


@dataclass(frozen=True, slots=True)
class ChoiceType(_Leaf):
    """One of these values (texts, integers, floats, booleans); `python` is the Enum they are values of, if any."""

    values: tuple[str | int | float | bool, ...]
    python: type[Enum] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FileType(_Leaf):
    """An uploaded file; on the wire an upload reference."""


Type: TypeAlias = (
    BoolType
    | IntType
    | FloatType
    | StrType
    | AnyType
    | ListType
    | DictType
    | StructureType
    | OptionalType
    | ChoiceType
    | FileType
)
Visit: TypeAlias = Callable[[Any, Type], Any]


class Required(Enum):
    """Stands where a default would: there is none, the value must be given."""

    REQUIRED = "required"


REQUIRED: Final = Required.REQUIRED


@dataclass(frozen=True, slots=True)
class Field:
    """One named place for a value.

    Attributes:
        default: a JSON value that `type` takes, or `REQUIRED`.
        moderate: free content that a deployment may check.
        hints: how a page may show it, by name; open, such as `format: color`.
        binding: keys and gamepad control that a page gives it by.
    """

    name: str
    type: Type
    default: Any = REQUIRED
    description: str = ""
    moderate: bool = False
    hints: Mapping[str, str] = field(default_factory=dict[str, str])
    binding: Binding | None = None

    @property
    def is_required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED


def holds_file(kind: Type) -> bool:
    """Whether a value of this type may hold an upload reference, at any depth."""
    return isinstance(kind, FileType) or any(map(holds_file, kind.parts))


def type_name(kind: Type) -> str:
    """The type as an error sentence names it: `int`, `list`, `str or null`."""
    match kind:
        case OptionalType():
            return f"{type_name(kind.inner)} or null"
        case StructureType():
            return kind.name or "object"
        case FileType():
            return "an upload reference"
        case _:
            return _NAMES[type(kind)]


_NAMES: Final[Mapping[type, str]] = {
    BoolType: "bool",
    IntType: "int",
    FloatType: "float",
    StrType: "str",
    AnyType: "any value",
    ListType: "list",
    DictType: "object",
    ChoiceType: "one of its choices",
}
