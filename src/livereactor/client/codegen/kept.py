"""The contract that a client written earlier was written for, read from its source without running it."""

from __future__ import annotations

import ast
from pathlib import Path

from livereactor.client.model.contract import Contract
from livereactor.protocol.schema import ModelSchema


def kept_contract(path: str) -> ModelSchema | None:
    """The contract in a typed client's file; None where the file is no typed client."""
    try:
        module = ast.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    for statement in module.body:
        match statement:
            case ast.AnnAssign(
                target=ast.Name(id="CONTRACT"),
                value=ast.Call(func=ast.Name(id="Contract"), args=[ast.Constant(value=str(text)), *_]),
            ):
                return Contract(text).schema
            case _:
                continue
    return None
