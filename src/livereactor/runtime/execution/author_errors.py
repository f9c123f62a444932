"""An author's exception in one line for people; the traceback is the log's. Pure."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path


def described(error: BaseException, model: type) -> str:
    """An author's exception in one line, with the deepest line of the model's own file in it."""
    text = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    line = _line_of(error, model)
    return f"{said} ({line})" if line else said


def stopped(error: BaseException, model: type) -> str:
    """That and where an author's code failed. Without what the exception says: that may be a user's prompt, and this is
    shown to whoever asks for the health of the process.
    """
    line = _line_of(error, model)
    at = f" at {line}" if line else ""
    return f"the model stopped with an error{at}; its log has the traceback"


def _line_of(error: BaseException, model: type) -> str:
    """`model.py:12`, the deepest line of the model's own file; empty where it has none in this traceback."""
    try:
        own = inspect.getfile(model)
    except (TypeError, OSError):
        return ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f"{Path(own).name}:{lines[-1]}" if lines else ""
