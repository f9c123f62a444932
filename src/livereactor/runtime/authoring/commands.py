"""`@lr.command`: a method that clients may call. Its name, signature and docstring are its schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from livereactor.runtime.authoring.params import Param

Handler = TypeVar("Handler", bound=Callable[..., Any])
_MARK = "__livereactor_command__"


@dataclass(frozen=True, slots=True)
class CommandMark:
    """What the decorator leaves on a function: what it was given, and the `lr.param` of the function's arguments."""

    name: str
    moderate: bool
    keys: str | None
    gamepad: str | None
    params: dict[str, Param] = field(default_factory=dict[str, Param])


class Decorator(Protocol):
    """What `@lr.command(…)` makes."""

    def __call__(self, handler: Handler, /) -> Handler: ...


@overload
def command(handler: Handler, /) -> Handler: ...
@overload
def command(
    *, name: str | None = None, moderate: bool = False, keys: str | None = None, gamepad: str | None = None
) -> Decorator: ...
def command(
    handler: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    moderate: bool = False,
    keys: str | None = None,
    gamepad: str | None = None,
) -> Any:
    """Make a command of a method.

    A parameter named `client` receives the calling Client. Return an `lr.Message` to reply, None to acknowledge;
    raise `lr.CommandError(code, message)` to refuse. Runs on the model's thread between two steps.

    Args:
        name: its name on the wire, when not the method's.
        moderate: marks all its arguments as free content that a deployment may check.
        keys, gamepad: the key and the gamepad's button that give it on the page, without arguments; named as in
            `lr.param`.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        params = _unwrap_defaults(function)
        setattr(function, _MARK, CommandMark(name or function.__name__, moderate, keys, gamepad, params))
        return function

    return mark if handler is None else mark(handler)


def mark_of(value: object) -> CommandMark | None:
    """The mark of a decorated function; None for anything else."""
    mark = getattr(value, _MARK, None) if inspect.isfunction(value) else None
    return mark if isinstance(mark, CommandMark) else None


def _unwrap_defaults(function: Callable[..., Any]) -> dict[str, Param]:
    """Replace `lr.param(…)` defaults by their plain values, so that the model can call its own handlers too."""
    if not inspect.isfunction(function):
        return {}
    parameters = inspect.signature(function).parameters
    found = {name: each.default for name, each in parameters.items() if isinstance(each.default, Param)}
    if found:
        plain = (_plain(value) for value in function.__defaults__ or ())
        function.__defaults__ = tuple(plain) or None
        function.__kwdefaults__ = {name: _plain(value) for name, value in (function.__kwdefaults__ or {}).items()}
    return found


def _plain(value: Any) -> Any:
    return value.default if isinstance(value, Param) else value
