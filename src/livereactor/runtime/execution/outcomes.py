"""Giving a future its outcome from the model's thread, though the runtime may have given it one when it stopped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")


def work_into(future: Future[Outcome], work: Callable[[], Outcome]) -> None:
    """Do it, unless nobody waits any more; what it returns or raises is the outcome."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        succeed(future, work())
    except Exception as error:
        fail(future, error)


def succeed(future: Future[Outcome], outcome: Outcome) -> None:
    """It went well."""
    try:
        future.set_result(outcome)
    except InvalidStateError:  # it got its outcome when the runtime stopped without this thread
        return


def fail(future: Future[Any], error: Exception) -> None:
    """It did not, and that is why."""
    try:
        future.set_exception(error)
    except InvalidStateError:
        return
