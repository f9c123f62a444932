"""What an author's exception says, in one line for people; the traceback is the log's. Pure."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path


def described(error: BaseException, model: type) -> str:
    """An author's exception in one line, with the deepest line of the model's own file in it."""
    text = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    try:
        own = inspect.getfile(model)
    except (TypeError, OSError):
        return said
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f"{said} ({Path(own).name}:{lines[-1]})" if lines else said
