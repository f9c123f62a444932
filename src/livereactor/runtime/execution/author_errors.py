"""An author's exception in one line for people; the traceback goes to the log. Pure."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path


def summary(error: BaseException) -> str:
    """Return the exception's type and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def described(error: BaseException, model: type) -> str:
    """Return an author's exception in one line, with the deepest line of the model's own file."""
    line = _line_of(error, model)
    return f"{summary(error)} ({line})" if line else summary(error)


def stopped(error: BaseException, model: type) -> str:
    """Return a sentence that says where the author's code failed.

    The exception's text is left out: it may quote a user's prompt, and everyone who asks for `/health` sees this.
    """
    line = _line_of(error, model)
    at = f" at {line}" if line else ""
    return f"the model stopped with an error{at}; its log has the traceback"


def line_in(file: str | Path, error: BaseException) -> str:
    """Return the deepest line of `file` in the traceback, such as `pond.py:12`; empty where it has none."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{Path(file).name}:{lines[-1]}" if lines else ""


def _line_of(error: BaseException, model: type) -> str:
    try:
        return line_in(inspect.getfile(model), error)
    except (TypeError, OSError):
        return ""
