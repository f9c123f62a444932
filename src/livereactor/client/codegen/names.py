"""Names in a typed client: a schema's names as Python names. Pure."""

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
