"""The hooks a model may have, and whether its own are written with a signature the runtime can call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from livereactor.base.errors import DefinitionError

# How each may be written, without `self`.
HOOKS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "load": ((), ("config",)),
    "warmup": ((),),
    "open": (("session",),),
    "close": (("session",),),
    "joined": (("client",),),
    "left": (("client",),),
    "uploaded": (("file",),),
    "stream": ((),),
}


@dataclass(frozen=True, slots=True)
class Hook:
    """One of the model's own hooks. `arguments`: how many it takes after `self`."""

    name: str
    arguments: int


def hooks_of(model: type, base: type) -> dict[str, Hook]:
    """The hooks that `model` or a class between it and `base` writes.

    Raises:
        DefinitionError: one has a signature that the runtime does not call.
    """
    found = ((name, getattr(model, name, None)) for name in HOOKS)
    own = {name: value for name, value in found if value is not None and value is not getattr(base, name, None)}
    return {name: _hook(model, name, function) for name, function in own.items()}


def location(function: Callable[..., Any]) -> str:
    """` (file.py:12)` of a function; empty where it is not written in Python."""
    code = getattr(function, "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def _hook(model: type, name: str, function: Any) -> Hook:
    if not inspect.isfunction(function):
        raise DefinitionError(f"{model.__name__}.{name} is the name of a hook; call this attribute something else")
    parameters = list(inspect.signature(function).parameters.values())[1:]
    required = [each for each in parameters if each.default is each.empty]
    plain = all(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)
    forms = HOOKS[name]
    fitting = next((form for form in reversed(forms) if len(required) <= len(form) <= len(parameters)), None)
    if fitting is None or not plain:
        written = " or ".join(f"def {name}({', '.join(('self', *form))})" for form in forms)
        signature = f"{name}{inspect.signature(function)}"
        raise DefinitionError(f"{model.__name__} has the hook {signature}; write {written}{location(function)}")
    return Hook(name, len(fitting))
