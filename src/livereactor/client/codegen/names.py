"""Names in a typed client: what a schema calls things, as Python can call them. Pure."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Final

from livereactor.base.errors import UsageError

IMPORTED: Final = frozenset(
    {"Any", "Callable", "Contract", "FileRef", "Final", "Literal", "Mapping", "Sequence", "StrEnum", "SyncTypedReactor"}
    | {"TypeAlias", "TypedReactor", "annotations", "cast", "dataclass"}
)
RESERVED_CLASSES: Final = frozenset({*keyword.kwlist, *dir(builtins), *IMPORTED})
# In a class body a member of such a name would hide a type from the annotations below it.
HIDING: Final = frozenset({"bool", "int", "float", "str", "self", *IMPORTED})


class Names:
    """Names given out once each.

    Args:
        taken: what nobody may be called.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def give(self, *wishes: str) -> str:
        """The first wish that is free; where none is, the last one with a number."""
        free = next((wish for wish in wishes if wish not in self._taken), None)
        number = 2
        while free is None or free in self._taken:
            free, number = f"{wishes[-1]}{number}", number + 1
        self._taken.add(free)
        return free


def python_name(name: str, where: str) -> str:
    """The name as it stands; it is also what goes over the wire.

    Raises:
        UsageError: Python cannot write it. Models written in Python have none such.
    """
    is_plain = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    if is_plain and unicodedata.normalize("NFKC", name) == name:
        return name
    raise UsageError(f"{where}: Python cannot write {name[:60]!r} as a name; rename it in the model")


def member_name(name: str, where: str, classes: Collection[str]) -> str:
    """The name of an argument or of a Message's member; as `python_name`, and it hides no type nor one of `classes`."""
    if name in HIDING or name in classes:
        raise UsageError(f"{where}: {name!r} hides what Python calls so; rename it in the model")
    return python_name(name, where)


def class_name(text: str) -> str:
    """`brightness_set` and `brightness-set` as `BrightnessSet`."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name and not name[0].isdigit() else f"X{name}"


def constant_name(text: str) -> str:
    """`main_video` as `MAIN_VIDEO`."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").upper()
    return name if name and not name[0].isdigit() else f"X{name}"
