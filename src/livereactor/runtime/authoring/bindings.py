"""`keys=` and `gamepad=` of `lr.param` and `lr.command`: what may be bound to what. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

from livereactor.base.errors import DefinitionError
from livereactor.protocol.bindings import (
    GAMEPAD_AXES,
    GAMEPAD_BUTTONS,
    GAMEPAD_TRIGGERS,
    KEPT_KEYS,
    NAMED_KEYS,
    Binding,
    is_key,
)
from livereactor.protocol.types import BoolType, Field, FloatType, IntType

Keys: TypeAlias = str | Sequence[str] | None

_NUMBERS: Final = (*GAMEPAD_AXES, *GAMEPAD_TRIGGERS)  # a trigger gives a number too: how far it is pulled


def param_binding(field: Field, keys: Keys, gamepad: str | None, where: str) -> Binding | None:
    """Return the controls of a parameter: two keys, an axis or a trigger for a number; a key and a button for a bool.

    Raises:
        DefinitionError: the names or the parameter do not fit; `where` (`Walk.forward`) begins the sentence.
    """
    if keys is None and gamepad is None:
        return None
    match field.type:
        case BoolType():
            if field.default is not False:
                raise DefinitionError(f"{where}: it is true while its key is held, else false; make False its default")
            return Binding(_one_key(keys, where), _control(gamepad, GAMEPAD_BUTTONS, "a switch", where))
        case IntType(bounds=bounds) | FloatType(bounds=bounds):
            if bounds.ge is None or bounds.le is None:
                raise DefinitionError(f"{where}: what is held pushes a number to its bound; give it both ge= and le=")
            return Binding(_two_keys(keys, where), _control(gamepad, _NUMBERS, "a number", where))
        case _:
            raise DefinitionError(
                f"{where}: keys and gamepad push a number or a bool; leave them out, or bind commands that set it"
            )


def command_binding(fields: Iterable[Field], keys: Keys, gamepad: str | None, where: str) -> Binding | None:
    """The key and the button that give a command.

    Raises:
        DefinitionError: the names do not fit, or the command cannot be given without arguments.
    """
    if keys is None and gamepad is None:
        return None
    if required := [each.name for each in fields if each.is_required]:
        raise DefinitionError(
            f"{where}: a key gives no arguments; give {', '.join(required)} a default, or bind another command"
        )
    return Binding(_one_key(keys, where), _control(gamepad, GAMEPAD_BUTTONS, "a command", where))


def check_distinct(bindings: Iterable[tuple[str, Binding]], model: str) -> None:
    """Each key and each control of the gamepad stands for one thing; by attribute.

    Raises:
        DefinitionError: one stands for two.
    """
    owners: dict[str, str] = {}
    for name, binding in bindings:
        controls = [f"the key {key!r}" for key in binding.keys]
        controls += [f"the gamepad's {binding.gamepad!r}"] if binding.gamepad else []
        for control in controls:
            if (other := owners.setdefault(control, name)) != name:
                raise DefinitionError(f"{model}: {other} and {name} are both bound to {control}; give one another")


def _two_keys(keys: Keys, where: str) -> tuple[str, ...]:
    if keys is None:
        return ()
    names = _names(keys, where)
    if isinstance(keys, str) or len(names) != 2 or names[0] == names[1]:
        raise DefinitionError(f'{where}: a number takes two keys, down and up; write keys=("s", "w")')
    return names


def _one_key(keys: Keys, where: str) -> tuple[str, ...]:
    if keys is None:
        return ()
    names = _names(keys, where)
    if len(names) != 1:
        raise DefinitionError(f'{where}: takes one key; write keys="shift"')
    return names


def _names(keys: str | Sequence[str], where: str) -> tuple[str, ...]:
    names = (keys,) if isinstance(keys, str) else tuple(keys)
    for name in cast("tuple[Any, ...]", names):
        if not isinstance(name, str) or not is_key(name):
            raise DefinitionError(f"{where}: {name!r} is not a key; {_advice(name)}")
    return names


def _advice(name: Any) -> str:
    if not isinstance(name, str):
        return 'write it as a string, such as "w"'
    if name in KEPT_KEYS:
        return "the browser or the page uses it; choose another"
    if name == " ":
        return "write 'space'"
    if is_key(name.lower()):
        return f"write {name.lower()!r}"
    close = difflib.get_close_matches(name.lower(), NAMED_KEYS, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"use one character or one of {', '.join(NAMED_KEYS)}"


def _control(gamepad: str | None, allowed: Sequence[str], what: str, where: str) -> str:
    if gamepad is None:
        return ""
    if gamepad in allowed:
        return gamepad
    known = gamepad in (*GAMEPAD_AXES, *GAMEPAD_BUTTONS)
    fault = f"{gamepad!r} does not fit {what}" if known else f"a gamepad has no {gamepad!r}"
    raise DefinitionError(f"{where}: {fault}; use one of {', '.join(allowed)}")
